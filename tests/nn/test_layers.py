# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions and linear layers against XLA's own; initial weights; glue."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from dnas.nn import layers
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Function, Linear, Sequence
from dnas.nn.mode import Mode

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
X = np.random.default_rng(0).normal(size=(2, 7, 6, 4)).astype(np.float32)


@pytest.mark.parametrize(
  ("options", "shape"),
  [
    (dict(kernel=3), (2, 7, 6, 8)),
    (dict(kernel=3, stride=2), (2, 4, 3, 8)),
    (dict(kernel=1, stride=2), (2, 4, 3, 8)),
    (dict(kernel=3, dilation=2), (2, 7, 6, 8)),
    (dict(kernel=3, groups=2, bias=True), (2, 7, 6, 8)),
    (dict(kernel=(1, 7), stride=(1, 2)), (2, 7, 3, 8)),
    (dict(kernel=2, padding=(0, 0)), (2, 6, 5, 8)),
    (dict(kernel=3, groups=4), (2, 7, 6, 8)),
  ],
)
def test_shapes(options, shape):
  conv = Conv(4, 8, rngs=Rngs(0), **options)
  assert jax.eval_shape(conv, X).shape == shape
  assert jax.eval_shape(conv, X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_convolution_is_what_it_says():
  """y[b, h, w, o] = b[o] + sum_ijc k[i, j, c, o] x[b, 2 h + i - 1, 2 w + j - 1, c], in loops."""
  conv = Conv(4, 3, 3, 2, bias=True, rngs=Rngs(0))
  kernel, bias = np.asarray(conv.kernel[...]), np.asarray(conv.bias[...])
  padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
  expected = np.empty((2, 4, 3, 3))
  for h in range(4):
    for w in range(3):
      window = padded[:, 2 * h : 2 * h + 3, 2 * w : 2 * w + 3]
      expected[:, h, w] = np.einsum("bijc,ijco->bo", window, kernel) + bias
  np.testing.assert_allclose(jit(lambda x: conv(x))(X), expected, rtol=1e-5, atol=1e-5)


def test_padding_is_symmetric_unlike_xla_same():
  kernel = np.ones((3, 3, 1, 1), np.float32)
  x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
  y = jit(lambda: layers.conv2d(x, kernel, 2))()
  assert y[0, 0, 0, 0] == 0 + 1 + 4 + 5
  same = lax.conv_general_dilated_patches(x, (3, 3), (2, 2), "SAME").sum()
  assert y.sum() != same


@pytest.mark.parametrize(
  ("c_out", "padding"), [(2, (1, 1)), (4, (1, 0)), (4, (1, 1))], ids=["wide", "uneven", "depthwise"]
)
def test_groups_and_paddings_of_any_kind(c_out, padding):
  """Depthwise ones take a way of their own, which those that only look like it must not."""
  groups = min(4, c_out)
  conv = Conv(4, c_out, 3, groups=groups, padding=padding, rngs=Rngs(0))
  stock = functools.partial(
    lax.conv_general_dilated,
    window_strides=(1, 1),
    padding=[(p, p) for p in padding],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=groups,
  )
  expected = stock(X, conv.kernel[...])
  np.testing.assert_allclose(jit(lambda x: conv(x))(X), expected, rtol=1e-5, atol=1e-5)


def test_groups_must_divide():
  with pytest.raises(ValueError, match="groups=3 must divide c_in=4 and c_out=6"):
    Conv(4, 6, 3, groups=3, rngs=Rngs(0))


def test_linear():
  linear = Linear(4, 3, rngs=Rngs(1))
  expected = X[:, 0, 0] @ np.asarray(linear.kernel[...]) + np.asarray(linear.bias[...])
  np.testing.assert_allclose(linear(X[:, 0, 0]), expected, rtol=1e-5)


def test_initial_weights_have_pytorchs_bound():
  """U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), fan_in = k k c_in / groups."""
  conv = Conv(16, 32, 3, groups=2, bias=True, rngs=Rngs(0))
  bound = (9 * 8) ** -0.5
  for values in (conv.kernel[...], conv.bias[...]):
    assert 0.9 * bound < abs(values).max() <= bound
  linear = Linear(25, 40, rngs=Rngs(0))
  assert 0.18 < abs(linear.kernel[...]).max() <= 0.2


def test_sequence_takes_functions_and_gives_each_layer_its_place():
  class Path(nnx.Module):
    def __call__(self, x, mode):
      return (*x, mode.path)

  sequence = Sequence(Path(), Function(lambda x: x), lambda x: x, Path())
  assert sequence((), Mode().at(7)) == ((7, 0), (7, 3))
