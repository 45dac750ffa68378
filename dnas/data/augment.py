# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Augmentations: (rng, sample, ...) -> sample, on the canvas of the network's size, on the host.

A config lists them by name, `augment=[dict(name="hflip"), dict(name="colour", strength=0.3)]`;
one of your own is any function of this form, named by its dotted path. Boxes move with the pixels;
a box that is cut so far that less than `min_visible` of it is left is dropped. What needs further
images is marked `@mixes` and takes `draw`, see `dnas.data.sample`.
"""

import math

import cv2
import numpy as np

from dnas.data.letterbox import FILL
from dnas.data.sample import (
  Draw,
  Move,
  Sample,
  clip_boxes,
  join,
  mixes,
  move_boxes,
  paint,
  warp,
)

_Range = tuple[float, float]
_GREY = (0.299, 0.587, 0.114)  # Luminance of R, G and B (Rec. 601).


def hflip(rng: np.random.Generator, sample: Sample, probability: float = 0.5) -> Sample:
  """Mirrored: x' = w - x, with a probability. Not for classes that this changes, such as digits."""
  if rng.random() >= probability:
    return sample
  image = cv2.flip(sample["image"], 1)
  flipped = {**sample, "image": image}
  if "boxes" in sample:
    x1, y1, x2, y2 = sample["boxes"].T
    w = np.float32(image.shape[1])
    flipped["boxes"] = np.stack([w - x2, y1, w - x1, y2], axis=1)
  return flipped


def dihedral(rng: np.random.Generator, sample: Sample) -> Sample:
  """One of the 8 turned and mirrored forms of a square, for pictures without up and down.

  Raises:
    ValueError: the canvas is not square.
  """
  image = sample["image"]
  side, width = image.shape[:2]
  if side != width:
    raise ValueError(f"dihedral needs a square canvas, not {side} x {width} px")
  turns, mirrored = (int(v) for v in rng.integers(0, (4, 2)))
  turned = {**sample, "image": np.rot90(image[:, ::-1] if mirrored else image, turns)}
  if "boxes" in sample:
    x1, y1, x2, y2 = sample["boxes"].T
    if mirrored:
      x1, x2 = side - x2, side - x1
    for _ in range(turns):  # Counter-clockwise: (x, y) -> (y, side - x).
      x1, y1, x2, y2 = y1, side - x2, y2, side - x1
    turned["boxes"] = np.stack([x1, y1, x2, y2], axis=1)
  return turned


def scale_translate(
  rng: np.random.Generator,
  sample: Sample,
  scale: _Range = (0.7, 1.3),
  translate: float = 0.1,
  aspect: float = 1.2,
  min_visible: float = 0.3,
) -> Sample:
  """Magnified and moved about the middle.

  x' = s sqrt(a) (x - w/2) + w/2 + t_x w,  y' = s / sqrt(a) (y - h/2) + h/2 + t_y h


  Args:
    rng: where s, a and t are drawn.
    sample: see `dnas.data.sample`.
    scale: range of s, drawn evenly on a logarithmic scale.
    translate: t_x and t_y are drawn from [-translate, translate].
    aspect: a is drawn from [1 / aspect, aspect], evenly on a logarithmic scale.
    min_visible: share of a box that has to remain.
  """
  h, w = sample["image"].shape[:2]
  s, root = _log_uniform(rng, scale), math.sqrt(_log_uniform(rng, (1 / aspect, aspect)))
  sx, sy = s * root, s / root
  tx, ty = rng.uniform(-translate, translate, 2)
  move = Move(sx, sy, (0.5 - 0.5 * sx + tx) * w, (0.5 - 0.5 * sy + ty) * h)
  return warp(sample, move, min_visible)


def crop(
  rng: np.random.Generator,
  sample: Sample,
  area: _Range = (0.4, 1.0),
  aspect: float = 1.33,
  probability: float = 1.0,
  min_visible: float = 0.3,
) -> Sample:
  """A random window, enlarged to the whole canvas.

  Args:
    rng: where the window is drawn.
    sample: see `dnas.data.sample`.
    area: range of the window's share of the canvas.
    aspect: its width / height, relative to the canvas, is in [1 / aspect, aspect].
    probability: else the sample stays as it is.
    min_visible: share of a box that has to remain.
  """
  if rng.random() >= probability:
    return sample
  h, w = sample["image"].shape[:2]
  share, root = rng.uniform(*area), math.sqrt(_log_uniform(rng, (1 / aspect, aspect)))
  part_w, part_h = min(1.0, math.sqrt(share) * root), min(1.0, math.sqrt(share) / root)
  left, top = rng.random() * (1 - part_w) * w, rng.random() * (1 - part_h) * h
  move = Move(1 / part_w, 1 / part_h, -left / part_w, -top / part_h)
  return warp(sample, move, min_visible)


