# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cost inside a search: on a problem whose loss is a table, so that all is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.cost import objective
from dnas.cost.model import CostModel
from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import budgets, discretize
from dnas.strategy.bilevel import bilevel
from dnas.strategy.hypergradient import first_order
from dnas.strategy.optimizer import adam, sgd
from dnas.strategy.pricing import pricing
from dnas.strategy.problem import Problem
from dnas.strategy.relaxation import softmax

OPS = ("small", "medium", "large")
SPACE = SearchSpace({"c": Cell(1, tuple(Edge(i, i + 1, OPS) for i in range(3)), (3,))})
VALUE = np.array([[0.0, 0.5, 1.0], [0.0, 0.2, 0.4], [0.0, 0.1, 0.2]], np.float32)
COST = CostModel("ms", SPACE, 1.0, {"c": (np.array([1.0, 2.0, 4.0]),) * 3})
STEPS = 150


def search(priced=None, two_levels=True, steps=STEPS):
  """Larger operations lower the loss; returns the logits and the metrics of each step."""

  def loss(params, stats, weights, batch, key, train, progress=0.0):
    quality = sum(jnp.vdot(w, v) for w, v in zip(weights["c"], VALUE, strict=True))
    return 2.0 - quality + jnp.square(params["w"]), (stats, {})

  problem = Problem(SPACE, lambda key: ({"w": jnp.ones(())}, {}), loss)
  machine = bilevel(
    problem,
    softmax(),
    first_order() if two_levels else None,
    sgd(steps=steps, lr=0.1),
    adam(lr=0.1, weight_decay=0.0),
    steps=steps,
    pricing=priced,
  )
  state, history = machine.init(jax.random.key(0)), []
  for _ in range(steps):
    state, metrics = machine.step(state, (), () if two_levels else None)
    history.append(jax.device_get(metrics))
  return jax.device_get(state), history


def test_a_multiplier_brings_the_expected_cost_to_its_budget():
  free, _ = search()
  assert COST.of(discretize.argmax()(SPACE, free.alpha)) == 13
  costs, limits = {"ms": COST}, {"ms": 8.0}
  state, history = search(pricing(costs, limits, rate=0.1))
  late = np.mean([step["expected/ms"] for step in history[-50:]])
  assert late == pytest.approx(8.0, rel=0.1)
  assert history[0]["multiplier/ms"] == pytest.approx(0.1 * (1 + 7.0 - 8.0) / 8.0, abs=0.01)
  assert float(state.multipliers["ms"]) > 0
  genotype = budgets.project(SPACE, state.alpha, costs, limits)
  assert COST.of(genotype) <= 8.0
  # The first edge gains most from size and keeps it.
  assert genotype.cells["c"].edges[0].ops == ("large",)


@pytest.mark.slow
def test_within_the_budget_nothing_changes():
  free, _ = search(steps=30)
  state, history = search(pricing({"ms": COST}, {"ms": 100.0}, rate=0.05), steps=30)
  for a, b in zip(free.alpha["c"], state.alpha["c"], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)
  assert history[-1]["multiplier/ms"] == 0


@pytest.mark.parametrize("two_levels", [True, False])
def test_the_objective_is_what_alpha_lowers(two_levels):
  goal = objective.linear(reference=8.0, strength=3.0)
  state, history = search(pricing({"ms": COST}, {}, goal, "ms"), two_levels)
  first = history[0]
  quality = 2.0 - VALUE.mean(1).sum() + 1.0
  assert first["alpha_loss"] == pytest.approx(quality + 3.0 * (first["expected/ms"] - 8) / 8, 1e-2)
  assert first["weight_loss"] == pytest.approx(quality, rel=0.05)  # where alpha has just moved
  assert COST.of(discretize.argmax()(SPACE, state.alpha)) < 8


@pytest.mark.slow
def test_stronger_multipliers_give_cheaper_genotypes():
  """A sweep: the front of what a search can trade."""
  found = []
  for strength in (0.0, 1.0, 10.0):
    goal = objective.linear(reference=8.0, strength=strength)
    state, _ = search(pricing({"ms": COST}, {}, goal, "ms"), steps=60)
    found.append(COST.of(discretize.argmax()(SPACE, state.alpha)))
  assert found == sorted(found, reverse=True)
  assert found[0] == 13
  assert found[-1] == 4


@pytest.mark.parametrize("two_levels", [True, False])
def test_edges_that_all_stay_are_paid_for_whatever_they_weigh(two_levels):
  """Two edges into a node: their weights share 1 between them, and both stay in every genotype."""
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, OPS), Edge(0, 1, OPS)), (1,))})
  model = CostModel("ms", space, 1.0, {"c": (np.array([1.0, 2.0, 4.0]), np.array([5.0, 6.0, 7.0]))})
  loss = lambda params, *_: (jnp.square(params["w"]), ({}, {}))
  machine = bilevel(
    Problem(space, lambda key: ({"w": jnp.ones(())}, {}), loss),
    softmax(),
    first_order() if two_levels else None,
    sgd(steps=2, lr=0.1),
    adam(lr=0.1, weight_decay=0.0),
    steps=2,
    edge_weights=True,
    pricing=pricing({"ms": model}, {}, objective.linear(reference=1.0, strength=1.0), "ms"),
  )
  state, metrics = machine.step(machine.init(jax.random.key(0)), (), () if two_levels else None)
  assert metrics["expected/ms"] == pytest.approx(1 + 7 / 3 + 6, rel=1e-2)
  assert metrics["alpha_loss"] == pytest.approx(1 + 7 / 3 + 6, rel=1e-2)  # 1 + (E - 1)
  # The dearer edge does not get a smaller weight for that: it cannot be left out.
  moved = machine.init(jax.random.key(0)).alpha["c/edges"][0] - state.alpha["c/edges"][0]
  np.testing.assert_array_equal(moved, 0)


def test_errors():
  with pytest.raises(DnasError, match="unknown cost: 'joule'"):
    pricing({"ms": COST}, {"joule": 1.0})
  with pytest.raises(DnasError, match="unknown cost: None"):
    pricing({"ms": COST}, {}, objective.linear(1.0))
  with pytest.raises(DnasError, match="rate must be above 0"):
    pricing({"ms": COST}, {}, rate=0.0)
  with pytest.raises(DnasError, match=r"rate must be a number .*, got None"):
    pricing({"ms": COST}, {"ms": 1.0})
