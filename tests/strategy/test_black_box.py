# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the black-box strategies: every one that a config can name has to join."""

import json
import math
import random

import pytest

from dnas import naming
from dnas.space import cells
from dnas.space.cell import Cell, Edge
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box
from dnas.strategy.ask_tell import StrategyError

# Two cells, one of them with dropped edges, as in DARTS: 2 * 3 + 2 * 2 + 3 * 2 = 16 times 3 ways.
OPS = ("none", "a", "b", "c")
SPACE = SearchSpace(
  {
    "kept": Cell(2, (Edge(0, 2, OPS[:3]), Edge(1, 2, OPS), Edge(0, 2, OPS[:3])), (2,), keep=2),
    "plain": Cell(1, (Edge(0, 1, OPS[:3]),), (1,)),
  }
)
# Name -> the strategy. Small populations, so that 30 queries see more than the first generation.
MEMBERS = {
  "random_search": black_box.random_search,
  "evolution": lambda space: black_box.evolution(space, population=6, sample=3),
  "nsga2": lambda space: black_box.nsga2(space, costs=("cost",), population=6),
  "reinforce": lambda space: black_box.reinforce(space, lr=0.1, entropy=0.01),
  "local_search": black_box.local_search,
  "local_search_first": lambda space: black_box.local_search(space, move="first"),
  "successive_halving": lambda space: black_box.successive_halving(space, candidates=6, rungs=3),
}
each = pytest.mark.parametrize("name", MEMBERS)

WORTH = {None: 0.0, "none": 0.05, "a": 0.1, "b": 0.3, "c": 0.2, "skip_connect": 0.15}


def metrics(choices, number=0, rung=0):
  """More for better operations, and a bit for the edge that they are on: one optimum."""
  score = sum(
    WORTH.get(op, 0.02 * len(str(op))) * (1 + 0.1 * i)
    for ops in choices.values()
    for i, op in enumerate(ops)
  )
  return {"score": score, "cost": float(sum(op == "c" for ops in choices.values() for op in ops))}


def explore(name, budget, *, seed=0, space=SPACE, **arguments):
  return list(
    ask_tell.explore(
      MEMBERS[name](space), ask_tell.at_once(metrics), budget=budget, seed=seed, **arguments
    )
  )


def halving(**arguments):
  return black_box.successive_halving(SPACE, **arguments)


def test_every_strategy_has_joined():
  assert set(naming.functions(black_box)) <= set(MEMBERS)
  assert SPACE.size == 48


@each
def test_same_seed_same_history(name):
  assert explore(name, 30) == explore(name, 30)
  assert explore(name, 30) != explore(name, 30, seed=1)


@each
@pytest.mark.parametrize("ahead", [1, 4])
def test_resumes_at_any_query(name, ahead):
  whole = explore(name, 30, ahead=ahead)
  for done in range(30):
    assert explore(name, 30, ahead=ahead, told=whole[:done]) == whole[done:]


@each
def test_a_longer_budget_goes_on(name):
  assert explore(name, 30, told=explore(name, 20)) == explore(name, 30)[20:]


@each
def test_states_and_proposals_are_plain_data(name):
  """After each step, what JSON gives back is equal and behaves alike."""
  strategy, rng = MEMBERS[name](SPACE), random.Random(0)
  again = lambda value: json.loads(json.dumps(value))
  state, copy = strategy.init(), again(strategy.init())
  for i in range(25):
    seed = rng.random()
    proposal, state = strategy.ask(state, random.Random(seed))
    copied, copy = strategy.ask(copy, random.Random(seed))
    assert (copied, copy) == (proposal, state)
    state = strategy.tell(state, proposal, metrics(proposal["choices"]))
    copy = strategy.tell(again(copy), again(proposal), metrics(proposal["choices"]))
    assert copy == state == again(state), i


@each
def test_ask_and_tell_change_nothing_in_place(name):
  strategy = MEMBERS[name](SPACE)
  state = strategy.init()
  for i in range(25):
    before = json.dumps(state)
    proposal, asked = strategy.ask(state, random.Random(i))
    assert json.dumps(state) == before
    between, sent = json.dumps(asked), json.dumps(proposal)
    state = strategy.tell(asked, proposal, metrics(proposal["choices"]))
    assert (json.dumps(asked), json.dumps(proposal)) == (between, sent)


