# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The inverted residual block as an operation, `mbconv_5x5_e6_se`, and `conv_1x1_swish`.

`from_name` makes them, see `dnas.space.mbconv`. Padding is symmetric; TensorFlow's SAME gives the
same sizes and MACs, and shifts the image by a pixel where the stride is 2.

Sources: MobileNetV2 (1801.04381), MnasNet (1807.11626), EfficientNet (1905.11946), FBNet
(1812.03443; groups and shuffle). Epsilon 1e-3 as in EfficientNet's code.
"""

import functools
from collections.abc import Callable

import jax
from flax import nnx

from dnas.nn import blocks
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Sequence
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.space import mbconv as spaces
from dnas.space.space import SpaceError

ACTIVATIONS = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "swish": jax.nn.swish}
SQUEEZE = 4  # the gate's hidden layer has 1/4 of the block's input channels
EPSILON = 1e-3


class MBConv(blocks.Residual):
  """y = x + project(squeeze(depthwise(expand(x)))), without the x + where size or width change.

  expand: 1x1 to e * c_in (absent for e = 1), depthwise: k x k of the stride, project: 1x1; batch
  norm behind each, the activation behind the first two.

  Args:
    block: kernel, expansion and so on.
    c_in, c_out, stride, affine, rngs: as for any operation.

  Raises:
    SpaceError: the channels are no multiple of the groups.
  """

  def __init__(self, block: spaces.MBConv, c_in, c_out, stride, *, affine: bool, rngs: Rngs):
    inside, groups = c_in * block.expansion, block.groups
    if c_in % groups or c_out % groups:
      raise SpaceError(f"{block.name}: {groups} groups must divide its channels {c_in}, {c_out}")
    activate = ACTIVATIONS[block.activation]
    norm = lambda channels: BatchNorm(channels, affine=affine, epsilon=EPSILON)
    shuffle = [functools.partial(_shuffle, groups)] if groups > 1 else []
    first = lambda: Conv(c_in, inside, 1, groups=groups, rngs=rngs)
    wider = block.expansion > 1 or groups > 1
    self.expand = Sequence(first(), norm(inside), activate, *shuffle) if wider else None
    conv = Conv(inside, inside, block.kernel, stride, groups=inside, rngs=rngs)
    self.depthwise = Sequence(conv, norm(inside), activate)
    hidden = max(c_in // SQUEEZE, 1)
    self.squeeze = (
      blocks.ChannelAttention(inside, hidden, activate, rngs=rngs) if block.squeeze else None
    )
    self.project = Sequence(Conv(inside, c_out, 1, groups=groups, rngs=rngs), norm(c_out))
    self.residual = stride == 1 and c_in == c_out

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    y = x if self.expand is None else self.expand(x, mode)
    y = self.depthwise(y, mode)
    if self.squeeze is not None:
      y = self.squeeze(y, mode)
    y = self.project(y, mode)
    # Stochastic depth drops a block whose input passes it by, and no other.
    return x + blocks.drop_path(y, mode) if self.residual else y


def _shuffle(groups: int, x: jax.Array) -> jax.Array:
  """Channel j * g + i from channel i * n + j of n per group (1707.01083, figure 1)."""
  grouped = x.reshape(*x.shape[:-1], groups, -1)
  return grouped.swapaxes(-1, -2).reshape(x.shape)


def from_name(name: str) -> Callable[..., nnx.Module] | None:
  """The operation `mbconv_KxK_eE[_g2][_se][_ACTIVATION]` or `conv_1x1_ACTIVATION`; else None."""
  if (block := spaces.parse(name)) is not None:
    return functools.partial(MBConv, block)
  if (activation := spaces.parse_conv(name)) is not None:
    return functools.partial(_conv, ACTIVATIONS[activation])
  return None


def _conv(activate, c_in: int, c_out: int, stride: int, *, affine: bool, rngs: Rngs) -> nnx.Module:
  conv = Conv(c_in, c_out, 1, stride, rngs=rngs)
  return Sequence(conv, BatchNorm(c_out, affine=affine, epsilon=EPSILON), activate)
