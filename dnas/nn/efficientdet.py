# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientDet D0 to D6: an EfficientNet, a bidirectional pyramid, nets for classes and for boxes.

  network = efficientdet.build("efficientdet_d0", 90, rngs=Rngs(0))
  outputs = network(images, {}, Mode())
  boxes = efficientdet.decode(outputs.deltas, efficientdet.anchors(512))

Any genotype with feature maps at strides 8, 16 and 32 may be the backbone.

Source: Tan et al., EfficientDet (1911.09070); widths and depths as in its published code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dnas.errors import choose_from
from dnas.nn import bifpn, efficientnet
from dnas.nn.init import Rngs, prior_bias
from dnas.nn.layers import Sequence
from dnas.nn.mode import Mode
from dnas.nn.network import Backbone, Weights
from dnas.space import mbconv
from dnas.space.space import SearchSpace, SpaceError

STRIDES = (8, 16, 32, 64, 128)
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
SHAPES = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))  # (width, height)
ANCHOR_SCALE = 4  # side of the smallest anchor, in strides
ANCHORS = len(SCALES) * len(SHAPES)


class Size(NamedTuple):
  """Backbone, side of the image in px, width and depth of the pyramid, depth of the nets, weights.

  `weighted` is false for D6, whose published pyramid sums.
  """

  backbone: str
  image: int
  width: int
  depth: int
  head_depth: int
  weighted: bool = True


SIZES = {
  "efficientdet_d0": Size("efficientnet_b0", 512, 64, 3, 3),
  "efficientdet_d1": Size("efficientnet_b1", 640, 88, 4, 3),
  "efficientdet_d2": Size("efficientnet_b2", 768, 112, 5, 3),
  "efficientdet_d3": Size("efficientnet_b3", 896, 160, 6, 4),
  "efficientdet_d4": Size("efficientnet_b4", 1024, 224, 7, 4),
  "efficientdet_d5": Size("efficientnet_b5", 1280, 288, 7, 4),
  "efficientdet_d6": Size("efficientnet_b6", 1280, 384, 8, 5, weighted=False),
}
NAMES = tuple(SIZES)


class Outputs(NamedTuple):
  """What the network says of its A anchors.

  Attributes:
    logits: of the classes, `[B, A, classes]`.
    deltas: from anchors to boxes, `[B, A, 4]`: (dy, dx, dh, dw) as published, see `decode`.
  """

  logits: jax.Array
  deltas: jax.Array


