# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the regularisers, and each one's defining property."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import config
from dnas.errors import DnasError
from dnas.strategy import regularization

PENALTIES = {
  "beta_decay": regularization.beta_decay(),
  "zero_one": regularization.zero_one(),
  "dirichlet_anchor": regularization.dirichlet_anchor(),
}
PERTURBATIONS = {
  "random_perturbation": regularization.random_perturbation(),
  "adversarial_perturbation": regularization.adversarial_perturbation(),
}
RNG = np.random.default_rng(0)
ALPHA = {
  "a": tuple(jnp.asarray(RNG.normal(size=n), jnp.float32) for n in (3, 4, 3)),
  "b": tuple(jnp.asarray(RNG.normal(size=3), jnp.float32) for _ in range(2)),
}
LEAVES = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(ALPHA)]


def test_every_regulariser_has_joined():
  assert set(config.functions(regularization)) == set(PENALTIES) | set(PERTURBATIONS)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_a_finite_scalar_with_a_gradient(name):
  value, gradient = jax.jit(jax.value_and_grad(PENALTIES[name]))(ALPHA, 0.5)
  assert value.shape == ()
  assert value.dtype == jnp.float32
  flat = np.concatenate(jax.tree.leaves(gradient))
  assert np.all(np.isfinite(flat))
  assert np.all(flat != 0)
  # Operations have no order.
  swapped = jax.tree.map(lambda leaf: leaf[::-1], ALPHA)
  np.testing.assert_allclose(PENALTIES[name](swapped, 0.5), value, rtol=1e-5)


@pytest.mark.parametrize("name", [*PENALTIES, *PERTURBATIONS])
def test_negative_strength_is_an_error(name):
  with pytest.raises(DnasError, match=f"{name}: the strength must be 0 or more"):
    getattr(regularization, name)(-1.0)


def test_beta_decay():
  penalty = regularization.beta_decay(scale=8.0)
  expected = 8 * 0.25 * np.mean([np.log(np.exp(a).sum()) for a in LEAVES])
  np.testing.assert_allclose(penalty(ALPHA, 0.25), expected, rtol=1e-5)
  assert penalty(ALPHA, 0.0) == 0
  # What defines it: each logit decays at the rate of its own softmax.
  gradient = jax.grad(penalty)(ALPHA, 1.0)["a"][1]
  np.testing.assert_allclose(gradient, 8 / 5 * jax.nn.softmax(ALPHA["a"][1]), rtol=1e-5)


def test_zero_one():
  sigmoid = lambda a: 1 / (1 + np.exp(-a))
  expected = -3 * np.mean([np.mean((sigmoid(a) - 0.5) ** 2) for a in LEAVES])
  np.testing.assert_allclose(regularization.zero_one(3.0)(ALPHA, 0.1), expected, rtol=1e-5)
  # Descending it takes every sigmoid to its nearer end.
  gradient = jax.grad(regularization.zero_one())(ALPHA, 0.0)
  jax.tree.map(lambda g, a: np.testing.assert_array_equal(np.sign(-g), np.sign(a)), gradient, ALPHA)


def test_dirichlet_anchor():
  penalty = regularization.dirichlet_anchor(1.0)
  zero = jax.tree.map(jnp.zeros_like, ALPHA)
  np.testing.assert_allclose(penalty(zero, 0.0), 0, atol=1e-5)  # at the anchor
  # KL as the mean of log p - log q over samples of p.
  logits = ALPHA["a"][0]
  beta = np.asarray(jax.nn.elu(logits) + 1, np.float64)
  samples = np.maximum(np.random.default_rng(1).dirichlet(beta, 200_000), 1e-300)
  log_p = jax.scipy.special.gammaln(beta.sum()) - jax.scipy.special.gammaln(beta).sum()
  log_p = float(log_p) + ((beta - 1) * np.log(samples)).sum(1)
  log_q = np.log(2.0)  # lgamma(3)
  exact = float(penalty({"a": (logits,)}, 0.0))
  np.testing.assert_allclose(exact, (log_p - log_q).mean(), rtol=0.02)
  np.testing.assert_allclose(penalty({"a": (logits, logits)}, 0.0), 2 * exact, rtol=1e-5)


WEIGHTS = jax.tree.map(jax.nn.softmax, ALPHA)
COST = jax.tree.map(lambda w: jnp.asarray(RNG.normal(size=w.shape), jnp.float32), WEIGHTS)


def linear(weights):
  return sum(jnp.vdot(w, c) for w, c in zip(*map(jax.tree.leaves, (weights, COST)), strict=True))


def moves(name, progress, count=200):
  one = functools.partial(PERTURBATIONS[name], loss=linear, weights=WEIGHTS, progress=progress)
  keys = jax.random.split(jax.random.key(0), count)
  moved = jax.jit(jax.vmap(one))(keys)
  delta = jax.tree.map(lambda m, w: m - w, moved, WEIGHTS)
  return np.concatenate(jax.tree.leaves(delta), axis=1)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_stays_in_its_ball_and_grows(name):
  assert np.all(moves(name, 0.0) == 0)
  for progress in (0.5, 1.0):
    delta = moves(name, progress)
    assert delta.shape == (200, 16)
    assert np.all(np.abs(delta) <= 0.3 * progress + 1e-6)
    assert np.abs(delta).max() > 0.25 * progress


def test_random_perturbation_is_uniform_and_unbiased():
  delta = moves("random_perturbation", 1.0, 4000)
  np.testing.assert_allclose(delta.mean(0), 0, atol=0.015)
  np.testing.assert_allclose(delta.std(0), 0.3 / np.sqrt(3), rtol=0.05)
  np.testing.assert_allclose(np.corrcoef(delta.T), np.eye(16), atol=0.08)


def test_adversarial_perturbation_of_a_linear_loss_is_the_corner():
  # The maximum of <c, w + d> over the box is at d = r sign(c), reached in 2 r of total movement.
  delta = moves("adversarial_perturbation", 1.0)
  sign = np.sign(np.concatenate(jax.tree.leaves(COST)))
  np.testing.assert_allclose(delta, 0.3 * np.tile(sign, (200, 1)), atol=1e-5)


def test_adversarial_steps_must_be_a_count():
  with pytest.raises(DnasError, match="steps must be 1 or more"):
    regularization.adversarial_perturbation(steps=0)
