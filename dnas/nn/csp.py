# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO-NAS' operations: cross-stage partial layers, pyramid pooling, the decoupled head.

They are operations like those of `dnas.nn.ops`, `(c_in, c_out, stride, *, affine, rngs) -> module`;
`from_name` makes those whose names hold numbers (`csp_qarep_3x64`, see `dnas.space.yolo_nas`).

Sources: Wang et al., CSPNet (1911.11929); He et al., Spatial pyramid pooling (1406.4729); Xu et
al., PP-YOLOE (2203.16250), section 2.2; numbers as in the published configurations of YOLO-NAS.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from dnas.nn import platform
from dnas.nn.init import Rngs, prior_bias
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode
from dnas.nn.qarepvgg import ConvNorm, QARepVGG
from dnas.space import yolo_nas as spaces
from dnas.space.space import SpaceError

REG_MAX = 16  # largest distance from a point to a side of its box, in strides
BINS = 4 * (REG_MAX + 1)


class Bottleneck(nnx.Module):
  """y = alpha * x + cv2(cv1(x)), alpha a scalar that is 1 at first.

  Args:
    channels: of input and output.
    block: "qarep" or "conv".
    affine: whether batch norms have scale and bias.
    rngs: initialises the weights.
  """

  def __init__(self, channels: int, block: str, *, affine: bool, rngs: Rngs):
    def make() -> nnx.Module:
      if block == "qarep":
        return QARepVGG(channels, channels, identity=True, affine=affine, rngs=rngs)
      return ConvNorm(channels, channels, 3, affine=affine, rngs=rngs)

    self.cv1, self.cv2 = make(), make()
    self.alpha = nnx.Param(np.ones(1, np.float32))

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, C] -> [B, H, W, C]`."""
    y = self.cv2(self.cv1(x, mode), mode)  # pyright: ignore[reportCallIssue]
    return self.alpha[...].astype(x.dtype) * x + y


class Csp(nnx.Module):
  """y = conv3(concat(b_n(... b_1(conv1(x))), conv2(x))): the bottlenecks see half of the layer.

  With `csp.all` every intermediate is concatenated, in order: conv1(x), b_1, ..., b_n, conv2(x).

  Args:
    csp: number, width and type of the bottlenecks.
    c_in, c_out: channels.
    affine: whether batch norms have scale and bias.
    rngs: initialises the weights.
  """

  def __init__(self, csp: spaces.Csp, c_in: int, c_out: int, *, affine: bool, rngs: Rngs):
    parts = 2 + csp.blocks * csp.all
    self.conv1 = ConvNorm(c_in, csp.hidden, 1, affine=affine, rngs=rngs)
    self.conv2 = ConvNorm(c_in, csp.hidden, 1, affine=affine, rngs=rngs)
    self.conv3 = ConvNorm(parts * csp.hidden, c_out, 1, affine=affine, rngs=rngs)
    self.bottlenecks = nnx.List(
      Bottleneck(csp.hidden, csp.block, affine=affine, rngs=rngs) for _ in range(csp.blocks)
    )
    self.all = csp.all

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, H, W, c_out]`."""
    parts = [self.conv1(x, mode)]
    for bottleneck in self.bottlenecks:
      parts.append(bottleneck(parts[-1], mode))
    used = parts if self.all else parts[-1:]
    return self.conv3(jnp.concatenate([*used, self.conv2(x, mode)], axis=-1), mode)


class Spp(nnx.Module):
  """y = cv2(concat(z, pool_5(z), pool_9(z), pool_13(z))), z = cv1(x), of half the channels.

  Args:
    c_in, c_out: channels.
    affine: whether batch norms have scale and bias.
    rngs: initialises the weights.
  """

  def __init__(self, c_in: int, c_out: int, *, affine: bool, rngs: Rngs):
    self.cv1 = ConvNorm(c_in, c_in // 2, 1, affine=affine, rngs=rngs)
    self.cv2 = ConvNorm(4 * (c_in // 2), c_out, 1, affine=affine, rngs=rngs)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, H, W, c_out]`."""
    parts = [self.cv1(x, mode)]
    for _ in range(3):  # Maxima over 5 x 5, once, twice and three times, reach 5, 9 and 13 px.
      parts.append(max_pool_5x5(parts[-1]))
    return self.cv2(jnp.concatenate(parts, axis=-1), mode)


