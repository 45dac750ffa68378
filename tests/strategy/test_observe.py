# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.space import shapes
from dnas.space.space import SearchSpace
from dnas.strategy import observe, relaxation
from dnas.strategy.discretize import argmax
from dnas.strategy.problem import Problem, SearchState

OPS = ("none", "skip_connect", "conv")
SPACE = SearchSpace({"cell": shapes.dense(OPS, 2)})  # 3 edges
COST = jnp.array([[0.0, 1.0, 2.0], [3.0, 1.0, 0.5], [1.0, 1.0, 4.0]])


def loss(params, stats, weights, batch, key, train, progress):
  value = params * jnp.sum(COST * jnp.stack(weights["cell"])) + batch
  return value, (stats, {"accuracy": -value})


ALPHA = {
  "cell": (jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 0.5, 0.0]), jnp.array([0.0, 0.2, 0.0]))
}
STATE = SearchState(
  params=jnp.float32(2.0),
  stats={},
  alpha=ALPHA,
  weight_opt=(),
  alpha_opt=(),
  step=jnp.zeros((), jnp.int32),
  key=jax.random.key(0),
)
PROBLEM = Problem(SPACE, lambda key: (jnp.ones(()), {}), loss)


def test_the_gap_is_that_between_decided_and_relaxed():
  see = observe.observer(PROBLEM, relaxation.softmax(), argmax(), hessian_steps=9)
  earlier = SPACE.decide({"cell": ("conv", "conv", "none")})
  found = see(STATE, jnp.float32(0.5), [earlier], 0.5)
  assert found.genotype == argmax()(SPACE, ALPHA)
  soft = sum(float(c @ jax.nn.softmax(a)) for c, a in zip(COST, ALPHA["cell"], strict=True))
  np.testing.assert_allclose(found.metrics["gap/loss"], 2 * (2 + 3 + 1 - soft), rtol=1e-5)
  np.testing.assert_allclose(found.metrics["gap/accuracy"], -found.metrics["gap/loss"], rtol=1e-5)
  assert found.metrics["skip_share"] == 1 / 3
  assert found.metrics["agreement"] == 0.2  # one of five different edges
  p = np.asarray(jax.nn.softmax(ALPHA["cell"][2]))
  np.testing.assert_allclose(found.metrics["edge_entropy/cell"][2], -p @ np.log(p), rtol=1e-5)
  flat = jnp.concatenate(ALPHA["cell"])
  total = lambda a: 2 * jnp.sum(COST * jax.nn.softmax(a.reshape(3, 3), -1))
  exact = np.linalg.eigvalsh(jax.hessian(total)(flat))
  np.testing.assert_allclose(
    found.metrics["hessian/dominant"], exact[np.abs(exact).argmax()], rtol=1e-4
  )


def test_without_hessian_none_is_computed():
  see = observe.observer(PROBLEM, relaxation.softmax(), argmax())
  metrics = see(dataclasses.replace(STATE, step=STATE.step + 1), jnp.float32(0), [], 0.0).metrics
  assert "hessian/dominant" not in metrics
  assert metrics["agreement"] == 1
  with pytest.raises(DnasError, match="hessian_steps must be a whole number"):
    observe.observer(PROBLEM, relaxation.softmax(), argmax(), hessian_steps=-1)


def test_a_curvature_that_is_not_finite_is_logged_and_the_search_goes_on():
  def kinked(params, stats, weights, batch, key, train, progress):
    value, rest = loss(params, stats, weights, batch, key, train, progress)
    edge = weights["cell"][0]
    return value + jnp.sqrt(jnp.sum((edge - edge) ** 2)), rest  # no derivative at 0

  see = observe.observer(
    dataclasses.replace(PROBLEM, loss=kinked), relaxation.softmax(), argmax(), hessian_steps=2
  )
  metrics = see(STATE, jnp.float32(0.5), [], 0.5).metrics
  assert np.isnan(metrics["hessian/dominant"])
  assert np.isfinite(metrics["gap/loss"])
