# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The blocks that operations, cells and stems are made of."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from dnas.nn import platform
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Function, Linear, Sequence
from dnas.nn.mode import Mode, random_keys
from dnas.nn.norm import BatchNorm
from dnas.space.space import SpaceError


class Zero(nnx.Module):
  """y = 0, of the right shape."""

  def __init__(self, c_out: int, stride: int):
    self.c_out, self.stride = c_out, stride

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Zeros `[B, ceil(H / stride), ceil(W / stride), c_out]`."""
    height, width = (-(-n // self.stride) for n in x.shape[1:3])
    return jnp.zeros((x.shape[0], height, width, self.c_out), x.dtype)


class Identity(nnx.Module):
  """y = x; drop-path passes over it."""

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Returns x."""
    return x


class Residual(nnx.Module):
  """y = x + f(x) as one operation: drop-path is for its f only, which drops it by itself."""


def drop(op: nnx.Module, x: jax.Array, mode: Mode) -> jax.Array:
  """op(x) with drop-path (see `drop_path`).

  Residual operations drop by themselves. Identities are left alone by drop-path; with
  `mode.skip_dropout` each of their numbers is dropped by itself. The result has the type of x: a
  user's operation may be made of Flax' layers, which give float32 for bfloat16.
  """
  y = op(x, mode).astype(x.dtype)  # pyright: ignore[reportCallIssue]
  if mode.train and mode.skip_dropout is not None and isinstance(op, Identity):
    keep = 1 - jnp.asarray(mode.skip_dropout, jnp.float32)
    mask = jax.random.bernoulli(mode.random_key("skip drop-out"), keep, y.shape)
    return y * (mask / keep).astype(y.dtype)
  return y if isinstance(op, Identity | Zero | Residual) else drop_path(y, mode)


def drop_path(y: jax.Array, mode: Mode) -> jax.Array:
  """y * b / (1 - p), b ~ Bernoulli(1 - p) for each example (1605.07648); y where nothing drops.

  Args:
    y: `[B, H, W, C]`.
    mode: p is its `drop_path`.
  """
  if not mode.train or mode.drop_path is None:
    return y
  return y * survival([mode], y.shape[0])[0, :, None, None, None].astype(y.dtype)


def survival(modes: list[Mode], batch: int) -> jax.Array:
  """b / (1 - p) of `drop_path` for n places at once, of equal p: `[n, batch]`."""
  keep = 1 - jnp.asarray(modes[0].drop_path, jnp.float32)
  draw = lambda key: jax.random.bernoulli(key, keep, (batch,))
  return jax.vmap(draw)(random_keys(modes, "drop-path")) / keep


class Noise(nnx.Module):
  """y ~ N(0, 1), drawn anew at every call in training (1909.09656, space S4).

  Where no key is given outside of training, as when a network is measured, timed or exported, it is
  the same at every call.
  """

  def __init__(self, c_out: int, stride: int):
    self.c_out, self.stride = c_out, stride

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Noise `[B, ceil(H / stride), ceil(W / stride), c_out]`."""
    height, width = (-(-n // self.stride) for n in x.shape[1:3])
    shape = (x.shape[0], height, width, self.c_out)
    if mode.key is None and not mode.train:
      mode = dataclasses.replace(mode, key=jax.random.key(0))
    return jax.random.normal(mode.random_key("the operation 'noise'"), shape, x.dtype)


class FactorizedReduce(nnx.Module):
  """Stride 2 without losing pixels: ReLU, two 1x1 convolutions on shifted grids, batch norm."""

  def __init__(self, c_in: int, c_out: int, *, affine: bool, rngs: Rngs):
    if c_out % 2:
      raise SpaceError(f"channels: a skip connection of stride 2 needs an even width, got {c_out}")
    self.relu = Function(jax.nn.relu)
    self.even = Conv(c_in, c_out // 2, 1, 2, rngs=rngs)
    self.odd = Conv(c_in, c_out // 2, 1, 2, rngs=rngs)
    self.norm = BatchNorm(c_out, affine=affine)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / 2), ceil(W / 2), c_out]`."""
    x = self.relu(x, mode)
    # An odd size has one odd pixel less than even ones: a row or column of zeros stands in.
    odd = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
    y = jnp.concatenate([self.even(x), self.odd(odd)], axis=-1)
    return self.norm(y, mode)


# The types below are what `dnas.nn.fused` recognises.


class ReluConvNorm(Sequence):
  """ReLU, convolution, batch norm."""


class ReluDepthwiseNorm(Sequence):
  """ReLU, depthwise convolution, pointwise convolution, batch norm."""


class Separable(Sequence):
  """Two `ReluDepthwiseNorm`."""


class PoolNorm(Sequence):
  """A `Pool`, batch norm."""


def relu_conv_bn(c_in, c_out, kernel, stride=1, *, affine, rngs) -> ReluConvNorm:
  """ReLU, convolution, batch norm."""
  conv = Conv(c_in, c_out, kernel, stride, rngs=rngs)
  return ReluConvNorm(jax.nn.relu, conv, BatchNorm(c_out, affine=affine))


