# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Successive halving: halves are the better ones, and what waits for them wastes nothing."""

import itertools
import math
import random

import pytest

from dnas.space import cells
from dnas.strategy import ask_tell
from dnas.strategy.successive_halving import successive_halving

SPACE = cells.nasbench201()


def limit(choices):
  """What training to the end would give; each operation counts, at each place another bit."""
  worth = cells.NASBENCH201_OPS.index
  return sum(worth(op) * (1 + 0.1 * i * i) for i, op in enumerate(choices["cell"]))


def curve(choices, number, rung):
  """A learning curve: it rises with the rung, and no two of them cross."""
  return {"score": limit(choices) - 20 * 0.5**rung}


def search(budget, evaluate=curve, seed=0, ahead=1, **arguments):
  strategy = successive_halving(SPACE, **arguments)
  submit = ask_tell.at_once(evaluate)
  return list(ask_tell.explore(strategy, submit, budget=budget, seed=seed, ahead=ahead))


def by_rung(queries):
  return [list(rung) for _, rung in itertools.groupby(queries, key=lambda query: query.rung)]


def test_one_bracket():
  """Round r has ceil(n / eta^r) candidates, those with the highest scores of the round before."""
  rungs = by_rung(search(38, candidates=20, eta=2, rungs=4))
  assert [len(rung) for rung in rungs] == [20, 10, 5, 3]
  for before, after in itertools.pairwise(rungs):
    ranked = sorted(before, key=lambda query: -query.metrics["score"])
    assert [q.choices for q in after] == [q.choices for q in ranked[: len(after)]]
  best = ask_tell.best([query for rung in rungs for query in rung])
  assert best.rung == 3
  assert limit(best.choices) == max(limit(query.choices) for query in rungs[0])


def test_thirds():
  assert [len(rung) for rung in by_rung(search(12, candidates=7, eta=3, rungs=4))] == [7, 3, 1, 1]


def test_a_bracket_after_another_has_fresh_candidates():
  rungs = by_rung(search(60))
  assert [len(rung) for rung in rungs] == [16, 8, 4, 2] * 2
  first, second = ([str(query.choices) for query in rungs[i]] for i in (0, 4))
  assert not set(first) & set(second)


def test_a_candidate_that_is_good_late_only_is_lost():
  """It is the shorter lengths that decide: the rungs are looked at, not the last one for all."""
  crossing = lambda choices, number, rung: {"score": limit(choices) * (1 if rung else -1)}
  rungs = by_rung(search(12, crossing, candidates=8, rungs=2))
  worst = sorted(limit(query.choices) for query in rungs[0])[:4]
  assert sorted(limit(query.choices) for query in rungs[1]) == worst


def test_of_equals_the_earlier_goes_on_whoever_is_told_first():
  strategy, rng = successive_halving(SPACE, candidates=6, rungs=2), random.Random(0)
  state, asked = strategy.init(), []
  for _ in range(6):
    proposal, state = strategy.ask(state, rng)
    asked.append(proposal)
  for proposal in reversed(asked):
    state = strategy.tell(state, proposal, {"score": 1.0})
  for proposal in asked[:3]:
    again, state = strategy.ask(state, rng)
    assert (again["choices"], again["rung"]) == (proposal["choices"], 1)


@pytest.mark.parametrize("ahead", [2, 4, 7, 40])
def test_what_waits_is_filled_with_the_next_bracket(ahead):
  """Each bracket is that of one at a time but for the random numbers; the oldest goes first."""
  strategy, size, brackets = successive_halving(SPACE), 16 + 8 + 4 + 2, 5
  asked, told, proposals = [], [], []

  def ask(state, rng):
    proposal, state = strategy.ask(state, rng)
    open_ = {p["bracket"] for p in proposals} - {p["bracket"] for p in asked}
    proposals.append(proposal)
    asked.append(proposal)
    assert proposal["bracket"] <= min(open_, default=proposal["bracket"])
    return proposal, state

  def tell(state, proposal, metrics):
    told.append(proposal["bracket"])
    return strategy.tell(state, proposal, metrics)

  noted = ask_tell.Strategy(strategy.init, ask, tell, strategy.rungs)
  submit = ask_tell.at_once(curve)
  budget = brackets * size + 3 * (ahead - 1)
  list(ask_tell.explore(noted, submit, budget=budget, seed=0, ahead=ahead))
  for bracket in range(brackets):
    assert told.count(bracket) == size
    rungs = by_rung_of(p for p in asked if p["bracket"] == bracket)
    assert [len(rung) for rung in rungs] == [16, 8, 4, 2]
    for before, after in itertools.pairwise(rungs):
      ranked = sorted(before, key=lambda p: (-limit(p["choices"]), p["place"]))
      assert [p["choices"] for p in after] == [p["choices"] for p in ranked[: len(after)]]
  assert max(told) > brackets - 1  # nothing was asked in vain: the rest is of the next ones


def by_rung_of(proposals):
  return [list(rung) for _, rung in itertools.groupby(proposals, key=lambda p: p["rung"])]


def test_those_that_diverge_go_on_last():
  sick = lambda choices, number, rung: (
    {"score": math.nan} if number % 2 else curve(choices, 0, rung)
  )
  rungs = by_rung(search(12, sick, candidates=8, rungs=2))
  assert [q.choices for q in rungs[1]] == [
    q.choices for q in sorted(rungs[0][1::2], key=lambda query: -query.metrics["score"])
  ]


def test_as_many_queries_find_a_better_cell_than_random_search_at_full_length():
  """By length: 16 + 8 * 2 + 4 * 4 + 2 * 8 = 64 lengths buy 8 random candidates at the last rung."""
  rng, wins = random.Random(0), 0
  for seed in range(20):
    found = limit(ask_tell.best(search(30, seed=seed)).choices)
    draw = ask_tell.sampler(SPACE)
    wins += found > max(limit(draw(rng)) for _ in range(8))
  assert wins >= 12
