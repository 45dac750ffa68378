# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NSGA-II: sorting and crowding against brute force, crossover inside the space, fronts found."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.space import cells
from dnas.strategy import ask_tell, nsga2
from dnas.strategy.ask_tell import Query, StrategyError

points = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=12)


def beats(a, b):
  return all(x >= y for x, y in zip(a, b)) and any(x > y for x, y in zip(a, b))


@given(points)
@settings(max_examples=100, deadline=None)
def test_fronts_are_the_lengths_of_chains(values):
  """Rank r = the longest chain of points each of which dominates the next, ending at the point."""

  def rank(i):
    return max((rank(j) + 1 for j in range(len(values)) if beats(values[j], values[i])), default=0)

  fronts = nsga2.fronts(values)
  assert sorted(itertools.chain(*fronts)) == list(range(len(values)))
  for r, front in enumerate(fronts):
    assert all(rank(i) == r for i in front)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9, unique=True), st.randoms())
@settings(max_examples=50, deadline=None)
def test_crowding_is_the_share_of_the_range_between_the_neighbours(xs, rng):
  rng.shuffle(xs)
  values = [(x, -x) for x in xs]  # a front: more of one is less of the other
  low, high = min(xs), max(xs)
  for x, found in zip(xs, nsga2.crowding(values)):
    if x in (low, high):
      assert found == math.inf
    else:
      above, below = min(y for y in xs if y > x), max(y for y in xs if y < x)
      assert found == pytest.approx(2 * (above - below) / (high - low))


def test_crowding_of_equal_and_infinite_values():
  assert nsga2.crowding([(1, 1), (1, 1), (1, 1)]) == [0, 0, 0]
  assert nsga2.crowding([(0, 5), (1, 5), (3, 5)]) == [math.inf, 1.0, math.inf]
  assert nsga2.crowding([(0, -math.inf), (1, 5), (3, 6)]) == [math.inf, 1.0, math.inf]
  assert nsga2.crowding([]) == []


def test_ranked_prefers_better_fronts_then_more_room():
  front = [(0.0, 10.0), (4.0, 6.0), (4.5, 5.5), (10.0, 0.0)]
  dominated = (3.0, 5.0)
  assert nsga2.ranked([dominated, *front])[-1] == 0
  assert set(nsga2.ranked(front)[:2]) == {0, 3}  # the ends
  assert nsga2.ranked(front)[-1] in (1, 2)


@pytest.mark.parametrize("space", [cells.darts(), cells.nasbench201()])
def test_crossover_takes_each_node_from_one_parent(space):
  rng, sample, cross = random.Random(0), ask_tell.sampler(space), nsga2.crosser(space)
  for _ in range(30):
    one, other = sample(rng), sample(rng)
    child = cross(one, other, rng)
    space.decide(child)
    for name, ops in child.items():
      cell = space.cells[name]
      for node in cell.nodes:
        edges = cell.incoming(node)
        taken = [ops[i] for i in edges]
        assert taken in ([one[name][i] for i in edges], [other[name][i] for i in edges])


SPACE = cells.nasbench201()
SCORE = {"none": 0, "skip_connect": 1, "avg_pool_3x3": 1, "nor_conv_1x1": 2, "nor_conv_3x3": 3}
PARAMS = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 9}


def evaluate(choices, number):
  del number
  (ops,) = choices.values()
  return {"score": sum(SCORE[op] for op in ops), "params": sum(PARAMS[op] for op in ops)}


def volume(front):
  """Area between a front and the corner (score 0, 54 parameters), that being the most there is."""
  area, before = 0, 0
  for query in front:
    area += (query.metrics["score"] - before) * (54 - query.metrics["params"])
    before = query.metrics["score"]
  return area


def test_finds_more_of_the_front_than_chance():
  submit = ask_tell.at_once(evaluate)
  found = {}
  for strategy in (nsga2.nsga2(SPACE), ask_tell.Strategy(*random_parts())):
    run = ask_tell.explore(strategy, submit, budget=400, seed=0)
    found[strategy] = volume(nsga2.pareto(list(run), ["params"]))
  ours, chance = found.values()
  # The true front: 6 + i operations of 1 x 1, then 3 x 3 one after the other.
  best = [(6, 0), *[(6 + i, i) for i in range(1, 7)], *[(12 + i, 6 + 8 * i) for i in range(1, 7)]]
  most = volume([Query(1, 1, {}, {"score": s, "params": p}) for s, p in best])
  assert most >= ours > chance
  assert ours > 0.95 * most


def random_parts():
  from dnas.strategy.random_search import random_search

  strategy = random_search(SPACE)
  return strategy.init, strategy.ask, strategy.tell


def test_pareto():
  rows = [(1, 5), (2, 6), (2, 6), (3, 9), (2.5, 9), (0, 5), (math.nan, 1)]
  queries = [Query(i, i, {}, {"score": s, "params": p}) for i, (s, p) in enumerate(rows)]
  assert [q.number for q in nsga2.pareto(queries, ["params"])] == [6, 0, 1, 3]
  assert nsga2.pareto([], ["params"]) == []
  longer = [Query(7, 7, {}, {"score": 0.1, "params": 9}, rung=1)]
  assert [q.number for q in nsga2.pareto([*queries, *longer], ["params"])] == [7]


def test_a_cost_that_the_evaluator_does_not_give():
  strategy = nsga2.nsga2(SPACE, costs=("latency_ms",))
  proposal, state = strategy.ask(strategy.init(), random.Random(0))
  with pytest.raises(StrategyError, match="no 'latency_ms'; it gave: score, params"):
    strategy.tell(state, proposal, {"score": 1.0, "params": 3.0})
