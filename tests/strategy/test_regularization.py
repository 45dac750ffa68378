# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the regularisers, and each one's defining property."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.strategy import regularization

PENALTIES = {
  "beta_decay": regularization.beta_decay(),
  "zero_one": regularization.zero_one(),
  "dirichlet_anchor": regularization.dirichlet_anchor(),
}
WEIGHT_PENALTIES = {"layer_alignment"}
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
  assert set(naming.functions(regularization)) == {
    *PENALTIES,
    *PERTURBATIONS,
    *WEIGHT_PENALTIES,
  }


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


@pytest.mark.parametrize("name", [*PENALTIES, *PERTURBATIONS, *WEIGHT_PENALTIES])
def test_a_strength_is_a_number_and_not_negative(name):
  with pytest.raises(DnasError, match=f"{name}: (scale|radius) must be 0 or more, got -1.0"):
    getattr(regularization, name)(-1.0)
  with pytest.raises(DnasError, match=f"{name}: (scale|radius) must be a number .*, got '1'"):
    getattr(regularization, name)("1")


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


def moves(name, progress, weights=WEIGHTS, count=200, **settings):
  keys = jax.random.split(jax.random.key(0), count)
  moved = mover(name, **settings)(keys, weights, progress)
  return [np.asarray(leaf) for leaf in jax.tree.leaves(moved)]


@functools.cache
def mover(name, **settings):
  rule = getattr(regularization, name)(**settings)
  one = lambda key, weights, progress: rule(key, linear, weights, progress)
  return jax.jit(jax.vmap(one, in_axes=(0, None, None)))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_stays_on_the_simplex_and_grows(name):
  still = moves(name, 0.0, radius_start=0.0)
  for moved, weights in zip(still, jax.tree.leaves(WEIGHTS), strict=True):
    np.testing.assert_allclose(moved, np.tile(weights, (200, 1)), atol=1e-6)
  largest = []
  for progress in (0.0, 0.5, 1.0):
    moved = moves(name, progress)
    for new in moved:
      assert np.all(new >= 0)
      np.testing.assert_allclose(new.sum(1), 1, rtol=1e-5)
    delta = np.concatenate(moved, 1) - np.concatenate(jax.tree.leaves(WEIGHTS))
    largest.append(np.abs(delta).max())
  assert 0.01 < largest[0] < 0.06  # the radius is 0.03 at first; scaling back adds to it
  assert largest[0] < largest[1] < largest[2]


def test_the_sum_of_an_edge_with_an_edge_weight_stays():
  halved = jax.tree.map(lambda w: w / 2, WEIGHTS)
  for new in moves("random_perturbation", 1.0, halved):
    np.testing.assert_allclose(new.sum(1), 0.5, rtol=1e-5)


def test_random_perturbation_is_uniform_before_it_is_scaled_back():
  # In the middle of the simplex nothing is clipped: the ratios are those of w + u.
  weights = {"a": (jnp.full(2, 0.5),)}
  (moved,) = moves("random_perturbation", 1.0, weights, 20_000)
  u = np.random.default_rng(0).uniform(-0.3, 0.3, (200_000, 2)) + 0.5
  expected = np.quantile(u[:, 0] / u.sum(1), np.linspace(0.05, 0.95, 7))
  np.testing.assert_allclose(
    np.quantile(moved[:, 0], np.linspace(0.05, 0.95, 7)), expected, atol=0.006
  )


def test_adversarial_perturbation_raises_the_loss_most():
  total = lambda moved: sum(
    m @ np.asarray(c) for m, c in zip(moved, jax.tree.leaves(COST), strict=True)
  )
  random, attack = (
    total(moves("random_perturbation", 1.0)),
    total(moves("adversarial_perturbation", 1.0)),
  )
  assert np.all(attack > float(linear(WEIGHTS)))
  assert np.all(attack.min() > random)
  # The same corner from every start.
  assert attack.std() < 0.02


def test_an_attack_that_does_not_raise_the_loss_is_taken_back():
  peak = lambda weights: (
    -sum(
      jnp.sum((w - v) ** 2) for w, v in zip(*map(jax.tree.leaves, (weights, WEIGHTS)), strict=True)
    )
  )
  attack = PERTURBATIONS["adversarial_perturbation"]
  moved = jax.jit(lambda weights: attack(jax.random.key(0), peak, weights, 1.0))(WEIGHTS)
  jax.tree.map(np.testing.assert_array_equal, moved, WEIGHTS)


LAYERS = {"a": 3, "b": 2, "c": 1}


def layered_loss(params, weights):
  """A chain of cells a, a, a, b, b, c; a place has mixing weights of its own or the shared ones."""
  x = params["x"]
  for name, count in LAYERS.items():
    for layer in range(count):
      own = [w[layer] if w.ndim == 2 else w for w in weights[name]]
      x = jnp.tanh(params[name][layer] * x + sum(jnp.vdot(w, jnp.sin(x[: w.size])) for w in own))
  return jnp.sum(x**2)


def test_layer_alignment_is_the_gradient_of_the_mean_cosine():
  draw = lambda *shape: jnp.asarray(RNG.normal(size=shape), jnp.float32)
  params = {"x": draw(4), "a": draw(3), "b": draw(2), "c": draw(1)}
  weights = {**WEIGHTS, "c": (jnp.array([0.5, 0.5]),)}

  def agreement(params):
    spread = {
      n: tuple(jnp.stack([w] * LAYERS[n]) for w in weights[n]) if n != "c" else weights[n]
      for n in weights
    }
    gradient = jax.grad(layered_loss, argnums=1)(params, spread)
    means = []
    for name in ("a", "b"):
      rows = [jnp.concatenate([g[i] for g in gradient[name]]) for i in range(LAYERS[name])]
      cosine = lambda a, b: a @ b / jnp.sqrt((a @ a) * (b @ b))
      pairs = [cosine(p, q) for i, p in enumerate(rows) for q in rows[:i]]
      means.append(sum(pairs) / len(pairs))
    return sum(means) / 2

  expected = jax.jit(jax.grad(agreement))(params)
  penalty = regularization.layer_alignment(0.5)
  got = jax.jit(lambda p, w, t: penalty(layered_loss, p, w, LAYERS, t))(params, weights, 0.25)
  for name in params:
    np.testing.assert_allclose(got[name], -0.5 * 0.25 * expected[name], rtol=2e-4, atol=1e-6)
  assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(got)) > 1e-4
  with pytest.raises(DnasError, match="needs a cell that stands at two or more places"):
    regularization.layer_alignment()(layered_loss, params, weights, {"a": 1}, 1.0)


def test_adversarial_steps_must_be_a_count():
  with pytest.raises(DnasError, match="steps must be a whole number"):
    regularization.adversarial_perturbation(steps=0)
