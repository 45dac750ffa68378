# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation with its own backward rule and statistics that trace in linear time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from dnas.nn.mode import Mode


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def standardize(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Gives y = (x - mean) / sqrt(var + epsilon) over all axes but the last.

  The statistics are computed in one pass and in float32, var = E[x^2] - E[x]^2: exact enough behind
  a convolution, whose outputs have means of the order of their deviation.

  Args:
    x: `[..., C]`.
    epsilon: added to the variance.

  Returns:
    y like x; mean and (biased) variance, `[C]` in float32. No gradient flows through these two.
  """
  return _standardize_forward(x, epsilon)[0]


def statistics(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Mean, biased variance and 1 / sqrt(variance + epsilon) of `[..., C]`: see `standardize`."""
  axes = tuple(range(x.ndim - 1))
  wide = x.astype(jnp.float32)
  mean = wide.mean(axes)
  var = jnp.maximum(jnp.square(wide).mean(axes) - jnp.square(mean), 0)
  return mean, var, lax.rsqrt(var + epsilon)


def _standardize_forward(x, epsilon):
  mean, var, inverse = statistics(x, epsilon)
  y = ((x.astype(jnp.float32) - mean) * inverse).astype(x.dtype)
  return (y, mean, var), (y, inverse)


def _standardize_backward(epsilon, residuals, cotangents):
  """Gives dx = inverse * (dy - mean(dy) - y * mean(y * dy))."""
  del epsilon
  y, inverse = residuals
  axes = tuple(range(y.ndim - 1))
  dy = cotangents[0].astype(jnp.float32)
  wide = y.astype(jnp.float32)
  dx = inverse * (dy - dy.mean(axes) - wide * (wide * dy).mean(axes))
  return (dx.astype(y.dtype),)


standardize.defvjp(_standardize_forward, _standardize_backward)


class BatchNorm(nnx.Module):
  """Batch normalisation over all axes but the last (1502.03167).

  Training: y = scale * (x - mean) / sqrt(var + epsilon) + bias with the batch's statistics; the
  running ones move by r <- momentum * r + (1 - momentum) * batch (the variance unbiased, as in
  PyTorch). Otherwise: the running statistics. Under jit over a mesh the batch is the global one.

  Attributes:
    scale, bias: `[C]`, or None where `affine` is false (while searching: the scale would otherwise
      compete with the mixing weights).
    mean, var: `[C]`, the running statistics.
  """

  def __init__(
    self,
    channels: int,
    *,
    affine: bool = True,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
  ):
    self.scale = nnx.Param(np.ones(channels, np.float32)) if affine else None
    self.bias = nnx.Param(np.zeros(channels, np.float32)) if affine else None
    self.mean = nnx.BatchStat(np.zeros(channels, np.float32))
    self.var = nnx.BatchStat(np.ones(channels, np.float32))
    self.momentum = momentum
    self.epsilon = epsilon

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Normalises `x` `[..., C]`."""
    if mode.train:
      y, mean, var = standardize(x, self.epsilon)  # pyright: ignore[reportGeneralTypeIssues]
      self.track(mean, var, x.size // x.shape[-1])
    else:
      inverse = lax.rsqrt(self.var[...] + self.epsilon)
      y = ((x - self.mean[...]) * inverse).astype(x.dtype)
    if self.scale is None or self.bias is None:
      return y
    return y * self.scale[...].astype(y.dtype) + self.bias[...].astype(y.dtype)

  def track(self, mean: jax.Array, var: jax.Array, count: int) -> None:
    """Moves the running statistics by those of a batch: mean and biased variance of `count` values.

    `set_value` keeps tracing linear in the number of layers.
    """
    unbiased = var * (count / max(count - 1, 1))
    for variable, value in ((self.mean, mean), (self.var, unbiased)):
      value = lax.stop_gradient(value)
      variable.set_value(self.momentum * variable[...] + (1 - self.momentum) * value)
