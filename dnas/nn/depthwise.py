# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution, and 3x3 pooling, in the forms that are fast where we run.

XLA's grouped convolution on a CPU is several times slower than the sum of shifted slices below;
its max-pooling gradient (`select_and_scatter`) thirty times. On GPU and TPU the stock convolution
is used; for export stock pooling too (see `dnas.nn.platform`).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dnas.nn import platform


def convolve(
  x: jax.Array, kernel: jax.Array, stride: int, dilation: int, padding: int
) -> jax.Array:
  """y[h, w, c] = sum_ij kernel[i, j, c] * x[stride h + dilation i - padding, ..., c].

  Args:
    x: `[B, H, W, C]`.
    kernel: `[k, k, C]`.
    stride, dilation, padding: in both directions; padding with zeros.
  """
  if platform.on_cpu():
    return shifted(x, kernel, stride, dilation, padding)
  return lax.conv_general_dilated(
    x,
    kernel[:, :, None],
    (stride, stride),
    [(padding, padding)] * 2,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=x.shape[-1],
  )


def _pad(x: jax.Array, amount: int, value: float = 0.0) -> jax.Array:
  sides = (amount, amount)
  return jnp.pad(x, ((0, 0), sides, sides, (0, 0)), constant_values=value) if amount else x


def _tap(x: jax.Array, row: int, column: int, height: int, width: int, stride: int) -> jax.Array:
  """Every `stride`-th pixel of `x` from (row, column) on: `[B, height, width, C]`."""
  bottom, right = row + stride * (height - 1) + 1, column + stride * (width - 1) + 1
  return lax.slice(  # an order of magnitude cheaper to trace than indexing
    x, (0, row, column, 0), (x.shape[0], bottom, right, x.shape[3]), (1, stride, stride, 1)
  )


def _spread(g: jax.Array, stride: int, height: int, width: int, value=0.0) -> jax.Array:
  """The transpose of `_tap(., 0, 0, ...)`: `g` on every `stride`-th pixel of [height, width]."""
  if stride == 1 and g.shape[1:3] == (height, width):
    return g
  rows = height - (stride * (g.shape[1] - 1) + 1)
  columns = width - (stride * (g.shape[2] - 1) + 1)
  fill = jnp.asarray(value, g.dtype)
  inner = stride - 1
  return lax.pad(g, fill, [(0, 0, 0), (0, rows, inner), (0, columns, inner), (0, 0, 0)])


def _output_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
  return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def shifted(x: jax.Array, kernel: jax.Array, stride: int, dilation: int, padding: int):
  """`convolve` as a sum of k * k shifted slices, with the backward rule of the same form."""
  return _correlate(x, kernel, stride, dilation, padding)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))  # Traced once for all edges of a shape.
