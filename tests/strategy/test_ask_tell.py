# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The loop around a strategy: order, budget, histories that do not fit, results that are none."""

import dataclasses
import math
import random

import pytest

from dnas.space import cells
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import ask_tell
from dnas.strategy.ask_tell import Query, StrategyError
from dnas.strategy.evolution import evolution
from dnas.strategy.random_search import random_search

SPACE = cells.nasbench201()
SMALL = SearchSpace(
  {
    "b": Cell(2, (Edge(0, 2, ("x", "y")), Edge(1, 2, ("y",)), Edge(1, 3, ("x",))), (3,), keep=1),
    "a": Cell(1, (Edge(0, 1, ("x", "none")), Edge(0, 1, ("x",))), (1,)),
  }
)


def score(choices, number):
  del number
  return {"score": sum(op == "nor_conv_3x3" for op in choices["cell"])}


def explore(strategy=None, evaluate=score, **arguments):
  submit = ask_tell.at_once(evaluate)
  given = {"budget": 10, "seed": 0, **arguments}
  return list(ask_tell.explore(strategy or random_search(SPACE), submit, **given))


def test_queries_are_numbered_in_the_order_of_asking():
  queries = explore()
  assert [(q.number, q.asked) for q in queries] == [(i, i) for i in range(1, 11)]
  assert [(q.number, q.asked) for q in explore(ahead=4)] == [
    (i, min(i + 3, 10)) for i in range(1, 11)
  ]


def test_submits_ahead_and_tells_in_order():
  """Three candidates are open at any time; the history does not know who finished first."""
  events = []

  def submit(choices, number):
    events.append(("ask", number))

    def result():
      events.append(("tell", number))
      return score(choices, number)

    return result

  strategy = evolution(SPACE, population=3)
  queries = list(ask_tell.explore(strategy, submit, budget=6, seed=0, ahead=3))
  assert events == [
    *[("ask", 1), ("ask", 2), ("ask", 3), ("tell", 1)],
    *[("ask", 4), ("tell", 2), ("ask", 5), ("tell", 3), ("ask", 6)],
    *[("tell", 4), ("tell", 5), ("tell", 6)],
  ]
  events.clear()
  told = queries[:2]
  again = list(ask_tell.explore(strategy, submit, budget=6, seed=0, ahead=3, told=told))
  assert again == queries[2:]
  assert ("ask", 2) not in events  # nothing that is known is evaluated again
  assert events[0] == ("ask", 3)


def test_the_best_is_the_first_of_the_highest():
  queries = [Query(i, i, {}, {"score": s}) for i, s in enumerate([1.0, math.nan, 3.0, 3.0])]
  assert ask_tell.best(queries).number == 2


@pytest.mark.parametrize(
  ("scores", "best", "comparable"),
  [
    ([(0, 9.0), (1, 1.0), (2, 0.5), (1, 8.0), (2, 0.6)], 4, [2, 4]),
    ([(0, 9.0), (1, math.nan), (0, 9.5)], 2, [0, 2]),  # what is longer has all diverged
    ([(0, -math.inf), (1, math.nan)], 1, [1]),
    ([(0, 1.0), (1, math.nan), (1, 0.0)], 2, [1, 2]),
  ],
)
def test_the_highest_rung_reached_decides(scores, best, comparable):
  queries = [Query(i, i, {}, {"score": score}, rung) for i, (rung, score) in enumerate(scores)]
  assert ask_tell.best(queries).number == best
  assert [query.number for query in ask_tell.comparable(queries)] == comparable
  assert ask_tell.comparable([]) == []


def at_rungs(rungs, asked):
  """Random search that claims `rungs` and asks at `asked`."""
  plain = random_search(SPACE)

  def ask(state, rng):
    proposal, state = plain.ask(state, rng)
    return {**proposal, "rung": asked}, state

  return dataclasses.replace(plain, ask=ask, rungs=rungs)


def test_the_rung_reaches_the_evaluation_where_there_are_several():
  calls = []

  def evaluate(*call):
    calls.append(call[1:])
    return {"score": 0.0}

  assert {q.rung for q in explore(at_rungs(3, 2), evaluate, budget=2)} == {2}
  assert {q.rung for q in explore(at_rungs(1, 0), evaluate, budget=2)} == {0}
  assert calls == [(1, 2), (2, 2), (1,), (2,)]


