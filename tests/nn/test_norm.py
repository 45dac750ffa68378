# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Batch norm against Flax, PyTorch's rule for the running variance, and autodiff of the formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm, standardize

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
X = np.random.default_rng(0).normal(1.5, 2.0, (6, 5, 4, 3)).astype(np.float32)


def train(norm, x):
  """(output, running mean, running variance) of one call in training."""
  graphdef, state = nnx.split(norm)

  @jit
  def run(state, x):
    merged = nnx.merge(graphdef, state)
    y = merged(x, Mode(train=True))
    return y, merged.mean[...], merged.var[...]

  return run(state, x)


def test_equals_flax():
  ours, theirs = BatchNorm(3), nnx.BatchNorm(3, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0))
  scale, bias = np.array([0.5, 1, -2], np.float32), np.array([1, 0, 3], np.float32)
  for norm in (ours, theirs):
    norm.scale.set_value(jnp.asarray(scale))
    norm.bias.set_value(jnp.asarray(bias))
  graphdef, state = nnx.split(theirs)

  @jit
  def flax(state, x):
    merged = nnx.merge(graphdef, state)
    return merged(x, use_running_average=False), merged.mean[...]

  y, mean, _ = train(ours, X)
  expected, expected_mean = flax(state, X)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)


def test_running_statistics():
  """r <- 0.9 r + 0.1 batch, the variance with n - 1; two steps in a row."""
  norm = BatchNorm(3)
  mean, var = np.zeros(3), np.ones(3)
  for x in (X, 2 * X + 1):
    _, new_mean, new_var = train(norm, x)
    norm.mean.set_value(new_mean)
    norm.var.set_value(new_var)
    wide = x.astype(np.float64).reshape(-1, 3)
    mean = 0.9 * mean + 0.1 * wide.mean(0)
    var = 0.9 * var + 0.1 * wide.var(0, ddof=1)
    np.testing.assert_allclose(new_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(new_var, var, rtol=1e-5)
  y = jit(lambda: norm(jnp.asarray(X), Mode()))()
  np.testing.assert_allclose(y, (X - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)


def test_momentum_and_one_pixel():
  norm = BatchNorm(2, momentum=0.5)
  _, mean, var = train(norm, jnp.array([[4.0, -2.0]]))
  np.testing.assert_allclose(mean, [2, -1])
  np.testing.assert_allclose(var, [0.5, 0.5], err_msg="one value has no variance, and no 0 / 0")


def plain(x):
  """The formula itself, for autodiff."""
  axes = tuple(range(x.ndim - 1))
  centred = x - x.mean(axes)
  return centred / jnp.sqrt(jnp.square(centred).mean(axes) + 1e-5)


def test_gradients_equal_autodiff_to_second_order():
  """Gradient, and Hessian times a direction by forward over reverse, as hypergradients need it."""
  direction = np.random.default_rng(1).normal(size=X.shape).astype(np.float32)

  @jit
  def both(x, direction):
    results = []
    for f in (lambda x: standardize(x, 1e-5)[0], plain):
      gradient = jax.grad(lambda x, f=f: (jnp.sin(f(x)) * jnp.cos(x)).sum())
      results.append(jax.jvp(gradient, (x,), (direction,)))
    return results

  ours, expected = both(X, direction)
  for a, b in zip(ours, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


def test_no_gradient_through_the_statistics():
  gradient = jit(jax.grad(lambda x: sum(s.sum() for s in standardize(x, 1e-5)[1:])))(X)
  np.testing.assert_array_equal(gradient, 0)


def test_a_constant_channel_is_zero_and_its_gradient_finite():
  x = np.full((2, 3, 3, 1), 100.0, np.float32)
  y, gradient = jit(jax.value_and_grad(lambda x: jnp.square(standardize(x, 1e-5)[0]).sum()))(x)
  assert abs(y) < 1e-3
  assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("train_", [True, False])
def test_bfloat16_in_and_out_with_float32_statistics(train_):
  norm = BatchNorm(3)
  graphdef, state = nnx.split(norm)

  @jit
  def run(state, x):
    merged = nnx.merge(graphdef, state)
    return merged(x, Mode(train=train_)), merged.mean[...], merged.var[...]

  y, mean, var = run(state, X.astype(jnp.bfloat16))
  assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
  expected = (X - X.mean((0, 1, 2))) / X.std((0, 1, 2)) if train_ else X
  np.testing.assert_allclose(y.astype(np.float32), expected, atol=0.05)


def test_affine():
  searching = BatchNorm(3, affine=False)
  assert searching.scale is None
  assert searching.bias is None
  assert len(jax.tree.leaves(nnx.state(searching, nnx.Param))) == 0
  assert len(jax.tree.leaves(nnx.state(searching, nnx.BatchStat))) == 2
  assert len(jax.tree.leaves(nnx.state(BatchNorm(3), nnx.Param))) == 2
