# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the relaxations: every public function of the module has to join it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import config
from dnas.errors import DnasError
from dnas.strategy import relaxation

# Name -> the relaxation, and how the suite has to look at it.
MEMBERS = {
  "softmax": relaxation.softmax(),
  "gumbel_softmax": relaxation.gumbel_softmax(5.0, 0.1),
  "straight_through": relaxation.straight_through(),
  "straight_through_softmax": relaxation.straight_through(relaxation.softmax()),
  "sparsemax": relaxation.sparsemax(),
}
# Their noise belongs to a position: permuting the logits permutes the distribution, not a sample.
SAMPLED = {"gumbel_softmax", "straight_through"}
# At these the samples are compared with the probabilities of the exact relaxation, softmax.
SAMPLES = 4000
LOGITS = jnp.array([0.3, -0.4, 0.1, 0.7, -0.2])

each = pytest.mark.parametrize("name", MEMBERS)


def sample(name, logits, progress=0.5, seed=0, count=SAMPLES):
  keys = jax.random.split(jax.random.key(seed), count)
  return jax.vmap(MEMBERS[name], in_axes=(0, None, None))(keys, logits, progress)


def test_every_relaxation_has_joined():
  assert set(config.functions(relaxation)) <= set(MEMBERS)


@each
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_on_the_simplex(name, progress, scale):
  weights = sample(name, scale * LOGITS, progress, count=50)
  assert weights.shape == (50, 5)
  assert weights.dtype == jnp.float32
  assert np.all(weights >= 0)
  np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


@each
def test_gradient_is_finite_and_not_zero(name):
  slope = jnp.array([1.0, -2.0, 0.5, 0.0, 3.0])

  def expected(logits, key):
    return MEMBERS[name](key, logits, 0.5) @ slope

  keys = jax.random.split(jax.random.key(1), 20)
  for logits in (LOGITS, 0 * LOGITS, 100 * LOGITS):
    gradients = jax.vmap(jax.grad(expected), in_axes=(None, 0))(logits, keys)
    assert np.all(np.isfinite(gradients))
    # Weights sum to 1 whatever the logits: they answer to differences only.
    np.testing.assert_allclose(gradients.sum(1), 0, atol=1e-5)
    if np.abs(logits).max() < 10:
      assert np.all(np.abs(gradients).max(1) > 1e-3)


@each
def test_hard_limit(name):
  # With one logit far above the others the weights are one-hot there, whatever the noise.
  weights = sample(name, 200 * jax.nn.one_hot(2, 5), 1.0, count=50)
  np.testing.assert_allclose(weights, np.tile(np.eye(5)[2], (50, 1)), atol=1e-6)


@each
def test_permutation_equivariant(name):
  order = np.array([3, 0, 4, 1, 2])
  if name in SAMPLED:
    mean = sample(name, LOGITS).mean(0)
    np.testing.assert_allclose(sample(name, LOGITS[order], seed=1).mean(0), mean[order], atol=0.03)
  else:
    weights = MEMBERS[name](jax.random.key(0), LOGITS, 0.5)
    permuted = MEMBERS[name](jax.random.key(0), LOGITS[order], 0.5)
    np.testing.assert_allclose(permuted, weights[order], atol=1e-7)


@each
def test_traces_forward_over_reverse(name):
  # What a hypergradient does to it: the jvp of a gradient.
  def loss(logits):
    return jnp.sum(MEMBERS[name](jax.random.key(0), logits, 0.5) ** 2 * jnp.arange(5.0))

  _, tangent = jax.jvp(jax.grad(loss), (LOGITS,), (jnp.ones(5).at[0].set(2.0),))
  assert np.all(np.isfinite(tangent))


def test_softmax_is_the_formula():
  weights = MEMBERS["softmax"](jax.random.key(0), LOGITS, 0.0)
  np.testing.assert_allclose(weights, np.exp(LOGITS) / np.exp(LOGITS).sum(), rtol=1e-6)


def test_gumbel_samples_the_softmax_and_hardens():
  picked = jnp.argmax(sample("gumbel_softmax", 2 * LOGITS, 1.0), axis=1)
  share = np.bincount(picked, minlength=5) / SAMPLES
  np.testing.assert_allclose(share, jax.nn.softmax(2 * LOGITS), atol=0.03)
  largest = [float(sample("gumbel_softmax", LOGITS, p).max(1).mean()) for p in (0.0, 0.5, 1.0)]
  assert largest == sorted(largest)
  assert largest[0] < 0.4
  assert largest[2] > 0.9


def test_gumbel_temperature_runs_from_start_to_end():
  key = jax.random.key(3)
  noise = jax.random.gumbel(key, (5,))
  for progress, tau in ((0.0, 4.0), (0.25, 3.5), (1.0, 2.0)):
    weights = relaxation.gumbel_softmax(4.0, 2.0)(key, LOGITS, progress)
    np.testing.assert_allclose(weights, jax.nn.softmax((LOGITS + noise) / tau), rtol=1e-5)


@pytest.mark.parametrize("name", ["straight_through", "straight_through_softmax"])
def test_straight_through_is_hard_forward_and_soft_backward(name):
  key, slope = jax.random.key(5), jnp.array([1.0, -2.0, 0.5, 0.0, 3.0])
  soft = relaxation.softmax() if "softmax" in name else relaxation.gumbel_softmax(10.0, 0.1)
  hard = MEMBERS[name](key, LOGITS, 0.3)
  np.testing.assert_array_equal(hard, np.eye(5)[np.argmax(soft(key, LOGITS, 0.3))])
  np.testing.assert_allclose(
    jax.grad(lambda a: MEMBERS[name](key, a, 0.3) @ slope)(LOGITS),
    jax.grad(lambda a: soft(key, a, 0.3) @ slope)(LOGITS),
    rtol=1e-6,
  )


def test_sparsemax_is_the_projection():
  rng = np.random.default_rng(0)
  for _ in range(20):
    logits = rng.normal(size=6) * rng.choice([0.1, 1.0, 5.0])
    weights = np.asarray(MEMBERS["sparsemax"](jax.random.key(0), jnp.asarray(logits), 0.0))
    # The conditions of optimality: logits - weights is constant on the support, no larger off it.
    gap, support = logits - weights, weights > 0
    assert np.ptp(gap[support]) < 1e-5
    assert np.all(gap[~support] <= gap[support].min() + 1e-5)


def test_sparsemax_jacobian_is_exact():
  logits = jnp.array([0.9, 0.4, 0.6, -2.0])
  weights = MEMBERS["sparsemax"](jax.random.key(0), logits, 0.0)
  s = np.array(weights > 0, np.float32)
  assert s.tolist() == [1, 1, 1, 0]
  for derivative in (jax.jacrev, jax.jacfwd):
    jacobian = derivative(lambda a: MEMBERS["sparsemax"](jax.random.key(0), a, 0.0))(logits)
    np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s) / s.sum(), atol=1e-6)


@pytest.mark.parametrize("field", ["tau_start", "tau_end"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperatures_must_be_positive(field, value):
  with pytest.raises(DnasError, match=f"{field} must be above 0"):
    relaxation.gumbel_softmax(**{field: value})
