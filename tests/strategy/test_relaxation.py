# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the relaxations: every public function of the module has to join it."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.strategy import relaxation

# Name -> the relaxation, and how the suite has to look at it.
MEMBERS = {
  "softmax": relaxation.softmax(),
  "gumbel_softmax": relaxation.gumbel_softmax(5.0, 0.1),
  "straight_through": relaxation.straight_through(),
  "straight_through_softmax": relaxation.straight_through(relaxation.softmax()),
  "sparsemax": relaxation.sparsemax(),
  "sigmoid": relaxation.sigmoid(),
  "dirichlet": relaxation.dirichlet(),
  "score_function": relaxation.score_function(),
  "two_paths": relaxation.two_paths(),
}
# Their noise belongs to a position: permuting the logits permutes the distribution, not a sample.
SAMPLED = {"gumbel_softmax", "straight_through", "dirichlet", "score_function", "two_paths"}
SAMPLES = 4000
LOGITS = jnp.array([0.3, -0.4, 0.1, 0.7, -0.2])

each = pytest.mark.parametrize("name", MEMBERS)


COST = jnp.array([1.0, -2.0, 0.5, 0.2, 3.0])


@functools.cache
def sampler(name):
  return jax.jit(jax.vmap(MEMBERS[name], in_axes=(0, None, None)))


@functools.cache
def cost_and_slope(name):
  """keys [N], logits, progress -> <COST, w> [N] and its gradients [N, O]."""
  cost = lambda logits, key, progress: MEMBERS[name](key, logits, progress) @ COST
  return jax.jit(jax.vmap(jax.value_and_grad(cost), in_axes=(None, 0, None)))


def sample(name, logits, progress=0.5, seed=0, count=SAMPLES):
  return np.asarray(sampler(name)(jax.random.split(jax.random.key(seed), count), logits, progress))


def test_every_relaxation_has_joined():
  assert set(naming.functions(relaxation)) <= set(MEMBERS)


@each
def test_on_the_simplex(name):
  for scale, progress in itertools.product((0.0, 1.0, 1e4), (0.0, 0.5, 1.0)):
    weights = sample(name, scale * LOGITS, progress, count=50)
    assert weights.shape == (50, 5)
    assert weights.dtype == jnp.float32
    assert np.all(weights >= 0)
    if name == "sigmoid":  # by definition: its operations do not share a budget of 1
      assert np.all(weights <= 1)
    else:
      np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


@each
def test_gradient_is_finite_and_not_zero(name):
  keys = jax.random.split(jax.random.key(1), 50)
  for logits in (LOGITS, 0 * LOGITS, 100 * LOGITS):
    _, gradients = cost_and_slope(name)(logits, keys, 0.5)
    assert np.all(np.isfinite(gradients))
    if name not in ("sigmoid", "dirichlet"):
      # The others answer to differences of logits only.
      np.testing.assert_allclose(gradients.sum(1), 0, atol=1e-5)
    if np.abs(logits).max() < 10:
      assert np.mean(np.abs(gradients).max(1) > 1e-3) > 0.9


@each
def test_hard_limit(name):
  # With one logit far above the others the weights are one-hot there, whatever the noise. (A
  # Dirichlet with concentrations near 0 but for one; a sigmoid needs the others far below 0.)
  logits = 200 * (2 * jax.nn.one_hot(2, 5) - 1)
  weights = sample(name, logits, 1.0, count=50)
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


# Gamma samples have no second derivative; a hypergradient takes none in the logits.
@pytest.mark.parametrize("name", sorted(set(MEMBERS) - {"dirichlet"}))
def test_traces_forward_over_reverse(name):
  # What a hypergradient does to it: the jvp of a gradient.
  def loss(logits):
    return jnp.sum(MEMBERS[name](jax.random.key(0), logits, 0.5) ** 2 * jnp.arange(5.0))

  _, tangent = jax.jvp(jax.grad(loss), (LOGITS,), (jnp.ones(5).at[0].set(2.0),))
  assert np.all(np.isfinite(tangent))