def _correlate(x, kernel, stride, dilation, padding):
  k = kernel.shape[0]
  height, width = (_output_size(n, k, stride, dilation, padding) for n in x.shape[1:3])
  padded, factors = _pad(x, padding), kernel.reshape(k * k, -1)

  def term(n: int) -> jax.Array:
    tap = _tap(padded, n // k * dilation, n % k * dilation, height, width, stride)
    factor = lax.index_in_dim(factors, n, keepdims=False)
    # Not by operators: each would be a function of its own to trace, and there are thousands.
    return lax.mul(tap, lax.broadcast_in_dim(factor, tap.shape, (3,)))

  return functools.reduce(lax.add, map(term, range(k * k)))


def _shifted_forward(x, kernel, stride, dilation, padding):
  return _correlate(x, kernel, stride, dilation, padding), (x, kernel)


def _shifted_backward(stride, dilation, padding, residuals, dy):
  x, kernel = residuals
  k = kernel.shape[0]
  # The input's gradient is the correlation of dy, spread to stride 1, with the flipped kernel.
  reach = dilation * (k - 1)
  height, width = (n + 2 * padding - reach for n in x.shape[1:3])
  spread = _spread(dy, stride, height, width)
  margin = reach - padding
  dx = platform.isolated(
    lambda spread, kernel: _correlate(spread, kernel, 1, dilation, margin),
    spread,
    kernel[::-1, ::-1],
  )
  return dx, _kernel_gradient(_pad(x, padding), dy, k, stride, dilation)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _kernel_gradient(padded, dy, k: int, stride: int, dilation: int):
  """dk[i, j, c] = sum over images and pixels of (x at tap i, j) * dy.

  XLA adds up number by number along images and pixels. So up to 8 bands of rows are added first,
  as vectors, and the rest is a product with ones. Columns and channels are one axis where they can
  be (stride 1): of 8 channels alone, vectors are short. The loop over taps is there to be compiled
  once.
  """
  batch, height, width, channels = dy.shape
  bands = next(n for n in range(8, 0, -1) if height % n == 0)
  rows = height // bands
  span = batch, stride * (rows - 1) + 1, stride * (width - 1) + 1, channels
  if stride == 1:
    padded = padded.reshape(batch, padded.shape[1], 1, -1)
    dy = dy.reshape(batch, height, 1, -1)
    span = batch, rows, 1, width * channels
  ones = jnp.ones((1, batch * rows * dy.shape[2]), dy.dtype)

  def one(tap):
    row, column = tap // k * dilation, tap % k * dilation
    place = (0, column * channels) if stride == 1 else (column, 0)

    def term(n: int) -> jax.Array:
      part = lax.dynamic_slice(padded, (0, row + n * rows * stride, *place), span)
      part = lax.slice(part, (0,) * 4, span, (1, stride, stride, 1)) if stride > 1 else part
      return lax.mul(part, lax.slice_in_dim(dy, n * rows, (n + 1) * rows, axis=1))

    total = functools.reduce(lax.add, map(term, range(bands)))
    total = jnp.reshape(total, (-1, dy.shape[3]))
    total = lax.dot_general(ones, total, (((1,), (0,)), ((), ())))
    return total.reshape(-1, channels).sum(0)

  return lax.map(one, jnp.arange(k * k)).reshape(k, k, channels)


shifted.defvjp(_shifted_forward, _shifted_backward)


def _window(stride: int) -> tuple[Any, ...]:
  """What `lax.reduce_window` takes for a 3x3 window over `[B, H, W, C]`: size, strides, padding."""
  return (1, 3, 3, 1), (1, stride, stride, 1), ((0, 0), (1, 1), (1, 1), (0, 0))


def max_pool_3x3(x: jax.Array, stride: int) -> jax.Array:
  """y[h, w] = max over the 3x3 window at stride * (h, w), the border left out; `[B, H, W, C]`.

  The gradient goes to the first of equal maxima in row-major order, as in PyTorch.
  """
  if platform.is_portable():
    smallest = np.asarray(-np.inf, x.dtype)
    return lax.reduce_window(x, smallest, lax.max, *_window(stride))
  return _max_pool(x, stride)  # pyright: ignore[reportReturnType]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: jax.Array, stride: int) -> jax.Array:
  return _max_forward(x, stride)[0]


_TIE = 1e-6  # of a value's size: what rounding may make of equal numbers


def _max_forward(x, stride):
  height, width = (_output_size(n, 3, stride, 1, 1) for n in x.shape[1:3])
  padded = _pad(x, 1, float(jnp.finfo(x.dtype).min))
  best = _tap(padded, 0, 0, height, width, stride)
  index = jnp.zeros(best.shape, jnp.int8)
  for n in range(1, 9):
    tap = _tap(padded, n // 3, n % 3, height, width, stride)
    # XLA may compute x anew, and rounded otherwise, for each tap and each consumer of the index. Of
    # two equal maxima it would take one here and the other there, and gradient would be lost or
    # doubled (5 % of it, behind a batch norm of plateaus). So later maxima must be clearly larger.
    index = jnp.where(tap - best > _TIE * (jnp.abs(best) + 0.1), jnp.int8(n), index)
    best = jnp.maximum(best, tap)
  return best, (index, x.shape)


def _max_backward(stride, residuals, dy):
  index, shape = residuals
  # Output (h, w) took input stride * (h, w) + tap - 1: gather from the outputs around each input.
  height, width = shape[1] + 2, shape[2] + 2
  spread = _pad(_spread(dy, stride, height, width), 2)
  origin = _pad(_spread(index, stride, height, width, value=-1), 2, -1)
  dx = jnp.zeros(shape, dy.dtype)
  for n in range(9):
    row, column = 3 - n // 3, 3 - n % 3
    chosen = _tap(origin, row, column, shape[1], shape[2], 1) == n
    dx = dx + jnp.where(chosen, _tap(spread, row, column, shape[1], shape[2], 1), 0)
  return (dx,)


_max_pool.defvjp(_max_forward, _max_backward)


def avg_pool_3x3(x: jax.Array, stride: int) -> jax.Array:
  """y[h, w] = mean over the part of the 3x3 window at stride * (h, w) that lies in the image."""
  if platform.is_portable():
    total = lax.reduce_window(x, np.zeros((), x.dtype), lax.add, *_window(stride))
    return total * _inverse_count(*x.shape[1:3])[::stride, ::stride].astype(x.dtype)
  return _avg_pool(x, stride)  # pyright: ignore[reportReturnType]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _avg_pool(x: jax.Array, stride: int) -> jax.Array:
  return _avg_forward(x, stride)[0]


def _box(x):
  """Sum over the 3x3 window around each pixel; its own transpose."""
  height, width = x.shape[1:3]
  padded = _pad(x, 1)
  rows = padded[:, :height] + padded[:, 1 : height + 1] + padded[:, 2:]
  return rows[:, :, :width] + rows[:, :, 1 : width + 1] + rows[:, :, 2:]


def _inverse_count(height: int, width: int) -> np.ndarray:
  """One over the number of pixels that the window around each has in the image: [H, W, 1]."""
  at = lambda size: np.arange(size)
  inside = lambda n: np.minimum(at(n) + 1, n - 1) - np.maximum(at(n) - 1, 0) + 1
  return (1 / np.outer(inside(height), inside(width))).astype(np.float32)[:, :, None]


def _avg_forward(x, stride):
  inverse = _inverse_count(*x.shape[1:3])
  y = _box(x)[:, ::stride, ::stride] * inverse[::stride, ::stride].astype(x.dtype)
  return y, x.shape


def _avg_backward(stride, shape, dy):
  inverse = _inverse_count(*shape[1:3])[::stride, ::stride]
  return (_box(_spread(dy * inverse.astype(dy.dtype), stride, *shape[1:3])),)


_avg_pool.defvjp(_avg_forward, _avg_backward)
