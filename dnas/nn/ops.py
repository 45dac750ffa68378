# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that may stand on an edge: one function each.

An operation is a function `(c_in, c_out, stride, *, affine, rngs) -> module`, and the module maps
features `[B, H, W, c_in]` to `[B, ceil(H / stride), ceil(W / stride), c_out]`, called as
`module(x, mode)`. `affine` says whether batch norms have scale and bias (false while searching).
Write one anywhere and name it in a search space by its dotted path.

Sources: DARTS 1806.09055, NAS-Bench-201 2001.00326, NASNet 1707.07012, AmoebaNet 1802.01548,
RobustDARTS 1909.09656 (`noise`).
"""

import jax
from flax import nnx

from dnas.nn import blocks, depthwise
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Sequence
from dnas.nn.named import from_name as from_name  # names with numbers in them: csp_qarep_3x64
from dnas.nn.norm import BatchNorm
from dnas.nn.qarepvgg import QARepVGG


def none(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """Gives y = 0: the edge is not there."""
  return blocks.Zero(c_out, stride)


def noise(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """Y ~ N(0, 1), whatever the input (1909.09656, space S4)."""
  return blocks.Noise(c_out, stride)


def skip_connect(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """Gives y = x; at stride 2 a factorized reduction, at another width a 1x1 convolution."""
  if stride == 2:
    return blocks.FactorizedReduce(c_in, c_out, affine=affine, rngs=rngs)
  if c_in != c_out:
    return blocks.relu_conv_bn(c_in, c_out, 1, affine=affine, rngs=rngs)
  return blocks.Identity()


def max_pool_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """3x3 max pooling."""
  return blocks.Pool(depthwise.max_pool_3x3, c_in, c_out, stride, affine=affine, rngs=rngs)


def avg_pool_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """3x3 average pooling; the padding does not count."""
  return blocks.Pool(depthwise.avg_pool_3x3, c_in, c_out, stride, affine=affine, rngs=rngs)


def sep_conv_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, depthwise 3x3, pointwise, batch norm; twice, the stride in the first."""
  return blocks.separable(c_in, c_out, 3, stride, affine=affine, rngs=rngs)


def sep_conv_5x5(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, depthwise 5x5, pointwise, batch norm; twice, the stride in the first."""
  return blocks.separable(c_in, c_out, 5, stride, affine=affine, rngs=rngs)


def sep_conv_7x7(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, depthwise 7x7, pointwise, batch norm; twice, the stride in the first."""
  return blocks.separable(c_in, c_out, 7, stride, affine=affine, rngs=rngs)


def dil_conv_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, depthwise 3x3 of dilation 2 (it sees 5x5), pointwise, batch norm."""
  return blocks.relu_depthwise_bn(c_in, c_out, 3, stride, 2, affine=affine, rngs=rngs)


def dil_conv_5x5(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, depthwise 5x5 of dilation 2 (it sees 9x9), pointwise, batch norm."""
  return blocks.relu_depthwise_bn(c_in, c_out, 5, stride, 2, affine=affine, rngs=rngs)


def conv_7x1_1x7(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, convolution 1x7 along the width, 7x1 along the height, batch norm."""
  row = Conv(c_in, c_out, (1, 7), (1, stride), rngs=rngs)
  column = Conv(c_out, c_out, (7, 1), (stride, 1), rngs=rngs)
  return Sequence(jax.nn.relu, row, column, BatchNorm(c_out, affine=affine))


def nor_conv_1x1(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, convolution 1x1, batch norm."""
  return blocks.relu_conv_bn(c_in, c_out, 1, stride, affine=affine, rngs=rngs)


def nor_conv_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """ReLU, convolution 3x3, batch norm."""
  return blocks.relu_conv_bn(c_in, c_out, 3, stride, affine=affine, rngs=rngs)


def residual_block(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """NAS-Bench-201's residual block: two 3x3 convolutions beside an average-pooled shortcut."""
  return blocks.ResidualBlock(c_in, c_out, stride, affine=affine, rngs=rngs)


def channel_attention(
  c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs
) -> nnx.Module:
  """Gives y = x * g(x), a gate a channel; behind `skip_connect` where size or width change."""
  attention = blocks.ChannelAttention(c_out, rngs=rngs)
  if stride == 1 and c_in == c_out:
    return attention
  return Sequence(skip_connect(c_in, c_out, stride, affine=affine, rngs=rngs), attention)


def light_down(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """2x2 average pooling (at stride 2), convolution 1x1, batch norm: it leaves the work to cells."""
  layers = [blocks.avg_pool_2x2] if stride == 2 else []
  return Sequence(*layers, Conv(c_in, c_out, 1, rngs=rngs), BatchNorm(c_out, affine=affine))


def qarep_3x3(c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  """A QARepVGG block without identity: 3x3 and 1x1 side by side, batch norm, ReLU."""
  return QARepVGG(c_in, c_out, stride, affine=affine, rngs=rngs)
