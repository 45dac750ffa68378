# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Convolution, linear layer, and the two glues `Sequence` and `Function`.

`Conv` and `Linear` tell `dnas.cost.count` what they cost, so an operation made of them is counted
exactly without another line.
"""

from collections.abc import Callable

import jax
from flax import nnx
from jax import lax

from dnas.cost import tally
from dnas.nn import dense, depthwise
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode


def same_padding(kernel: int, dilation: int = 1) -> int:
  """Padding on each side that keeps the size at stride 1: dilation * (kernel - 1) / 2."""
  return dilation * (kernel - 1) // 2


def conv2d(
  x: jax.Array,
  kernel: jax.Array,
  stride: int | tuple[int, int] = 1,
  dilation: int = 1,
  padding: tuple[int, int] | None = None,
) -> jax.Array:
  """2D convolution `[B, H, W, I] x [kh, kw, I / groups, O] -> [B, H', W', O]`, zero padding.

  The padding is symmetric as in PyTorch (by default dilation * (k - 1) / 2), not XLA's SAME, which
  differs at stride 2. Groups follow from the shapes. Depthwise convolutions take the way that is
  fast on the platform (`depthwise.convolve`).
  """
  kh, kw, per_group, _ = kernel.shape
  if padding is None:
    padding = (same_padding(kh, dilation), same_padding(kw, dilation))
  groups = x.shape[-1] // per_group
  square = kh == kw and padding[0] == padding[1]
  depthwise_ = per_group == 1 and groups == kernel.shape[-1] > 1 and square
  # Where only shapes matter, one convolution is quicker to trace than k * k slices.
  if depthwise_ and isinstance(stride, int) and not tally.active():
    return depthwise.convolve(x, kernel[:, :, 0], stride, dilation, padding[0])
  strides = (stride, stride) if isinstance(stride, int) else stride
  if groups == 1 and not tally.active():
    return dense.convolve(x, kernel, strides, dilation, padding)
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    [(p, p) for p in padding],
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=groups,
  )


def uniform_fan_in(rngs: Rngs, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
  """U(-b, b) with b = 1 / sqrt(fan_in): PyTorch's default, and so the literature's."""
  return nnx.Param(rngs.uniform(shape, fan_in**-0.5))


class Conv(nnx.Module):
  """2D convolution, `[B, H, W, c_in] -> [B, H', W', c_out]`, without bias unless asked for.

  Args:
    c_in, c_out: channels.
    kernel: side of the kernel, or (height, width).
    stride: in both directions, or (height, width).
    dilation: in both directions.
    groups: number of groups; `c_in` for a depthwise convolution.
    padding: zeros on each side (height, width); by default dilation * (kernel - 1) / 2.
    bias: whether a bias is added.
    rngs: initialises the kernel.
  """

  def __init__(
    self,
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    *,
    dilation: int = 1,
    groups: int = 1,
    padding: tuple[int, int] | None = None,
    bias: bool = False,
    rngs: Rngs,
  ):
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    if c_in % groups or c_out % groups:
      raise ValueError(f"groups={groups} must divide c_in={c_in} and c_out={c_out}")
    shape = (kh, kw, c_in // groups, c_out)
    fan_in = kh * kw * (c_in // groups)
    self.kernel = uniform_fan_in(rngs, shape, fan_in)
    self.bias = uniform_fan_in(rngs, (c_out,), fan_in) if bias else None
    self.stride, self.dilation, self.padding, self.groups = stride, dilation, padding, groups

  def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
    """Convolves `x` `[B, H, W, c_in]`."""
    kernel = self.kernel[...]
    y = conv2d(x, kernel.astype(x.dtype), self.stride, self.dilation, self.padding)
    tally.record(self, y.shape[1] * y.shape[2] * kernel.size)
    return y if self.bias is None else y + self.bias[...].astype(x.dtype)


class Linear(nnx.Module):
  """y = x W + b, `[..., c_in] -> [..., c_out]`."""

  def __init__(self, c_in: int, c_out: int, *, rngs: Rngs):
    self.kernel = uniform_fan_in(rngs, (c_in, c_out), c_in)
    self.bias = uniform_fan_in(rngs, (c_out,), c_in)

  def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
    """Maps `x` `[..., c_in]`."""
    tally.record(self, self.kernel.size * (x.size // (x.shape[0] * x.shape[-1])))
    return x @ self.kernel[...].astype(x.dtype) + self.bias[...].astype(x.dtype)


class Function(nnx.Module):
  """A function of the features without weights, as a module: `Function(jax.nn.relu)`."""

  def __init__(self, function: Callable[[jax.Array], jax.Array]):
    self.function = function

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Applies the function."""
    return self.function(x)


class Sequence(nnx.Module):
  """Modules one after another; plain functions may stand among them.

  >>> import jax
  >>> from dnas.nn.init import Rngs
  >>> from dnas.nn.layers import Conv, Sequence
  >>> layer = Sequence(jax.nn.relu, Conv(4, 8, 3, rngs=Rngs(0)))
  """

  def __init__(self, *layers: Callable):
    self.layers = nnx.List(
      layer if isinstance(layer, nnx.Module) else Function(layer) for layer in layers
    )

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Applies the layers in order."""
    for i, layer in enumerate(self.layers):
      x = layer(x, mode.at(i))
    return x
