# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Regularised evolution: who dies, who becomes a parent, and how a child differs from it."""

import random

import pytest

from dnas.space import cells
from dnas.strategy import ask_tell
from dnas.strategy.evolution import evolution

SPACE = cells.nasbench201()


def tell_all(strategy, scores, rng):
  """The state after so many queries, and their choices."""
  state, asked = strategy.init(), []
  for score in scores:
    proposal, state = strategy.ask(state, rng)
    asked.append(proposal["choices"])
    state = strategy.tell(state, proposal, {"score": score})
  return state, asked


def test_ageing_drops_the_oldest_even_if_it_is_the_best():
  state, asked = tell_all(evolution(SPACE, population=4), [9, 1, 2, 3, 0, 0], random.Random(0))
  assert state["population"] == [[choices, s] for choices, s in zip(asked[2:], [2, 3, 0, 0])]


def test_the_first_are_random_and_the_others_children_of_members():
  strategy, rng = evolution(SPACE, population=5, sample=2), random.Random(1)
  state, _ = tell_all(strategy, range(5), rng)
  for i in range(40):
    near = [ask_tell.neighbourhood(SPACE)(choices) for choices, _ in state["population"]]
    proposal, state = strategy.ask(state, rng)
    assert any(proposal["choices"] in neighbours for neighbours in near)
    state = strategy.tell(state, proposal, {"score": i % 7})


@pytest.mark.parametrize("sample", [1, 3])
def test_parents_win_their_tournament(sample):
  """The best of 10 is the parent with probability 1 - (9/10)^sample."""
  strategy, rng = evolution(SPACE, population=10, sample=sample), random.Random(2)
  state, asked = tell_all(strategy, [0] * 9 + [1], rng)
  # Children of the best are told apart from children of the others by their distance.
  near = ask_tell.neighbourhood(SPACE)(asked[-1])
  assert not any(choices in near for choices in asked[:-1])
  children = [strategy.ask(state, rng)[0]["choices"] for _ in range(2000)]
  share = sum(child in near for child in children) / len(children)
  assert share == pytest.approx(1 - 0.9**sample, abs=0.05)


def test_it_waits_for_no_one():
  """More asked than told: random ones until the first population has been asked, then children."""
  strategy, rng = evolution(SPACE, population=3), random.Random(3)
  state, proposals = strategy.init(), []
  for _ in range(4):
    proposal, state = strategy.ask(state, rng)
    proposals.append(proposal)
  state = strategy.tell(state, proposals[2], {"score": 1.0})
  child, state = strategy.ask(state, rng)
  assert child["choices"] in ask_tell.neighbourhood(SPACE)(proposals[2]["choices"])


class Supernet:
  """A stand-in for shared weights: each operation on each edge has learnt something of its own."""

  def __init__(self, seed):
    rng = random.Random(seed)
    self.gain = {(i, op): rng.random() for i in range(6) for op in cells.NASBENCH201_OPS}

  def __call__(self, genotype, key):
    del key
    (ops,) = SPACE.choices(genotype).values()
    return {"score": sum(self.gain[i, op] for i, op in enumerate(ops))}


def test_spos_is_evolution_over_a_supernet():
  """The evaluator is all that a one-shot search needs; it finds far better cells than chance."""
  supernet = Supernet(0)
  evaluate = lambda choices, number: supernet(SPACE.decide(choices), None)
  run = ask_tell.explore(evolution(SPACE), ask_tell.at_once(evaluate), budget=150, seed=0)
  top = sum(max(supernet.gain[i, op] for op in cells.NASBENCH201_OPS) for i in range(6))
  assert ask_tell.best(list(run)).metrics["score"] > 0.95 * top
