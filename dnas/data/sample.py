# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One example on its way through the augmentations, and what these have in common.

A sample is a dict: `image` uint8 [h, w, 3]; for detection `boxes` float32 [N, 4] (x1, y1, x2, y2)
in px, `labels` int32 [N] and `crowd` bool [N]; for classification `label`. Nothing is changed in
place: images may be shared with the cache of decoded images.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from dnas.data.letterbox import FILL

Sample = dict[str, Any]
Draw = Callable[[], Sample]
_PER_BOX = ("boxes", "labels", "crowd")
_MIN_SIDE_PX = 1.0


def mixes(images: int) -> Callable[[Callable], Callable]:
  """Marks an augmentation `f(rng, sample, draw, ...)` that puts up to `images` images into one.

  The pipeline passes it `draw`, which returns a further random sample, and makes room for
  `images` times as many boxes.
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
  if not len(sample["boxes"]):
    return sample
  x1, y1, x2, y2 = window
  boxes = sample["boxes"]
  cut = np.clip(boxes, _f32(x1, y1, x1, y1), _f32(x2, y2, x2, y2))
  sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
  visible = sides.prod(1) >= min_visible * before.prod(1)
  return select({**sample, "boxes": cut}, visible & (sides.min(1) >= _MIN_SIDE_PX))


def warp_image(
  image: np.ndarray, sx: float, sy: float, tx: float, ty: float, size: tuple[int, int]
) -> np.ndarray:
  """The image under x' = sx x + tx, y' = sy y + ty on a canvas of `size` (h, w), grey outside.

  Coordinates are those of boxes: pixel (i, j) covers [j, j + 1] x [i, i + 1].
  """
  # OpenCV counts from the centre of a pixel.
  matrix = np.array([[sx, 0, tx + 0.5 * sx - 0.5], [0, sy, ty + 0.5 * sy - 0.5]])
  return cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderValue=(FILL,) * 3)


def move_boxes(sample: Sample, sx: float, sy: float, tx: float, ty: float) -> Sample:
  """The sample with its boxes under x' = sx x + tx, y' = sy y + ty."""
  boxes = sample["boxes"] * _f32(sx, sy, sx, sy) + _f32(tx, ty, tx, ty)
  return {**sample, "boxes": boxes}


def warp(sample: Sample, sx: float, sy: float, tx: float, ty: float, min_visible: float) -> Sample:
  """Image and boxes under x' = sx x + tx, y' = sy y + ty, on a canvas of the same size."""
  h, w = sample["image"].shape[:2]
  moved = {**sample, "image": warp_image(sample["image"], sx, sy, tx, ty, (h, w))}
  if "boxes" not in sample:
    return moved
  return clip_boxes(move_boxes(moved, sx, sy, tx, ty), (0, 0, w, h), min_visible)


def _f32(*values: float) -> np.ndarray:
  return np.array(values, np.float32)