@each
def test_asks_before_tells_and_tells_in_any_order(name):
  strategy, rng = MEMBERS[name](SPACE), random.Random(3)
  state, waiting, scores = strategy.init(), [], []
  for _ in range(150):
    while len(waiting) < 5:
      proposal, state = strategy.ask(state, rng)
      SPACE.decide(proposal["choices"])
      assert proposal.get("rung", 0) in range(strategy.rungs)
      waiting.append(proposal)
    proposal = waiting.pop(rng.randrange(5))
    scores.append(metrics(proposal["choices"])["score"])
    state = strategy.tell(state, proposal, metrics(proposal["choices"]))
  assert max(scores) == optimum(SPACE)


def optimum(space):
  """By walking through the whole space from one genotype to its neighbours."""
  neighbours = ask_tell.neighbourhood(space)
  key = lambda choices: json.dumps(choices)
  found, open_ = {}, [ask_tell.sampler(space)(random.Random(0))]
  while open_:
    choices = open_.pop()
    if key(choices) not in found:
      found[key(choices)] = metrics(choices)["score"]
      open_ += neighbours(choices)
  assert len(found) == space.size
  return max(found.values())


@each
def test_finds_the_optimum_of_a_tiny_space(name):
  for seed in range(3):
    queries = explore(name, 250, seed=seed)
    assert ask_tell.best(queries).metrics["score"] == optimum(SPACE)


@each
@pytest.mark.parametrize("space", [cells.darts(), cells.nasbench201(), cells.robust_s1()])
def test_asks_for_nothing_outside_the_space(name, space):
  for query in explore(name, 15, space=space):
    genotype = space.decide(query.choices)
    assert genotype.is_genotype


@pytest.mark.parametrize("name", sorted(set(MEMBERS) - {"random_search", "nsga2"}))
def test_better_than_chance(name):
  """On NAS-Bench-201's space, by the mean score of the last ten queries of 150."""
  space = cells.nasbench201()
  late = lambda name: math.fsum(
    query.metrics["score"]
    for seed in range(4)
    for query in explore(name, 150, seed=seed, space=space)[-10:]
  )
  assert late(name) > late("random_search") + 1


@each
def test_candidates_that_diverge_do_not_stop_the_search(name):
  """NaN is worse than all others, and never what is found."""
  worst = {"score": math.nan, "cost": math.nan}
  sick = lambda choices, number, *rung: worst if number % 3 == 0 else metrics(choices)
  run = ask_tell.explore(MEMBERS[name](SPACE), ask_tell.at_once(sick), budget=60, seed=0)
  queries = list(run)
  assert len(queries) == 60
  assert ask_tell.best(queries).number % 3


@each
def test_a_genotype_leaves_nothing_to_search(name):
  with pytest.raises(StrategyError, match="it leaves nothing to search"):
    MEMBERS[name](SPACE.sample(random.Random(0)))
  # A choice that is none: no node may be left without an edge.
  one = SearchSpace({"c": Cell(2, (Edge(0, 2, ("none", "skip")),), (2,), keep=1)})
  assert one.size == 1
  assert not one.is_genotype
  with pytest.raises(StrategyError, match="the space holds one genotype"):
    MEMBERS[name](one)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: black_box.evolution(SPACE, population=0), "evolution: population must be"),
    (lambda: black_box.evolution(SPACE, sample="3"), "evolution: sample must be .* got '3'"),
    (lambda: black_box.nsga2(SPACE, population=1), "nsga2: population must be a whole .* 2 or"),
    (lambda: black_box.nsga2(SPACE, crossover=2), r"nsga2: crossover must be in \[0, 1\], got 2"),
    (lambda: black_box.nsga2(SPACE, costs="params"), "nsga2: costs must hold names of costs"),
    (lambda: black_box.reinforce(SPACE, lr=-1), "reinforce: lr must be 0 or more, got -1"),
    (lambda: black_box.reinforce(SPACE, momentum=1.5), r"reinforce: momentum must be in \(0, 1\)"),
    (
      lambda: black_box.reinforce(SPACE, entropy=True),
      "reinforce: entropy must be a number .* got True",
    ),
    (lambda: black_box.local_search(SPACE, move="up"), "unknown local_search: move 'up'"),
    (lambda: halving(candidates=0), "halving: candidates must be a whole number, 1 or more, got 0"),
    (lambda: halving(eta=1), "successive_halving: eta must be a whole number, 2 or more, got 1"),
    (lambda: halving(rungs=1), "successive_halving: rungs must be .*, 2 or more, got 1"),
    (lambda: halving(rungs=2.0), r"successive_halving: rungs must be .* got 2\.0"),
  ],
)
def test_bad_arguments(make, message):
  with pytest.raises(StrategyError, match=message):
    make()
