# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Dense convolution, in the forms whose gradients are fast where we run.

On a CPU XLA brings a program's convolutions into the one layout for which it has fast code, NHWC
with HWIO, but not those inside loops and conditionals: where JAX writes a gradient in another
layout, it becomes a naive loop there, 50 times slower. So the gradients below are written in that
layout: the very same numbers, as fast in a branch of `lax.switch` as outside, and so are their
products with vectors in forward mode (`jax.jvp` of `jax.grad`). They are not rules themselves, for
forward mode does not pass those; reverse mode over them leaves the layout again.

The gradient of the kernel has two forms. `convolve`, for networks whose layers follow one another,
takes one matrix product per tap: more processor time, but on all cores. `stock` takes one
convolution, XLA's own choice, where operations run side by side (`fused`). On GPU and TPU, and for
export, all is left to XLA.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dnas.nn import platform

Pair = tuple[int, int]
Pairs = tuple[Pair, Pair]


def convolve(
  x: jax.Array, kernel: jax.Array, stride: Pair, dilation: int, padding: Pair
) -> jax.Array:
  """y[h, w] = sum_ij x[stride h + dilation i - padding, ...] kernel[i, j].

  Args:
    x: `[B, H, W, I]`.
    kernel: `[kh, kw, I, O]`.
    stride, padding: (height, width); padding with zeros.
    dilation: in both directions.
  """
  if not platform.on_cpu():
    return stock(x, kernel, stride, dilation, padding)
  if kernel.shape[:2] == (1, 1) and padding == (0, 0):
    x = lax.slice(x, (0,) * 4, x.shape, (1, *stride, 1)) if stride != (1, 1) else x
    # Over pixels as one axis: with three to sum over, XLA transposes for the kernel's gradient.
    return (x.reshape(-1, x.shape[3]) @ kernel[0, 0]).reshape(*x.shape[:3], -1)
  return by_taps(x, kernel, stride, dilation, padding)


def stock(x, kernel, stride: Pair, dilation: int, padding: Pair) -> jax.Array:
  """`convolve` as XLA would compute it, gradients included."""
  run: Any = _by_convolution if platform.on_cpu() else _nhwc
  return run(x, kernel, stride, (dilation, dilation), _both_sides(padding))


def _nhwc(x, kernel, stride: Pair, dilation: Pair, padding: Pairs) -> jax.Array:
  return lax.conv_general_dilated(
    x,
    kernel,
    stride,
    padding,
    rhs_dilation=dilation,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def _both_sides(padding: Pair) -> Pairs:
  rows, columns = padding
  return (rows, rows), (columns, columns)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _by_convolution(x: jax.Array, kernel: jax.Array, stride: Pair, dilation: Pair, padding: Pairs):
  """`_nhwc` with gradients in the same layout."""
  return _nhwc(x, kernel, stride, dilation, padding)


def _kept(x, kernel, stride, dilation, padding):
  return _nhwc(x, kernel, stride, dilation, padding), (x, kernel)


def _backward_by_convolution(stride, dilation, padding, residuals, dy):
  x, kernel = residuals
  dx = _input_gradient(x.shape, kernel, stride, dilation, padding, dy)
  # Batch and channels change places: dkernel = x^T * dy, where dy is spread by the stride.
  reach = _reach(kernel.shape[:2], dilation), _reach(dy.shape[1:3], stride)
  pads: Any = tuple(
    (low, across + along - 1 - size - low)
    for size, (low, _), across, along in zip(x.shape[1:3], padding, *reach, strict=True)
  )
  turned = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
  return dx, _nhwc(*turned, dilation, stride, pads).transpose(1, 2, 0, 3)


def _reach(sizes: Sequence[int], step: Pair) -> tuple[int, ...]:
  """The pixels from the first to the last of so many, `step` apart."""
  return tuple(s * (n - 1) + 1 for n, s in zip(sizes, step, strict=True))


def _input_gradient(shape, kernel, stride, dilation, padding: Pairs, dy) -> jax.Array:
  """dx = dy, spread by the stride, convolved with the kernel turned around."""
  if stride != (1, 1):
    inner = [(0, 0, s - 1) for s in (1, *stride, 1)]
    dy = lax.pad(dy, jnp.zeros((), dy.dtype), inner)
  window = _reach(kernel.shape[:2], dilation)
  pads: Any = tuple(
    (k - 1 - low, size + low - n)
    for size, k, n, (low, _) in zip(shape[1:3], window, dy.shape[1:3], padding, strict=True)
  )
  return _nhwc(dy, kernel[::-1, ::-1].swapaxes(2, 3), (1, 1), dilation, pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def by_taps(x: jax.Array, kernel: jax.Array, stride: Pair, dilation: int, padding: Pair):
  """`convolve` with dkernel[i, j] = (x at tap i, j)^T dy, a matrix product over all pixels."""
  return _nhwc(x, kernel, stride, (dilation, dilation), _both_sides(padding))


def _taps_forward(x, kernel, stride, dilation, padding):
  return _nhwc(x, kernel, stride, (dilation, dilation), _both_sides(padding)), (x, kernel)


def _taps_backward(stride, dilation, padding, residuals, dy):
  x, kernel = residuals
  both = _both_sides(padding)
  dx = _input_gradient(x.shape, kernel, stride, (dilation, dilation), both, dy)
  kh, kw, c_in, c_out = kernel.shape
  batch, height, width, _ = dy.shape
  padded = jnp.pad(x, ((0, 0), *both, (0, 0)))
  flat = dy.reshape(-1, c_out)
  products = []
  for i in range(kh):
    for j in range(kw):
      row, column = i * dilation, j * dilation
      bottom = row + stride[0] * (height - 1) + 1
      right = column + stride[1] * (width - 1) + 1
      tap = lax.slice(padded, (0, row, column, 0), (batch, bottom, right, c_in), (1, *stride, 1))
      products.append(lax.dot_general(tap.reshape(-1, c_in), flat, (((0,), (0,)), ((), ()))))
  return dx, jnp.stack(products).reshape(kernel.shape)


_by_convolution.defvjp(_kept, _backward_by_convolution)
by_taps.defvjp(_taps_forward, _taps_backward)
