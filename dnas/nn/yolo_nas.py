# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO-NAS: the detector that a genotype of `dnas.space.yolo_nas` describes, S, M and L among them.

  model = yolo_nas.build("yolo_nas_s", classes=80, rngs=Rngs(0))    # random weights
  yolo_nas_weights.load(model, "yolo_nas_s.npz")                   # those that you have
  fast = yolo_nas.fuse(model)                                      # for evaluation, equal to 1e-4
  static, params, stats = functional.split(fast)
  boxes, scores = jax.jit(yolo_nas.raw, static_argnums=0)(static, params, stats, images)

As trained, fused, searched (mixing weights `[O]` for each searched cell) it is the same class.
Images are in [0, 1]; sides are multiples of 32 px.

Source: the published configurations of YOLO-NAS, Deci-AI/super-gradients (2023); forward pass and
counts checked against it (tests/nn/test_yolo_nas.py).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from dnas.cost import tally
from dnas.detection import loss
from dnas.detection.boxes import anchor_points
from dnas.nn import mixed, qarepvgg
from dnas.nn.csp import BINS
from dnas.nn.functional import PyTree, Static
from dnas.nn.init import Rngs
from dnas.nn.layers import uniform_fan_in
from dnas.nn.mode import Mode
from dnas.nn.network import Backbone, Weights
from dnas.nn.qarepvgg import ConvNorm
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space import yolo_nas as spaces
from dnas.space.space import SearchSpace, SpaceError

STRIDES = (8, 16, 32)
SIZE_STEP = 32  # sides of an image are multiples of it