# The mean of <COST, w> as a function of the logits, in closed form.
EXPECTED = {
  "score_function": lambda a: jax.nn.softmax(a) @ COST,
  "dirichlet": lambda a: (jax.nn.elu(a) + 1) / jnp.sum(jax.nn.elu(a) + 1) @ COST,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_gradient_is_an_unbiased_estimate(name):
  keys = jax.random.split(jax.random.key(2), 40_000)
  values, gradients = cost_and_slope(name)(LOGITS, keys, 0.5)
  error = np.std(gradients, axis=0) / np.sqrt(len(keys))
  assert np.all(error < 0.02)
  exact_value, exact = jax.value_and_grad(EXPECTED[name])(LOGITS)
  np.testing.assert_allclose(values.mean(), exact_value, atol=0.03)
  assert np.all(np.abs(gradients.mean(0) - exact) < 4.5 * error)


def test_dirichlet_of_a_quadratic_loss():
  # Unbiased not only for linear losses: E[w_0^2] = b_0 (b_0 + 1) / (b (b + 1)), b = sum of b_o.
  def exact(a):
    beta = jax.nn.elu(a) + 1
    return beta[0] * (beta[0] + 1) / (beta.sum() * (beta.sum() + 1))

  keys = jax.random.split(jax.random.key(3), 40_000)
  gradient = jax.grad(lambda a, k: MEMBERS["dirichlet"](k, a, 0.5)[0] ** 2)
  gradients = jax.jit(jax.vmap(gradient, in_axes=(None, 0)))(LOGITS, keys)
  error = np.std(gradients, axis=0) / np.sqrt(len(keys))
  assert np.all(np.abs(gradients.mean(0) - jax.grad(exact)(LOGITS)) < 4.5 * error)


def within_the_noise(rule, loss, exact):
  """Whether the mean gradient of loss(rule(logits)) for two operations is that of exact(logits)."""
  sampled = lambda a, key: loss(rule(key, a, 0.5))
  keys = jax.random.split(jax.random.key(4), 40_000)
  gradients = jax.jit(jax.vmap(jax.grad(sampled), in_axes=(None, 0)))(LOGITS[:2], keys)
  error = np.std(gradients, axis=0) / np.sqrt(len(keys))
  assert np.all(error < 1e-3)
  return np.all(np.abs(gradients.mean(0) - jax.grad(exact)(LOGITS[:2])) < 4.5 * error)


def test_gumbel_softmax_of_a_quadratic_loss():
  # Of two operations w_0 = sigmoid((a_0 - a_1 + l) / tau), l ~ Logistic(0, 1): a one-dimensional
  # integral, here over the quantiles of l.
  u = (np.arange(20_000) + 0.5) / 20_000
  noise, tau = jnp.asarray(np.log(u / (1 - u)), jnp.float32), 2.0
  soft = lambda a: jax.nn.sigmoid((a[0] - a[1] + noise) / tau)
  rule = relaxation.gumbel_softmax(tau, tau)
  assert within_the_noise(rule, lambda w: w[0] ** 2, lambda a: jnp.mean(soft(a) ** 2))
  # Straight through it, the estimate is that of the soft mean, and only for linear losses.
  hard = relaxation.straight_through(rule)
  assert within_the_noise(hard, lambda w: w[0], lambda a: jnp.mean(soft(a)))
  assert not within_the_noise(hard, lambda w: w[0] ** 2, lambda a: jnp.mean(soft(a) ** 2))


def test_score_function_is_the_estimator():
  key = jax.random.key(11)
  weights = MEMBERS["score_function"](key, LOGITS, 0.5)
  picked = int(jnp.argmax(weights))
  np.testing.assert_array_equal(weights, np.eye(5)[picked])
  gradient = jax.grad(lambda a: MEMBERS["score_function"](key, a, 0.5) @ COST)(LOGITS)
  expected = COST[picked] * (np.eye(5)[picked] - jax.nn.softmax(LOGITS))
  np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_two_paths_moves_only_the_two():
  keys = jax.random.split(jax.random.key(0), 50)
  _, gradients = cost_and_slope("two_paths")(LOGITS, keys, 0.5)
  p = np.exp(LOGITS)
  for weight, gradient in zip(sample("two_paths", LOGITS, count=50), gradients, strict=True):
    a, b = np.flatnonzero(gradient)
    assert np.argmax(weight) in (a, b)
    q = p[a] / (p[a] + p[b])
    np.testing.assert_allclose(gradient[a], q * (1 - q) * (COST[a] - COST[b]), rtol=1e-4)


def test_two_paths_on_average():
  # The sum over pairs of their probability times the gradient of their own softmax.
  p = np.asarray(jax.nn.softmax(LOGITS), np.float64)
  exact = np.zeros(5)
  for a, b in itertools.permutations(range(5), 2):
    q = p[a] / (p[a] + p[b])
    slope = p[a] * p[b] / (1 - p[a]) * q * (1 - q) * (COST[a] - COST[b])
    exact += slope * (np.eye(5)[a] - np.eye(5)[b])
  _, gradients = cost_and_slope("two_paths")(LOGITS, jax.random.split(jax.random.key(6), 40_000), 0)
  error = np.std(gradients, axis=0) / np.sqrt(len(gradients))
  assert np.all(np.abs(gradients.mean(0) - exact) < 4.5 * error)
  # Of two operations there is one pair: every sample has the exact gradient.
  of_two = jax.grad(lambda a, key: MEMBERS["two_paths"](key, a, 0.5) @ COST[:2])
  expected = jax.grad(lambda a: jax.nn.softmax(a) @ COST[:2])(LOGITS[:2])
  np.testing.assert_allclose(of_two(LOGITS[:2], jax.random.key(0)), expected, rtol=1e-5)


def test_two_paths_samples_pairs_without_replacement_then_one():
  picked = np.argmax(sample("two_paths", 2 * LOGITS), axis=1)
  p = np.asarray(jax.nn.softmax(2 * LOGITS), np.float64)
  expected = np.zeros(5)
  for a in range(5):
    for b in range(5):
      if a != b:
        expected[a] += p[a] * p[b] * (1 / (1 - p[a]) + 1 / (1 - p[b])) * p[a] / (p[a] + p[b])
  np.testing.assert_allclose(expected.sum(), 1, rtol=1e-6)
  np.testing.assert_allclose(np.bincount(picked, minlength=5) / SAMPLES, expected, atol=0.03)


def test_softmax_is_the_formula():
  weights = MEMBERS["softmax"](jax.random.key(0), LOGITS, 0.0)
  np.testing.assert_allclose(weights, np.exp(LOGITS) / np.exp(LOGITS).sum(), rtol=1e-6)


def test_sigmoid_is_the_formula_and_operations_do_not_compete():
  rule = MEMBERS["sigmoid"]
  weights = rule(jax.random.key(0), LOGITS, 0.0)
  np.testing.assert_allclose(weights, 1 / (1 + np.exp(-LOGITS)), rtol=1e-6)
  moved = rule(jax.random.key(0), LOGITS.at[1].set(5.0), 0.0)
  assert (moved != weights).tolist() == [False, True, False, False, False]


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


def test_sparsemax_leaves_out_an_operation_of_weight_0():
  # It is on the border of the support, and not of it: S = {o: w_o > 0}.
  rule = lambda a: MEMBERS["sparsemax"](jax.random.key(0), a, 0.0)
  logits = jnp.array([1.0, 0.0])
  assert rule(logits).tolist() == [1, 0]
  assert not np.any(jax.jacrev(rule)(logits))


@pytest.mark.parametrize("field", ["tau_start", "tau_end"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperatures_must_be_positive(field, value):
  with pytest.raises(DnasError, match=f"{field} must be above 0"):
    relaxation.gumbel_softmax(**{field: value})


def test_temperatures_must_be_numbers():
  with pytest.raises(DnasError, match=r"tau_start must be a number \(above 0\), got 'hot'"):
    relaxation.gumbel_softmax(tau_start="hot")  # pyright: ignore[reportArgumentType]
