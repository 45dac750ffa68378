# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Local search: it climbs to a summit, knows that it is one, and starts anew."""

import pytest

from dnas.space import cells
from dnas.strategy import ask_tell
from dnas.strategy.local_search import MOVES, local_search

SPACE = cells.nasbench201()
moves = pytest.mark.parametrize("move", MOVES)


def climb(move, score, budget, seed=0, **arguments):
  evaluate = lambda choices, number: {"score": score(choices["cell"])}
  strategy = local_search(SPACE, move=move)
  submit = ask_tell.at_once(evaluate)
  return list(ask_tell.explore(strategy, submit, budget=budget, seed=seed, **arguments))


def one_summit(ops):
  return sum(op == "nor_conv_3x3" for op in ops)


@moves
def test_a_single_summit_is_reached_from_anywhere(move):
  for seed in range(5):
    # At most six moves, each with at most 24 neighbours.
    assert ask_tell.best(climb(move, one_summit, 150, seed)).metrics["score"] == 6


@moves
def test_nothing_is_asked_twice_in_one_climb(move):
  queries = climb(move, one_summit, 100)
  top = ask_tell.best(queries).number
  asked = [tuple(query.choices["cell"]) for query in queries[:top]]
  assert len(set(asked)) == len(asked)


def test_the_best_neighbour_is_taken_after_all_have_been_seen():
  queries = climb("best", one_summit, 60)
  near = ask_tell.neighbourhood(SPACE)
  first, neighbours = queries[0], queries[1:25]
  assert sorted(map(str, near(first.choices))) == sorted(str(q.choices) for q in neighbours)
  centre = ask_tell.best(neighbours)
  rest = [c for c in near(centre.choices) if c not in [q.choices for q in queries[:25]]]
  assert sorted(map(str, rest)) == sorted(str(q.choices) for q in queries[25 : 25 + len(rest)])


def test_the_first_better_neighbour_is_taken_at_once():
  queries = climb("first", one_summit, 120)
  near, centre = ask_tell.neighbourhood(SPACE), queries[0]
  for query in queries[1:]:
    if centre.metrics["score"] == 6:
      break
    assert query.choices in near(centre.choices)
    if query.metrics["score"] > centre.metrics["score"]:
      centre = query
  else:
    pytest.fail("no summit after 120 queries")


@moves
def test_a_plain_is_left_at_once(move):
  """Where all score alike, each start is a summit: 1 + 24 queries, then another start."""
  queries = climb(move, lambda ops: 1.0, 100)
  near = ask_tell.neighbourhood(SPACE)
  for start in range(0, 100, 25):
    around = near(queries[start].choices)
    assert all(query.choices in around for query in queries[start + 1 : start + 25])
  assert queries[25].choices not in near(queries[0].choices)


@moves
def test_climbs_with_many_open_candidates(move):
  queries = climb(move, one_summit, 250, ahead=8)
  assert ask_tell.best(queries).metrics["score"] == 6