class Upsample(nnx.Module):
  """Transposed convolution 2x2 of stride 2: y[2i + a, 2j + b] = x[i, j] W[a, b] + bias.

  Args:
    channels: of input and output.
    rngs: initialises the weights.
  """

  def __init__(self, channels: int, *, rngs: Rngs):
    self.kernel = uniform_fan_in(rngs, (2, 2, channels, channels), 4 * channels)
    self.bias = uniform_fan_in(rngs, (channels,), 4 * channels)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, C] -> [B, 2 H, 2 W, C]`."""
    kernel = self.kernel[...].astype(x.dtype)
    batch, height, width, channels = x.shape
    tally.record(self, height * width * kernel.size)
    # No two taps meet: a matrix product to all four pixels, which then take their places.
    y = x @ jnp.moveaxis(kernel, 2, 0).reshape(channels, 4 * channels)
    y = y.reshape(batch, height, width, 2, 2, channels).swapaxes(2, 3)
    return y.reshape(batch, 2 * height, 2 * width, channels) + self.bias[...].astype(x.dtype)


class UpStage(nnx.Module):
  """From a coarse map and two skips: z = conv(x); y = csp(reduce(concat(up(z), s1, down(s2)))).

  Args:
    cell: the cross-stage layer.
    c_in: channels of the coarse map, of the skip at twice its resolution, and of that at four
      times.
    c_out: channels of z and y.
    options: of `mixed.Cell`.
    rngs: initialises the weights.
  """

  def __init__(self, cell, c_in: Sequence[int], c_out: int, options: dict[str, Any], *, rngs: Rngs):
    affine = options["affine"]
    conv = lambda a, kernel=1, stride=1: ConvNorm(
      a, c_out, kernel, stride, affine=affine, rngs=rngs
    )
    self.reduce_skip1, self.reduce_skip2 = conv(c_in[1]), conv(c_in[2])
    self.conv = conv(c_in[0])
    self.upsample = Upsample(c_out, rngs=rngs)
    self.downsample = conv(c_out, 3, 2)
    self.reduce_after_concat = conv(3 * c_out)
    self.blocks = mixed.Cell(cell, [c_out], [1], c_out, 1, **options, rngs=rngs)

  def __call__(self, x, skip1, skip2, weights, mode: Mode) -> tuple[jax.Array, jax.Array]:
    """(z `[B, H, W, c_out]`, y `[B, 2 H, 2 W, c_out]`)."""
    z = self.conv(x, mode)
    parts = [
      self.upsample(z, mode),
      self.reduce_skip1(skip1, mode),
      self.downsample(self.reduce_skip2(skip2, mode), mode),
    ]
    y = self.reduce_after_concat(jnp.concatenate(parts, axis=-1), mode)
    return z, self.blocks([y], weights, mode.at(0))


class DownStage(nnx.Module):
  """From a fine map and a skip at half its resolution: y = csp(concat(conv(x), skip)).

  Args:
    cell: the cross-stage layer.
    c_in: channels of the fine map and of the skip.
    c_out: channels of y; conv gives half of them.
    options: of `mixed.Cell`.
    rngs: initialises the weights.
  """

  def __init__(self, cell, c_in: Sequence[int], c_out: int, options: dict[str, Any], *, rngs: Rngs):
    self.conv = ConvNorm(c_in[0], c_out // 2, 3, 2, affine=options["affine"], rngs=rngs)
    self.blocks = mixed.Cell(cell, [c_out // 2 + c_in[1]], [1], c_out, 1, **options, rngs=rngs)

  def __call__(self, x, skip, weights, mode: Mode) -> jax.Array:
    """`[B, H / 2, W / 2, c_out]`."""
    y = jnp.concatenate([self.conv(x, mode), skip], axis=-1)
    return self.blocks([y], weights, mode.at(0))


class YoloNas(nnx.Module):
  """Detector `[B, H, W, 3] in [0, 1] -> Predictions`, called like `dnas.nn.detector.Detector`.

  Args:
    space: search space or genotype with the cells of `dnas.space.yolo_nas.family`.
    classes: number of classes.
    search: as in `Backbone`; holds for neck and head too.
    supernet: as in `Backbone`.
    rngs: initialises the weights.

  Raises:
    SpaceError: the space lacks a cell of the neck or the head, or feature maps at 4, 8, 16, 32 px.
  """

  def __init__(
    self,
    space: SearchSpace,
    classes: int,
    *,
    search: bool | None = None,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    missing = sorted({*spaces.NECK, "head"} - set(space.cells))
    if missing:
      raise SpaceError(f"cells: {', '.join(missing)} are missing for a network of YOLO-NAS' kind")
    if classes < 1:
      raise SpaceError(f"classes: must be 1 or more, got {classes}")
    search = not space.is_genotype if search is None else search
    self.backbone = Backbone(space, search=search, supernet=supernet, rngs=rngs)
    levels = self.backbone.levels()
    if not {4, *STRIDES} <= set(levels):
      raise SpaceError(f"stages: must reach strides 4, 8, 16 and 32, got {sorted(levels)}")
    self.levels = tuple(levels[stride] for stride in (4, *STRIDES))
    c2, c3, c4, c5 = (self.backbone.channels[i] for i in self.levels)
    p3, p4, p5 = c3 // 2, c4 // 2, c5 // 2
    cells = [space.cells[name] for name in spaces.NECK]
    options: dict[str, Any] = dict(affine=not search, pool_norm=False, supernet=supernet)
    self.neck = nnx.List(
      [
        UpStage(cells[0], (c5, c4, c3), p4, options, rngs=rngs),
        UpStage(cells[1], (p4, c3, c2), p3, options, rngs=rngs),
        DownStage(cells[2], (p3, p3), p4, options, rngs=rngs),
        DownStage(cells[3], (p4, p4), p5, options, rngs=rngs),
      ]
    )
    head, c_out = space.cells["head"], classes + BINS
    self.heads = nnx.List(
      mixed.Cell(head, [p], [1], c_out, 1, **options, rngs=rngs) for p in (p3, p4, p5)
    )
    self.space, self.classes = space, classes

  def named_cells(self) -> list[tuple[str, mixed.Cell]]:
    """The cells of neck and head by their names in the space; the backbone knows its own."""
    neck: Any = self.neck
    named = [(name, part.blocks) for name, part in zip(spaces.NECK, neck, strict=True)]
    return named + [("head", head) for head in self.heads]

  def features(self, image: jax.Array, weights: Weights, mode: Mode) -> list[jax.Array]:
    """The backbone's maps at strides 4, 8, 16 and 32 px, `[B, H / stride, W / stride, C]`."""
    outputs = self.backbone(image, weights, mode.at(0))
    return [outputs[i] for i in self.levels]

  def fuse_scales(self, features, weights: Weights, mode: Mode) -> list[jax.Array]:
    """The neck's maps at strides 8, 16 and 32 px."""
    c2, c3, c4, c5 = features
    mode = mode.at(1)
    of = lambda i: (weights.get(spaces.NECK[i]), mode.at(i))
    neck: Any = self.neck
    coarse, x = neck[0](c5, c4, c3, *of(0))  # The way down needs the narrow maps of the way up.
    fine, p3 = neck[1](x, c3, c2, *of(1))
    p4 = neck[2](p3, fine, *of(2))
    return [p3, p4, neck[3](p4, coarse, *of(3))]

  def __call__(self, image: jax.Array, weights: Weights, mode: Mode) -> loss.Predictions:
    """Predicts, without decoding (`detection.loss.decode`) or suppression (`detection.nms`).

    Args:
      image: `[B, H, W, c_in]` in [0, 1].
      weights: mixing weights of the searched cells; `{}` for a genotype.
      mode: how the pass is meant.

    Returns:
      Predictions over the A = H W (1 / 8^2 + 1 / 16^2 + 1 / 32^2) anchors.
    """
    missing = sorted(set(self.space.searched) - set(weights))
    if missing:
      raise ValueError(f"cells {missing} hold choices and need mixing weights, got {[*weights]}")
    check_size(*image.shape[1:3])
    maps = self.fuse_scales(self.features(image, weights, mode), weights, mode)
    own = weights.get("head")
    outputs = [
      head([x], own, mode.at(2).at(i)) for i, (head, x) in enumerate(zip(self.heads, maps))
    ]
    flat = [y.reshape(y.shape[0], -1, y.shape[-1]).astype(jnp.float32) for y in outputs]
    y = jnp.concatenate(flat, axis=1)
    points, strides = anchor_points([(x.shape[1], x.shape[2]) for x in maps], STRIDES)
    return loss.Predictions(y[..., : self.classes], y[..., self.classes :], points, strides)


def check_size(height: int, width: int) -> None:
  """Raises SpaceError unless an image of this size fits the strides."""
  if height % SIZE_STEP or width % SIZE_STEP or min(height, width) < 1:
    raise SpaceError(
      f"image: YOLO-NAS takes sides that are multiples of {SIZE_STEP} px, got {height} x {width}"
    )


def build(name_or_space: str | SearchSpace, classes: int = 80, *, rngs: Rngs) -> YoloNas:
  """YOLO-NAS by name (`yolo_nas_s`, `_m`, `_l`) or of a genotype, with initial weights.

  Args:
    name_or_space: which.
    classes: number of classes; 80 as published.
    rngs: initialises the weights; `Rngs(None)` where they are loaded or only counted.

  Raises:
    SpaceError: an unknown name, or a space that describes no such network.
  """
  named = isinstance(name_or_space, str)
  space = spaces.genotype(name_or_space) if named else name_or_space
  return YoloNas(space, classes, rngs=rngs)


def fuse(model: YoloNas) -> YoloNas:
  """A copy for evaluation in which every block is one convolution; equal to 1e-4."""
  fused = qarepvgg.fuse(model)
  assert isinstance(fused, YoloNas)
  return fused


def raw(
  static: Static, params: PyTree, stats: PyTree, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Every box before suppression.

  Args:
    static, params, stats: a model by `functional.split`, fused or not.
    images: float32 `[B, H, W, 3]` in [0, 1] at network size.

  Returns:
    Boxes xyxy `[B, A, 4]` px and scores `[B, A, classes]` in [0, 1].
  """
  return loss.decode(static.merge(params, stats)(images, {}, Mode()))


def placeholder_params(model: nnx.Module) -> int:
  """Parameters of the fused kernels that published files keep beside the branches, unused."""
  blocks = [node for _, node in nnx.iter_graph(model) if isinstance(node, qarepvgg.QARepVGG)]
  kernels = [block.placeholder for block in blocks]
  return sum(a * b * 9 + c for (a, b, _, _), (c,) in kernels)
