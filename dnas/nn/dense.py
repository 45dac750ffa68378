# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Dense convolution, in the form whose gradient is fast where we run.

XLA's weight gradient on a CPU transposes its operands to make batch and channels change places, and
computes on one core. Here it is one matrix product per tap of the kernel, on all cores: more
processor time, but less to wait for in a network whose layers follow one another. Where operations
run side by side (`fused`), and on GPU and TPU, and for export, the stock convolution is used.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from dnas.nn import platform

Pair = tuple[int, int]


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
    return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())))
  return by_taps(x, kernel, stride, dilation, padding)


def stock(x, kernel, stride: Pair, dilation: int, padding: Pair) -> jax.Array:
  """`convolve` by XLA's convolution and its gradients."""
  return lax.conv_general_dilated(
    x,
    kernel,
    stride,
    [(p, p) for p in padding],
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def by_taps(x: jax.Array, kernel: jax.Array, stride: Pair, dilation: int, padding: Pair):
  """`convolve` with dkernel[i, j] = (x at tap i, j)^T dy, a matrix product over all pixels."""
  return stock(x, kernel, stride, dilation, padding)


def _forward(x, kernel, stride, dilation, padding):
  return stock(x, kernel, stride, dilation, padding), (x, kernel)


def _backward(stride, dilation, padding, residuals, dy):
  x, kernel = residuals
  _, transpose = jax.vjp(lambda x: stock(x, kernel, stride, dilation, padding), x)
  (dx,) = transpose(dy)
  kh, kw, c_in, c_out = kernel.shape
  batch, height, width, _ = dy.shape
  padded = jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
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


by_taps.defvjp(_forward, _backward)
