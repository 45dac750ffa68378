# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Random search: what every other strategy has to beat."""

import random

from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import Metrics, Proposal, State, Strategy, sampler


def random_search(space: SearchSpace) -> Strategy:
  """x_i ~ Uniform(space), each independent of all others (with replacement).

  Source: Li and Talwalkar 2019 (arXiv:1902.07638) on its strength as a baseline.
  """
  sample = sampler(space)

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    return {"choices": sample(rng)}, state

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    del proposal, metrics
    return state

  return Strategy(dict, ask, tell)
