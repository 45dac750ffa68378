# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Regularised evolution: tournaments in a population whose oldest member dies."""

import random

from dnas.errors import check_count
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import (
  Metrics,
  Proposal,
  State,
  Strategy,
  StrategyError,
  neighbourhood,
  sampler,
  score_of,
)


def evolution(space: SearchSpace, population: int = 10, sample: int = 3) -> Strategy:
  """x = mutate(argmax of score over `sample` members, drawn with replacement); the oldest dies.

  The first `population` candidates are random, all later ones children. A mutation changes one
  decision, uniformly among the neighbours. With a supernet's shared weights as the evaluator it is
  the second stage of SPOS (1904.00420), without its crossover.

  Args:
    space: to be searched.
    population: number of members. The defaults are NAS-Bench-201's, see Source.
    sample: tournament size.

  Raises:
    StrategyError: an argument is out of range.

  Source: Real et al. 2019 (arXiv:1802.01548), algorithm 1; population 10 and sample 3 from the
    commands in the benchmark authors' repository (D-X-Y/AutoDL-Projects).
  """
  check_count("evolution: population", population, 1, StrategyError)
  check_count("evolution: sample", sample, 1, StrategyError)
  draw, neighbours = sampler(space), neighbourhood(space)

  def init() -> State:
    return {"asked": 0, "population": []}  # oldest first: [choices, score]

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    members = state["population"]
    # Members may still be missing when many candidates are open; children of the first ones to
    # arrive would make everything after them related.
    if state["asked"] < population or not members:
      choices = draw(rng)
    else:
      parent = max((rng.choice(members) for _ in range(sample)), key=lambda member: member[1])
      choices = rng.choice(neighbours(parent[0]))
    return {"choices": choices}, {**state, "asked": state["asked"] + 1}

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    members = [*state["population"], [proposal["choices"], score_of(metrics)]]
    return {**state, "population": members[-population:]}

  return Strategy(init, ask, tell)
