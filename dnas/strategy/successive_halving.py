# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Successive halving: many candidates looked at shortly, the best of them longer and longer.

A rung cannot begin before the last result of the one below. What is asked for meanwhile belongs to
the next bracket, which begins early; the oldest bracket that has something to ask goes first. So
nothing is asked in vain, and with `ahead` candidates open at a time k brackets are over after at
most k times the queries of one + (rungs - 1) * (ahead - 1).
"""

import random
from collections.abc import Sequence

from dnas.errors import check_count
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import (
  Metrics,
  Proposal,
  State,
  Strategy,
  StrategyError,
  sampler,
  score_of,
)


def successive_halving(
  space: SearchSpace, candidates: int = 16, eta: int = 2, rungs: int = 4
) -> Strategy:
  """S_0 ~ Uniform(space)^n; S_(r+1) = the ceil(n / eta^(r+1)) of S_r with the highest scores.

  The scores of S_r are those at rung r, the r-th length of the estimate. One such bracket takes
  sum over r of ceil(n / eta^r) queries, 16 + 8 + 4 + 2 = 30 by default, and with lengths that grow
  by eta every rung costs alike. When a bracket is over another begins with fresh candidates, so
  that any budget is of use. Every query has a key of its own: who goes on is trained anew, and
  does not owe its place to lucky initial weights for long.

  Args:
    space: to be searched.
    candidates: n, those of a bracket. Drawn with replacement, as in random search.
    eta: one in so many goes on.
    rungs: how many lengths the estimate has.

  Raises:
    StrategyError: an argument is out of range.

  Source: Jamieson and Talwalkar 2016 (arXiv:1502.07943).
  """
  check_count("successive_halving: candidates", candidates, 1, StrategyError)
  check_count("successive_halving: eta", eta, 2, StrategyError)
  # At one rung nothing would be halved: that is random search.
  check_count("successive_halving: rungs", rungs, 2, StrategyError)
  draw = sampler(space)
  sizes = [-(-candidates // eta**rung) for rung in range(rungs)]

  def init() -> State:
    # The brackets that are not over, the oldest first; all that ever began are counted. Of a
    # bracket: its number and rung, the choices yet to ask and [place, choices, score] of those told
    # at this rung. A place is that among the best of the rung below, or of drawing.
    return {"brackets": [], "begun": 0}

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    brackets, begun = state["brackets"], state["begun"]
    if not any(bracket["queue"] for bracket in brackets):
      queue = [draw(rng) for _ in range(candidates)]
      brackets = [*brackets, {"number": begun, "rung": 0, "queue": queue, "told": []}]
      begun += 1
    first = next(bracket for bracket in brackets if bracket["queue"])
    choices, *queue = first["queue"]
    rung, place = first["rung"], sizes[first["rung"]] - len(first["queue"])
    proposal = {"choices": choices, "rung": rung, "bracket": first["number"], "place": place}
    changed = [{**b, "queue": queue} if b is first else b for b in brackets]
    return proposal, {"brackets": changed, "begun": begun}

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    told = [proposal["place"], proposal["choices"], score_of(metrics)]
    brackets = []
    for bracket in state["brackets"]:
      if bracket["number"] == proposal["bracket"]:
        brackets += _after({**bracket, "told": [*bracket["told"], told]}, sizes)
      else:
        brackets.append(bracket)
    return {**state, "brackets": brackets}

  return Strategy(init, ask, tell, rungs)


def _after(bracket: State, sizes: Sequence[int]) -> list[State]:
  """The bracket, at its next rung if this one is over; [] if it was the last of `sizes`."""
  told, rung = bracket["told"], bracket["rung"] + 1
  if len(told) < sizes[rung - 1]:
    return [bracket]
  if rung == len(sizes):
    return []
  # By place, not in the order of telling: what is told late must not lose for that.
  ranked = sorted(told, key=lambda one: (-one[2], one[0]))
  queue = [choices for _, choices, _ in ranked[: sizes[rung]]]
  return [{**bracket, "rung": rung, "queue": queue, "told": []}]