def max_pool_5x5(x: jax.Array) -> jax.Array:
  """y[h, w] = max over the 5x5 window around it, the border left out; `[B, H, W, C]`.

  First over columns, then over rows, of slices: XLA's own window is slow on a CPU.
  """
  if platform.is_portable():
    smallest, padding = np.asarray(-np.inf, x.dtype), ((0, 0), (2, 2), (2, 2), (0, 0))
    return lax.reduce_window(x, smallest, lax.max, (1, 5, 5, 1), (1, 1, 1, 1), padding)
  lowest = float(jnp.finfo(x.dtype).min)
  for axis in (1, 2):
    sides = [(2, 2) if i == axis else (0, 0) for i in range(4)]
    padded = jnp.pad(x, sides, constant_values=lowest)
    size = x.shape[axis]
    x = functools.reduce(
      jnp.maximum, [lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(5)]
    )
  return x


class DecoupledHead(nnx.Module):
  """Class logits and distance distributions: y = concat(cls_pred(c(s(x))), reg_pred(r(s(x)))).

  s is a 1x1 and c and r are 3x3 convolutions with batch norm and ReLU.

  Args:
    c_in: channels of the features.
    c_out: classes + 4 * 17.
    percent: width of s, c and r, in percent of 4/3 c_in, rounded up to a multiple of 8.
    affine: whether batch norms have scale and bias.
    rngs: initialises the weights.

  Raises:
    SpaceError: there is no channel left for a class.
  """

  def __init__(self, c_in: int, c_out: int, percent: int, *, affine: bool, rngs: Rngs):
    classes = c_out - BINS
    if classes < 1:
      raise SpaceError(f"yolo_head_{percent}: needs {BINS} channels and 1 or more classes: {c_out}")
    width = -(-(4 * c_in * percent) // (3 * 100 * 8)) * 8
    self.stem = ConvNorm(c_in, width, 1, affine=affine, rngs=rngs)
    self.cls_conv = ConvNorm(width, width, 3, affine=affine, rngs=rngs)
    self.reg_conv = ConvNorm(width, width, 3, affine=affine, rngs=rngs)
    self.cls_pred = Conv(width, classes, 1, bias=True, rngs=rngs)
    self.reg_pred = Conv(width, BINS, 1, bias=True, rngs=rngs)
    self.cls_pred.bias = nnx.Param(prior_bias(classes))

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, H, W, classes + 4 * 17]`."""
    x = self.stem(x, mode)
    logits = self.cls_pred(self.cls_conv(x, mode))
    return jnp.concatenate([logits, self.reg_pred(self.reg_conv(x, mode))], axis=-1)


# ---------------------------------------------------------------------------------------------
# As operations


def from_name(name: str) -> Callable[..., nnx.Module] | None:
  """The operation `csp_TYPE_NxWIDTH[_all]`, `yolo_head_PERCENT` or `spp_5_9_13`; else None.

  All three keep the resolution; SpaceError where they are built for another stride than 1.
  """
  if name == "spp_5_9_13":
    return _spp
  if (csp := spaces.parse(name)) is not None:
    return functools.partial(_csp, csp)
  if (percent := spaces.parse_head(name)) is not None:
    return functools.partial(_head, percent)
  return None


def _csp(csp, c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  _only_stride_1(csp.name, stride)
  return Csp(csp, c_in, c_out, affine=affine, rngs=rngs)


def _head(percent, c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  _only_stride_1(f"yolo_head_{percent}", stride)
  return DecoupledHead(c_in, c_out, percent, affine=affine, rngs=rngs)


def _spp(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  _only_stride_1("spp_5_9_13", stride)
  return Spp(c_in, c_out, affine=affine, rngs=rngs)


def _only_stride_1(name: str, stride: int) -> None:
  if stride != 1:
    raise SpaceError(f"{name}: keeps the resolution; put qarep_3x3 where the stride is {stride}")
