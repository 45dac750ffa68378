# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How the image enters: one function each, `(c_in, channels, *, rngs) -> Stem`.

A stem gives two feature maps, the inputs of the first cell (equal unless said otherwise); a space
names it in `SearchSpace.stem`.
"""

from collections.abc import Sequence

import jax
from flax import nnx

from dnas.nn import layers, mbconv
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.nn.qarepvgg import QARepVGG
from dnas.space.space import SpaceError


class Stem(nnx.Module):
  """Parts in a row; the outputs of the last two (or twice the one) are the first cell's inputs.

  Args:
    parts: modules, each from the one before.
    strides: stride of each part's output against the image.
    channels: channels of each part's output.
  """

  def __init__(self, parts: Sequence[nnx.Module], strides: Sequence[int], channels: Sequence[int]):
    self.parts = nnx.List(parts)
    self.strides = (strides[0], strides[-1])
    self.channels = (channels[0], channels[-1])

  def __call__(self, image: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
    """`[B, H, W, c_in]` to the two inputs of the first cell."""
    outputs = []
    x = image
    for i, part in enumerate(self.parts):
      x = part(x, mode.at(i))
      outputs.append(x)
    return outputs[0], outputs[-1]


def conv3x3(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """Convolution 3x3 and batch norm, for small images (DARTS and NAS-Bench-201 on CIFAR)."""
  return _single(c_in, channels, 1, rngs)


def conv3x3_stride2(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """Convolution 3x3 of stride 2 and batch norm (detectors)."""
  return _single(c_in, channels, 2, rngs)


def conv3x3_stride2_relu(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """Convolution 3x3 of stride 2, batch norm, ReLU (FBNet)."""
  return _activated(c_in, channels, "relu", rngs)


def conv3x3_stride2_relu6(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """Convolution 3x3 of stride 2, batch norm, ReLU6 (MobileNetV2, ProxylessNAS)."""
  return _activated(c_in, channels, "relu6", rngs)


def conv3x3_stride2_swish(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """Convolution 3x3 of stride 2, batch norm, swish (EfficientNet)."""
  return _activated(c_in, channels, "swish", rngs)


def qarep_3x3_stride2(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """A QARepVGG block of stride 2 (YOLO-NAS)."""
  return Stem([QARepVGG(c_in, channels, 2, rngs=rngs)], (2,), (channels,))


def imagenet(c_in: int, channels: int, *, rngs: Rngs) -> Stem:
  """DARTS' ImageNet stem: three 3x3 convolutions of stride 2; outputs at strides 4 and 8.

  Raises:
    SpaceError: there is less than one channel for the first convolution, which has half of them.
  """
  if channels < 2:
    raise SpaceError(f"stem_channels: the ImageNet stem needs 2 or more, got {channels}")
  first = layers.Sequence(
    Conv(c_in, channels // 2, 3, 2, rngs=rngs),
    BatchNorm(channels // 2),
    jax.nn.relu,
    Conv(channels // 2, channels, 3, 2, rngs=rngs),
    BatchNorm(channels),
  )
  second = layers.Sequence(
    jax.nn.relu, Conv(channels, channels, 3, 2, rngs=rngs), BatchNorm(channels)
  )
  return Stem([first, second], (4, 8), (channels, channels))


def _single(c_in: int, channels: int, stride: int, rngs: Rngs) -> Stem:
  part = layers.Sequence(Conv(c_in, channels, 3, stride, rngs=rngs), BatchNorm(channels))
  return Stem([part], (stride,), (channels,))


def _activated(c_in: int, channels: int, activation: str, rngs: Rngs) -> Stem:
  conv = Conv(c_in, channels, 3, 2, rngs=rngs)
  norm = BatchNorm(channels, epsilon=mbconv.EPSILON)
  part = layers.Sequence(conv, norm, mbconv.ACTIVATIONS[activation])
  return Stem([part], (2,), (channels,))