class Net(nnx.Module):
  """(separable, batch norm of the level, swish) `depth` times, then a separable convolution.

  Args:
    width: channels of the pyramid.
    depth: number of layers.
    c_out: channels of the result.
    rngs: initialises the weights.
  """

  def __init__(self, width: int, depth: int, c_out: int, *, rngs: Rngs):
    self.convs = nnx.List(bifpn.separable(width, width, rngs=rngs) for _ in range(depth))
    self.norms = nnx.List(
      nnx.List(bifpn.norm(width) for _ in range(depth)) for _ in range(len(STRIDES))
    )
    self.predict: Sequence = bifpn.separable(width, c_out, rngs=rngs)

  def __call__(self, x: jax.Array, level: int, mode: Mode) -> jax.Array:
    """`[B, H, W, width] -> [B, H * W * 9, c_out / 9]` in float32."""
    for conv, norm in zip(self.convs, self.norms[level]):
      x = jax.nn.swish(norm(conv(x, mode), mode))
    y = self.predict(x, mode)
    return y.reshape(y.shape[0], -1, y.shape[-1] // ANCHORS).astype(jnp.float32)


class EfficientDet(nnx.Module):
  """Anchor-based detector `[B, H, W, 3] -> Outputs`; H and W are multiples of 128 px.

  Args:
    space: genotype of the backbone.
    classes: number of classes.
    width, depth, head_depth, weighted: see `Size`.
    rngs: initialises the weights.

  Raises:
    SpaceError: the backbone lacks feature maps at strides 8, 16 or 32.
  """

  def __init__(
    self,
    space: SearchSpace,
    classes: int,
    *,
    width: int = 64,
    depth: int = 3,
    head_depth: int = 3,
    weighted: bool = True,
    rngs: Rngs,
  ):
    self.backbone = Backbone(space, rngs=rngs)
    levels = self.backbone.levels()
    if not set(STRIDES[:3]) <= set(levels):
      raise SpaceError(f"stages: must reach strides 8, 16 and 32, got {sorted(levels)}")
    self.levels = tuple(levels[stride] for stride in STRIDES[:3])
    c_in = [self.backbone.channels[i] for i in self.levels]
    self.neck = bifpn.BiFPN(c_in, width, depth, weighted=weighted, rngs=rngs)
    self.class_net = Net(width, head_depth, ANCHORS * classes, rngs=rngs)
    self.box_net = Net(width, head_depth, ANCHORS * 4, rngs=rngs)
    last: Any = self.class_net.predict.layers[-1]
    last.bias = nnx.Param(prior_bias(ANCHORS * classes))

  def __call__(self, image: jax.Array, weights: Weights, mode: Mode) -> Outputs:
    """Predicts for `[B, H, W, 3]`; weights: mixing weights, `{}` for a genotype."""
    check_size(*image.shape[1:3])
    maps = self.backbone(image, weights, mode.at(0))
    features = self.neck([maps[i] for i in self.levels], mode)
    logits = [self.class_net(x, i, mode) for i, x in enumerate(features)]
    deltas = [self.box_net(x, i, mode) for i, x in enumerate(features)]
    return Outputs(jnp.concatenate(logits, 1), jnp.concatenate(deltas, 1))


def check_size(height: int, width: int) -> None:
  """Raises SpaceError unless an image of this size fits the strides."""
  if height % STRIDES[-1] or width % STRIDES[-1] or min(height, width) < 1:
    raise SpaceError(
      f"image: EfficientDet takes sides that are multiples of {STRIDES[-1]} px, got "
      f"{height} x {width}"
    )


def anchors(height: int, width: int | None = None) -> np.ndarray:
  """The anchors xyxy in px, `[A, 4]`, in the order of `Outputs`: level, row, column, scale, shape.

  A = 9 sum over the strides s of (H / s) (W / s): 49,104 at 512 px.

  Args:
    height, width: of the image, px; by default a square.

  Raises:
    SpaceError: a side is no multiple of 128 px.
  """
  width = height if width is None else width
  check_size(height, width)
  levels = []
  for stride in STRIDES:
    half = np.array([(w * s, h * s) for s in SCALES for w, h in SHAPES]) * ANCHOR_SCALE * stride / 2
    centre = lambda side, stride=stride: (np.arange(side // stride) + 0.5) * stride
    y, x = np.meshgrid(centre(height), centre(width), indexing="ij")
    centres = np.stack([x, y], -1)[:, :, None]
    boxes = np.concatenate([centres - half, centres + half], -1)
    levels.append(boxes.reshape(-1, 4))
  return np.concatenate(levels).astype(np.float32)


def decode(deltas: jax.Array, boxes: jax.Array | np.ndarray) -> jax.Array:
  """Boxes xyxy in px: centre = anchor centre + d * anchor size, size = anchor size * exp(d).

  Args:
    deltas: (dy, dx, dh, dw), `[B, A, 4]`.
    boxes: the anchors, xyxy `[A, 4]` px.

  Returns:
    `[B, A, 4]`.
  """
  size = boxes[:, 2:] - boxes[:, :2]
  centre = boxes[:, :2] + size / 2 + deltas[..., 1::-1] * size
  half = size * jnp.exp(deltas[..., :1:-1]) / 2
  return jnp.concatenate([centre - half, centre + half], -1)


def build(name: str, classes: int = 90, *, rngs: Rngs) -> EfficientDet:
  """EfficientDet by name, with initial weights; `Rngs(None)` where it is only counted.

  Raises:
    SpaceError: the name is not in `NAMES`.
  """
  if name not in SIZES:
    raise SpaceError(choose_from("EfficientDet", name, NAMES))
  backbone, _, width, depth, head_depth, weighted = SIZES[name]
  space = without_head(efficientnet.genotype(backbone).genotype)
  return EfficientDet(
    space,
    classes,
    width=width,
    depth=depth,
    head_depth=head_depth,
    weighted=weighted,
    rngs=rngs,
  )


def without_head(space: SearchSpace) -> SearchSpace:
  """A genotype without the 1x1 convolution before its classifier."""
  cells = {name: cell for name, cell in space.cells.items() if name != mbconv.HEAD}
  return space.replace(
    cells=cells, stages=[stage for stage in space.stages if stage.cell != mbconv.HEAD]
  )