def colour(
  rng: np.random.Generator, sample: Sample, strength: float = 0.3, hue: float = 0.02
) -> Sample:
  """One affine map of RGB: p' = c b S R p + 128 (1 - c), rounded and cut to 0 ... 255.

  Brightness b, contrast c and the saturation of S are drawn from [1 - strength, 1 + strength];
  R turns the colours about the grey axis by up to `hue` of a full turn.
  """
  bright, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
  angle = 2 * math.pi * rng.uniform(-hue, hue)
  # Rodrigues' formula for the axis (1, 1, 1) / sqrt(3): R = [[a, c, b], [b, a, c], [c, b, a]].
  sin, k = math.sin(angle) / math.sqrt(3), (1 - math.cos(angle)) / 3
  a, b, c = math.cos(angle) + k, k + sin, k - sin
  # S R p = saturation R p + (1 - saturation) (grey level of R p).
  (r, g, u), gain, rest = _GREY, contrast * bright, 1 - saturation
  grey = [rest * v for v in (r * a + g * b + u * c, r * c + g * a + u * b, r * b + g * c + u * a)]
  turn = ((a, c, b), (b, a, c), (c, b, a))
  matrix = [[gain * (saturation * x + y) for x, y in zip(row, grey)] for row in turn]
  matrix = np.array([[*row, 128 * (1 - contrast)] for row in matrix])
  return {**sample, "image": cv2.transform(sample["image"], matrix)}


@mixes(images=4)
def mosaic(
  rng: np.random.Generator,
  sample: Sample,
  draw: Draw,
  probability: float = 0.5,
  scale: _Range = (0.5, 1.0),
  centre: float = 0.2,
  min_visible: float = 0.3,
) -> Sample:
  """Four samples around a random point, each cut to its quadrant (YOLOv4, Bochkovskiy 2020).

  Args:
    rng: where everything is drawn.
    sample: becomes the top left part.
    draw: gives the three others, which have to be of the same size.
    probability: else the sample stays as it is.
    scale: range of the magnification of each part.
    centre: the point lies up to this share of the canvas from its middle.
    min_visible: share of a box that has to remain.
  """
  if rng.random() >= probability:
    return sample
  h, w = sample["image"].shape[:2]
  cx, cy = (round(v) for v in (0.5 + rng.uniform(-centre, centre, 2)) * (w, h))
  canvas = np.full_like(sample["image"], FILL)
  parts = []
  for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
    part = sample if not parts else draw()
    s = _log_uniform(rng, scale)
    x1, x2 = (cx, w) if right else (0, cx)
    y1, y2 = (cy, h) if below else (0, cy)
    # The corner of the image that points to the middle of the mosaic stays there.
    move = Move(s, s, cx - (1 - right) * s * w, cy - (1 - below) * s * h).snapped(h, w)
    paint(canvas, part["image"], move, (x1, y1, x2, y2))
    parts.append(clip_boxes(move_boxes(part, move), (x1, y1, x2, y2), min_visible))
  return join(canvas, parts)


@mixes(images=2)
def mixup(
  rng: np.random.Generator,
  sample: Sample,
  draw: Draw,
  probability: float = 0.15,
  alpha: float = 8.0,
) -> Sample:
  """Two in one: r image_1 + (1 - r) image_2, boxes of both; r ~ Beta(a, a) (Zhang 2018)."""
  if rng.random() >= probability:
    return sample
  other = draw()
  r = rng.beta(alpha, alpha)
  image = cv2.addWeighted(sample["image"], r, other["image"], 1 - r, 0.0)
  return join(image, [sample, other])


def pad_crop(
  rng: np.random.Generator, sample: Sample, pad_px: int = 4, min_visible: float = 0.3
) -> Sample:
  """Moved by up to `pad_px` in x and y, black outside."""
  top, left = (int(v) for v in rng.integers(0, 2 * pad_px + 1, 2))
  h, w = sample["image"].shape[:2]
  padded = np.pad(sample["image"], ((pad_px, pad_px), (pad_px, pad_px), (0, 0)))
  cropped = {**sample, "image": padded[top : top + h, left : left + w]}
  if "boxes" not in sample:
    return cropped
  move = Move(1.0, 1.0, pad_px - left, pad_px - top)
  return clip_boxes(move_boxes(cropped, move), (0, 0, w, h), min_visible)


def cutout(
  rng: np.random.Generator, sample: Sample, length_px: int = 16, fill: int = FILL
) -> Sample:
  """A square of grey around a random point (DeVries and Taylor, 2017); boxes stay."""
  h, w = sample["image"].shape[:2]
  y, x = int(rng.integers(h)), int(rng.integers(w))
  image = sample["image"].copy()
  top, left = max(0, y - length_px // 2), max(0, x - length_px // 2)
  image[top : y - length_px // 2 + length_px, left : x - length_px // 2 + length_px] = fill
  return {**sample, "image": image}


def _log_uniform(rng: np.random.Generator, bounds: _Range) -> float:
  return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))
