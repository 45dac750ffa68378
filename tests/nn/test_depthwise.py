# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Shifted slices against XLA's own convolution and pooling: values, gradients, second order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dnas.nn import blocks, csp, dense, depthwise, platform

SEED = jax.random.key(0)
# Compiling is all the time these tests take, and the code is to be compared, not to be fast.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def stock_convolve(x, kernel, stride, dilation, padding):
  return lax.conv_general_dilated(
    x,
    kernel[:, :, None],
    (stride, stride),
    [(padding, padding)] * 2,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=x.shape[-1],
  )


def stock_pool(x, stride, start, reduce):
  window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
  return lax.reduce_window(x, start, reduce, window, strides, [(0, 0), (1, 1), (1, 1), (0, 0)])


def stock_max(x, stride):
  return stock_pool(x, stride, -jnp.inf, lax.max)


def stock_avg(x, stride):
  return stock_pool(x, stride, 0.0, lax.add) / stock_pool(jnp.ones_like(x), stride, 0.0, lax.add)


def derivatives(f, second):
  """(args, direction) -> value, gradient and, if asked, Hessian times direction."""

  def compute(args, direction):
    gradient = jax.grad(lambda args: jnp.sin(f(*args)).sum())
    if not second:  # which is what takes the time to compile
      return f(*args), gradient(args)
    return f(*args), *jax.jvp(gradient, (args,), (direction,))

  return compute


def normals(*shapes):
  keys = jax.random.split(SEED, len(shapes))
  return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
  ("kernel", "dilation", "stride", "second"),
  [
    (3, 1, 1, False),
    (3, 1, 2, False),
    (3, 2, 1, False),
    (3, 2, 2, True),
    (5, 1, 2, False),
    pytest.param(3, 1, 1, True, marks=SLOW),
    pytest.param(5, 1, 1, True, marks=SLOW),
    pytest.param(5, 2, 1, True, marks=SLOW),
    pytest.param(5, 2, 2, True, marks=SLOW),
    pytest.param(7, 1, 1, True, marks=SLOW),
    pytest.param(7, 1, 2, True, marks=SLOW),
  ],
)
def test_convolution(kernel, dilation, stride, second):
  args = normals((2, 7, 8, 3), (kernel, kernel, 3))
  direction = normals((2, 7, 8, 3), (kernel, kernel, 3))
  setting = (stride, dilation, dilation * (kernel - 1) // 2)

  @jit
  def both(args, direction):
    return [
      derivatives(lambda x, k, f=f: f(x, k, *setting), second)(args, direction)
      for f in (depthwise.shifted, stock_convolve)
    ]

  ours, stock = both(args, direction)
  assert ours[0].shape == (2, -(-7 // stride), -(-8 // stride), 3)
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(stock), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_max_pooling_gives_the_gradient_to_the_first_of_equal_maxima():
  """A constant image: as in PyTorch, each window's gradient goes to its first pixel."""
  gradient = jit(jax.grad(lambda x: depthwise.max_pool_3x3(x, 1).sum()))(jnp.zeros((1, 3, 3, 1)))
  expected = np.array([[4, 2, 0], [2, 1, 0], [0, 0, 0]], np.float32)
  np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


def test_average_leaves_the_padding_out():
  average = jit(lambda x: [depthwise.avg_pool_3x3(x, stride) for stride in (1, 2)])
  for y in average(jnp.ones((1, 5, 4, 2))):
    np.testing.assert_allclose(y, 1, rtol=1e-6)


def test_platforms_agree(monkeypatch):
  """What runs on a GPU or TPU (XLA's convolution) equals what runs on a CPU; no padding here."""
  x, kernel = normals((2, 6, 6, 4), (3, 3, 4))
  on_cpu = jit(lambda: depthwise.convolve(x, kernel, 2, 1, 0))()
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  elsewhere = jit(lambda: depthwise.convolve(x, kernel, 2, 1, 0))()
  assert on_cpu.shape == (2, 2, 2, 4)
  np.testing.assert_allclose(on_cpu, elsewhere, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  ("pool", "arguments"),
  [
    (depthwise.max_pool_3x3, (1,)),
    (depthwise.max_pool_3x3, (2,)),
    (depthwise.avg_pool_3x3, (1,)),
    (depthwise.avg_pool_3x3, (2,)),
    (csp.max_pool_5x5, ()),
  ],
)
def test_portable_pools_are_equal_and_single_operations(pool, arguments):
  x = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype(np.float32)
  fast = pool(x, *arguments)
  with platform.portable():
    np.testing.assert_allclose(pool(x, *arguments), fast, rtol=1e-5, atol=1e-6)
    jaxpr = jax.make_jaxpr(lambda x: pool(x, *arguments))(x)
  names = [eqn.primitive.name for eqn in jaxpr.eqns]
  assert sum(name.startswith("reduce_window") for name in names) == 1
  assert set(names) <= {"reduce_window_max", "reduce_window_sum", "broadcast_in_dim", "mul"}


@pytest.mark.parametrize("size", [(7, 8), (6, 5)])
def test_portable_mean_of_2x2_is_equal(size):
  x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
  plain = blocks.avg_pool_2x2(x)
  with platform.portable():
    np.testing.assert_allclose(blocks.avg_pool_2x2(x), plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [depthwise.convolve, dense.convolve])
def test_portable_convolutions_are_single_operations(function):
  kernel = np.ones((3, 3, 4) if function is depthwise.convolve else (3, 3, 4, 4), np.float32)
  args = (1, 1, 1) if function is depthwise.convolve else ((1, 1), 1, (1, 1))
  with platform.portable():
    jaxpr = jax.make_jaxpr(lambda x: function(x, kernel, *args))(np.ones((1, 8, 8, 4), np.float32))
  assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["conv_general_dilated"]
