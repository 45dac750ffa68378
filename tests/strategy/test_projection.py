# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Decided by what hurts when taken away, whatever alpha says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import hypergradient, optimizer, projection, relaxation
from dnas.strategy.bilevel import bilevel
from dnas.strategy.problem import Problem

OPS = ("none", "a", "b")
KEEP_1 = SearchSpace({"c": Cell(3, tuple(Edge(j, 3, OPS) for j in range(3)), (3,), keep=1)})
KEEP_ALL = SearchSpace({"c": Cell(3, tuple(Edge(j, 3, OPS) for j in range(3)), (3,))})
# What each operation is worth; the loss is what is missing of it. Alpha will prefer others.
WORTH = jnp.array([[0.0, 1.0, 3.0], [0.0, 5.0, 2.0], [0.0, 0.3, 0.2]])


def loss(params, stats, weights, batch, key, train, progress):
  assert train
  mixed = jnp.stack(weights["c"])
  return params["scale"] * (20 - jnp.sum(WORTH * mixed)) + 0 * batch.sum(), (stats, {})


def project(space, tune_steps=0, loss=loss, **settings):
  problem = Problem(space, lambda key: ({"scale": jnp.ones(())}, {}), loss)
  seen = []

  def tune(wrapped):
    def remembered(params, stats, weights, batch, *rest):
      return wrapped.loss(params, stats, weights, batch, *rest)

    seen.append(wrapped)
    return bilevel(
      Problem(space, wrapped.init, remembered),
      relaxation.softmax(),
      hypergradient.first_order(),
      optimizer.sgd(10, lr=1e-6),
      optimizer.adam(lr=1e-6),
      steps=10,
    )

  search = bilevel(
    problem,
    relaxation.softmax(),
    hypergradient.first_order(),
    optimizer.sgd(10),
    optimizer.adam(),
    steps=10,
  )
  state = search.init(jax.random.key(0))
  # Alpha is sure of the worse operation on every edge, but leaves the better one some weight.
  alpha = {
    "c": (jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 0.2, 0.9]), jnp.array([0.5, 0.2, 0.4]))
  }
  state = type(state)(**{**vars(state), "alpha": alpha, "step": jnp.int32(10)})
  before = jax.tree.map(np.array, alpha)
  drawn = []

  def draw(part, i):
    drawn.append((part, i))
    return np.ones(2, np.float32)

  made = projection.projector(
    problem, relaxation.softmax(), tune, batches=2, tune_steps=tune_steps, **settings
  )
  assert made.init(state).search.step == 10  # the schedules of the search stand at its end
  genotype = projection.run(made, state, draw)
  jax.tree.map(np.testing.assert_array_equal, state.alpha, before)  # not changed
  return genotype, len(drawn) // 2


@pytest.mark.parametrize("seed", [0, 1])
def test_every_edge_gets_what_hurts_most_when_it_goes(seed):
  genotype, steps = project(KEEP_ALL, seed=seed)
  # worth * weight: edge 0: a 0.51 * 1 < b 0.31 * 3; edge 1: a 0.26 * 5 > b 0.52 * 2; edge 2: a.
  assert str(genotype.cells["c"]) == "3: b(0) + a(1) + a(2)"
  assert steps == 3 * 2


def test_then_the_edges_that_hurt_most():
  genotype, steps = project(KEEP_1, tune_steps=1, seed=0)
  assert str(genotype.cells["c"]) == "3: a(1)"
  assert steps == 4 * (2 + 1)  # three operations and one node


def test_a_trial_without_a_number_decides_nothing():
  def broken(params, stats, weights, batch, *rest):
    total, aux = loss(params, stats, weights, batch, *rest)
    # Infinite when b is taken from the first edge while it is undecided: what hurts most there.
    _, a, b = weights["c"][0]
    return jnp.where((b == 0) & (a < 1), jnp.inf, total), aux

  genotype, _ = project(KEEP_ALL, loss=broken, seed=0)
  assert str(genotype.cells["c"]) == "3: a(0) + a(1) + a(2)"


def test_decided_weights_replace_the_relaxed_ones():
  seen = []

  def spy(params, stats, weights, batch, *rest):
    seen.append((jax.tree.map(np.asarray, weights), batch))
    return 0.0, (stats, {})

  wrapped = projection.fixable(Problem(KEEP_ALL, lambda key: ({}, {}), spy))
  fixed = {"c": (np.array([0.0, 0, 1]), np.zeros(3), np.zeros(3))}
  free = {"c": (0.0, 1.0, 1.0)}
  given = {"c": (jnp.full(3, 0.2), jnp.full(3, 0.3), jnp.full(3, 0.4))}
  wrapped.loss({}, {}, given, projection.Fixed("examples", free, fixed), None, True, 0.0)
  weights, batch = seen[0]
  assert batch == "examples"
  np.testing.assert_allclose(weights["c"][0], [0, 0, 1])
  np.testing.assert_allclose(weights["c"][1], [0.3] * 3, rtol=1e-6)


def test_arguments_out_of_range():
  with pytest.raises(
    DnasError, match="projection: batches must be a whole number, 1 or more, got 0"
  ):
    projection.projector(None, None, None, batches=0, tune_steps=0, seed=0)
  with pytest.raises(DnasError, match=r"projection: tune_steps must be a whole .*, got 2.5"):
    projection.projector(None, None, None, batches=1, tune_steps=2.5, seed=0)
