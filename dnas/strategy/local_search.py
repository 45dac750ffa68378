# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Local search: climb from neighbour to neighbour, start anew on each summit."""

import random

from dnas.errors import choose_from
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import (
  Metrics,
  PlainChoices,
  Proposal,
  State,
  Strategy,
  StrategyError,
  neighbourhood,
  sampler,
  score_of,
)

MOVES = ("best", "first")


def local_search(space: SearchSpace, move: str = "best") -> Strategy:
  """x <- a neighbour of x with a higher score, until there is none; then a random x again.

  The neighbours (one decision changed) are asked in random order, none twice in one climb. While
  the last of a neighbourhood are being evaluated and more is asked for, random candidates fill the
  gap; the climb goes on from one of them if it is higher.

  Args:
    space: to be searched.
    move: "best" evaluates all neighbours and moves to the best one; "first" moves as soon as one
      is better.

  Raises:
    StrategyError: unknown `move`.

  Source: White et al. 2020 (arXiv:2005.02960), algorithm 1.
  """
  if move not in MOVES:
    raise StrategyError(choose_from("local_search: move", move, MOVES))
  draw, neighbours = sampler(space), neighbourhood(space)

  def init() -> State:
    # The summit so far and the best of its neighbours, each [choices, score]; the neighbours yet
    # to ask, how many are open, and all candidates seen since the last start. `moves` counts moves
    # and starts: it tells which neighbourhood an answer belongs to.
    return {"centre": None, "best": None, "queue": [], "open": 0, "seen": [], "moves": 0}

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    order = rng.getrandbits(32)  # of the neighbours, should the climb move here
    if not state["queue"]:
      return {"choices": draw(rng), "moves": None, "order": order}, state
    choices, *queue = state["queue"]
    proposal = {"choices": choices, "moves": state["moves"], "order": order}
    changes = {"queue": queue, "open": state["open"] + 1, "seen": [*state["seen"], choices]}
    return proposal, {**state, **changes}

  def around(state: State, centre: list, order: int) -> State:
    """A climb that has arrived at `centre`."""
    seen = [*state["seen"], centre[0]] if centre[0] not in state["seen"] else state["seen"]
    queue: list[PlainChoices] = [c for c in neighbours(centre[0]) if c not in seen]
    random.Random(order).shuffle(queue)
    changes = {"centre": centre, "best": None, "queue": queue, "open": 0, "seen": seen}
    moved = {**state, **changes, "moves": state["moves"] + 1}
    return moved if queue else {**init(), "moves": moved["moves"]}

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    told, order = [proposal["choices"], score_of(metrics)], proposal["order"]
    centre, best = state["centre"], state["best"]
    if centre is None:
      return around(state, told, order)
    if best is None or told[1] > best[1]:
      best = told
    is_higher = best[1] > centre[1]
    if move == "first" and is_higher:
      return around(state, best, order)
    is_current = proposal["moves"] == state["moves"]
    state = {**state, "best": best, "open": state["open"] - is_current}
    if state["queue"] or state["open"]:
      return state
    if is_higher:
      return around(state, best, order)
    return {**init(), "moves": state["moves"] + 1}  # a summit

  return Strategy(init, ask, tell)
