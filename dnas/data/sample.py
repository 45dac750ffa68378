# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One example on its way through the augmentations, and what these have in common.

A sample is a dict: `image` uint8 [h, w, 3]; for detection `boxes` float32 [N, 4] (x1, y1, x2, y2)
in px and `labels` int32 [N]; for classification `label`. Nothing is changed in place: images may be
shared with the cache of decoded images.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from dnas.data.letterbox import FILL

Sample = dict[str, Any]
Draw = Callable[[], Sample]
_PER_BOX = ("boxes", "labels")
Window = tuple[int, int, int, int]
_MIN_SIDE_PX = 1.0
_WHOLE = 4  # Magnified by more than this (in area), an image is not resized as a whole.


def mixes(images: int) -> Callable[[Callable], Callable]:
  """Marks an augmentation `f(rng, sample, draw, ...)` that puts up to `images` images into one.

  The pipeline passes it `draw`, which returns a further random sample as it is on the canvas, and
  makes room for the boxes of `images` - 1 more.
  """

  def mark(function: Callable) -> Callable:
    function.images = images  # pyright: ignore[reportFunctionMemberAccess]
    return function

  return mark


def select(sample: Sample, keep: np.ndarray) -> Sample:
  """The sample with those of its boxes for which `keep` [N] is true."""
  return {**sample, **{k: sample[k][keep] for k in _PER_BOX}}


def join(image: np.ndarray, samples: Sequence[Sample]) -> Sample:
  """The first sample with another image and the boxes of all samples."""
  return {
    **samples[0],
    "image": image,
    **{k: np.concatenate([s[k] for s in samples]) for k in _PER_BOX},
  }


def clip_boxes(
  sample: Sample, window: tuple[float, float, float, float], min_visible: float
) -> Sample:
  """Boxes cut to a window (x1, y1, x2, y2) px.

  Those of which less than the share `min_visible` of their area is left, or less than 1 px of a
  side, are dropped: nobody could tell what they show.
  """
  boxes = sample["boxes"]
  if not len(boxes):
    return sample
  x1, y1, x2, y2 = window
  cut = np.minimum(np.maximum(boxes, _f32(x1, y1, x1, y1)), _f32(x2, y2, x2, y2))
  sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
  visible = sides[:, 0] * sides[:, 1] >= min_visible * before[:, 0] * before[:, 1]
  keep = visible & (np.minimum(sides[:, 0], sides[:, 1]) >= _MIN_SIDE_PX)
  sample = {**sample, "boxes": cut}
  return sample if keep.all() else select(sample, keep)


class Move(NamedTuple):
  """x' = sx x + tx, y' = sy y + ty, in the coordinates of boxes: see `dnas.data.letterbox`."""

  sx: float
  sy: float
  tx: float
  ty: float

  def snapped(self, h: int, w: int) -> "Move":
    """The nearest one that takes the edges of an h x w image to whole px.

    An image can then be moved by `cv2.resize`, which is three times as fast as `warpAffine`, and
    boxes still move exactly with its pixels.
    """
    left, top = round(self.tx), round(self.ty)
    width = max(1, round(self.tx + self.sx * w) - left)
    height = max(1, round(self.ty + self.sy * h) - top)
    return Move(width / w, height / h, left, top)


def move_boxes(sample: Sample, move: Move) -> Sample:
  """The sample with its boxes moved."""
  sx, sy, tx, ty = move
  return {**sample, "boxes": sample["boxes"] * _f32(sx, sy, sx, sy) + _f32(tx, ty, tx, ty)}


def paint(canvas: np.ndarray, image: np.ndarray, move: Move, window: Window | None = None) -> None:
  """Puts the image under a snapped `move` on the canvas, within `window` (x1, y1, x2, y2) px."""
  h, w = image.shape[:2]
  width, height = round(move.sx * w), round(move.sy * h)
  left, top = round(move.tx), round(move.ty)
  x1, y1, x2, y2 = window or (0, 0, canvas.shape[1], canvas.shape[0])
  x1, y1, x2, y2 = max(x1, left), max(y1, top), min(x2, left + width), min(y2, top + height)
  if x1 >= x2 or y1 >= y2:
    return
  if width * height <= _WHOLE * w * h:
    moved = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas[y1:y2, x1:x2] = moved[y1 - top : y2 - top, x1 - left : x2 - left]
    return
  # Much magnified: only what is seen. OpenCV counts from the centre of a pixel.
  tx, ty = left - x1 + 0.5 * move.sx - 0.5, top - y1 + 0.5 * move.sy - 0.5
  matrix = np.array([[move.sx, 0, tx], [0, move.sy, ty]])
  canvas[y1:y2, x1:x2] = cv2.warpAffine(
    image, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
  )


def warp(sample: Sample, move: Move, min_visible: float) -> Sample:
  """Image and boxes moved, on a canvas of the same size; grey where there is no image."""
  image = sample["image"]
  h, w = image.shape[:2]
  move = move.snapped(h, w)
  canvas = np.full_like(image, FILL)
  paint(canvas, image, move)
  moved = {**sample, "image": canvas}
  if "boxes" not in sample:
    return moved
  return clip_boxes(move_boxes(moved, move), (0, 0, w, h), min_visible)


def _f32(*values: float) -> np.ndarray:
  return np.array(values, np.float32)