@pytest.mark.parametrize(("rungs", "asked"), [(1, 1), (3, 3), (3, -1), (3, "0")])
def test_a_rung_that_the_strategy_does_not_have(rungs, asked):
  never = lambda *call: pytest.fail("evaluated")
  with pytest.raises(StrategyError, match=f"asks at rung {asked}; it has {rungs}, counted from 0"):
    explore(at_rungs(rungs, asked), never)


def test_strategy_and_estimate_need_the_same_rungs():
  evaluator = lambda genotype, key: {}
  rewarded = ask_tell.Rewarded(evaluator, lambda q, c: q, "ms")
  ask_tell.check_rungs(random_search(SPACE), evaluator)
  ask_tell.check_rungs(random_search(SPACE), rewarded)
  with pytest.raises(StrategyError, match=r"asks at 3 rung.*, the estimate has 1 length.* Valid: "):
    ask_tell.check_rungs(at_rungs(3, 0), rewarded)
  evaluator.rungs = 3
  ask_tell.check_rungs(at_rungs(3, 0), ask_tell.Rewarded(evaluator, lambda q, c: q, "ms"))
  with pytest.raises(StrategyError, match=r"asks at 1 rung.*, the estimate has 3 length"):
    ask_tell.check_rungs(random_search(SPACE), evaluator)


def test_samples_are_those_of_the_space():
  for space in (SPACE, cells.darts()):
    choices = ask_tell.sampler(space)(random.Random(5))
    assert space.decide(choices) == space.sample(random.Random(5))


@pytest.mark.parametrize("space", [SMALL, SPACE, cells.darts(), cells.robust_s3()])
def test_neighbours_differ_in_one_decision(space):
  choices = ask_tell.sampler(space)(random.Random(0))
  found = ask_tell.neighbourhood(space)(choices)
  assert len({space.decide(near) for near in found}) == len(found)
  for near in found:
    (name,) = (name for name in space.searched if near[name] != choices[name])
    assert tuple(near[name]) in set(space.cells[name].neighbours(tuple(choices[name])))


def test_neighbours_lead_to_every_genotype():
  seen, rng = set(), random.Random(0)
  choices = ask_tell.sampler(SMALL)(rng)
  for _ in range(100):
    seen.add(SMALL.decide(choices))
    choices = rng.choice(ask_tell.neighbourhood(SMALL)(choices))
  assert len(seen) == SMALL.size


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"budget": 0}, "budget: 0 queries"),
    ({"ahead": 0}, "ahead must be a whole number, 1 or more, got 0"),
    ({"budget": 1, "told": explore(budget=2)}, "budget: 1 queries, but 2 have been made already"),
    ({"told": explore(seed=1)}, "query 1: the history has .* it belongs to another strategy"),
    (
      {"told": [dataclasses.replace(query, rung=1) for query in explore(budget=1)]},
      "at rung 1, this strategy and seed ask for .* at rung 0",
    ),
    ({"evaluate": lambda choices, number: {"loss": 1}}, "no 'score'; it gave: loss"),
    ({"evaluate": lambda choices, number: {}}, "no 'score'; it gave: -"),
    ({"evaluate": lambda choices, number: None}, "query 1: the evaluator gave None, no numbers"),
    ({"evaluate": lambda choices, number: {"score": "x"}}, "query 1: .*'x'.*, no numbers"),
  ],
)
def test_what_does_not_fit(arguments, message):
  with pytest.raises(StrategyError, match=message):
    explore(**arguments)


def test_an_evaluator_that_fails_is_not_hidden():
  def broken(choices, number):
    raise RuntimeError("out of memory")

  with pytest.raises(RuntimeError, match="out of memory"):
    explore(evaluate=broken)


def test_a_reward_of_quality_and_cost():
  known = {"score": 0.8, "ms": 16.0}
  evaluator = ask_tell.Rewarded(lambda genotype, key: known, lambda q, c: q - c, "ms")
  assert evaluator(None, None) == {"score": -15.2, "ms": 16.0, "quality": 0.8}
  at = lambda genotype, key, rung: {"score": float(rung), "ms": 1.0}
  assert ask_tell.Rewarded(at, lambda q, c: q - c, "ms")(None, None, 3)["score"] == 2.0
  lacking = ask_tell.Rewarded(lambda genotype, key: {"score": 0.8}, lambda q, c: q, "ms")
  with pytest.raises(StrategyError, match="the evaluator gave no 'ms'"):
    lacking(None, None)