def relu_depthwise_bn(c_in, c_out, kernel, stride, dilation, *, affine, rngs) -> ReluDepthwiseNorm:
  """ReLU, depthwise convolution, pointwise convolution, batch norm."""
  return ReluDepthwiseNorm(
    jax.nn.relu,
    Conv(c_in, c_in, kernel, stride, dilation=dilation, groups=c_in, rngs=rngs),
    Conv(c_in, c_out, 1, rngs=rngs),
    BatchNorm(c_out, affine=affine),
  )


def separable(c_in, c_out, kernel, stride, *, affine, rngs) -> Separable:
  """Depthwise-separable convolution twice, as DARTS and NASNet have it."""
  return Separable(
    relu_depthwise_bn(c_in, c_in, kernel, stride, 1, affine=affine, rngs=rngs),
    relu_depthwise_bn(c_in, c_out, kernel, 1, 1, affine=affine, rngs=rngs),
  )


class Pool(nnx.Module):
  """3x3 pooling that leaves the border out, behind a 1x1 convolution if the width changes.

  Args:
    pool: `depthwise.max_pool_3x3` or `depthwise.avg_pool_3x3`.
    c_in, c_out, stride: as for any operation.
  """

  def __init__(self, pool, c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs):
    self.pool, self.stride = pool, stride
    self.project = None if c_in == c_out else relu_conv_bn(c_in, c_out, 1, affine=affine, rngs=rngs)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    if self.project is not None:
      x = self.project(x, mode)
    return self.pool(x, self.stride)


class ResidualBlock(nnx.Module):
  """NAS-Bench-201's reduction: y = conv1x1(avg_pool_2x2(x)) + (ReLU-conv3x3-BN twice)(x)."""

  def __init__(self, c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs):
    self.stride = stride
    self.first = relu_conv_bn(c_in, c_out, 3, stride, affine=affine, rngs=rngs)
    self.second = relu_conv_bn(c_out, c_out, 3, affine=affine, rngs=rngs)
    self.shortcut = Conv(c_in, c_out, 1, rngs=rngs) if stride == 2 or c_in != c_out else None

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    y = self.second(self.first(x, mode), mode)
    if self.stride == 2:
      x = avg_pool_2x2(x)
    return y + (x if self.shortcut is None else self.shortcut(x))


class ChannelAttention(nnx.Module):
  """y = x * sigmoid(W2 relu(W1 mean(x))): each channel weighted by what the image holds.

  Squeeze-and-excitation (1709.01507, equations 2 to 4); on the edges of a fusion cell it weighs one
  scale against the other.

  Args:
    channels: of the features.
    hidden: width of W1's output; None: a quarter of the channels.
    activate: what stands in the place of ReLU.
    rngs: initialises the weights.
  """

  def __init__(
    self,
    channels: int,
    hidden: int | None = None,
    activate: Callable[[jax.Array], jax.Array] = jax.nn.relu,
    *,
    rngs: Rngs,
  ):
    hidden = max(channels // 4, 1) if hidden is None else hidden
    self.relu = Function(activate)
    self.first = Linear(channels, hidden, rngs=rngs)
    self.second = Linear(hidden, channels, rngs=rngs)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, C] -> [B, H, W, C]`."""
    gate = self.second(self.relu(self.first(x.mean((1, 2))), mode))
    return x * jax.nn.sigmoid(gate)[:, None, None]


def avg_pool_2x2(x: jax.Array) -> jax.Array:
  """Mean over 2x2 blocks, `[B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), C]`.

  At an odd border the block's pixels outside the image count as copies of the last ones.
  """
  height, width = x.shape[1:3]
  if platform.is_portable():
    # With copies at the border or without: the mean of the pixels that are in the image.
    window, padding = (1, 2, 2, 1), ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    total = lax.reduce_window(x, np.zeros((), x.dtype), lax.add, window, window, padding)
    rows, columns = (np.minimum(size - np.arange(0, size, 2), 2) for size in (height, width))
    return total * (1 / np.outer(rows, columns))[:, :, None].astype(x.dtype)
  x = evened(x)
  return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def evened(x: jax.Array) -> jax.Array:
  """`[B, H, W, C]` with the last row and column once more where their number is odd.

  Not by `jnp.pad`: of a batch that is split over devices, its gradient sends images between them.
  """
  for axis in (1, 2):
    if x.shape[axis] % 2:
      last = lax.slice_in_dim(x, x.shape[axis] - 1, None, axis=axis)
      x = jnp.concatenate([x, last], axis)
  return x


def bring_to(c_in: int, c_out: int, reduction: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """What a cell of several inputs puts before them: to `c_out` channels, 1 or 2 times smaller.

  Raises:
    SpaceError: `reduction` is neither 1 nor 2.
  """
  if reduction == 1:
    return relu_conv_bn(c_in, c_out, 1, affine=affine, rngs=rngs)
  if reduction == 2:
    return FactorizedReduce(c_in, c_out, affine=affine, rngs=rngs)
  raise SpaceError(f"stages: the inputs of a cell must differ by a stride of 1 or 2: {reduction}")
