# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`digit_scenes`: an embedded detection set, no download. The pixels are real, the layouts are not.

Real: the digits (handwritten, `dnas.data.digits`; train, validation and test scenes use disjoint
digits) and the backgrounds (crops of the two photographs that scikit-learn ships, shared by the
splits). Synthetic: where the digits lie, their size, angle, colour and contrast. So it shows that
a detector learns, and how two detectors compare; it does not replace a photographed test set.

2,000 / 400 / 400 scenes of 96 x 96 px with 1 to 6 digits, 14 to 40 px high before they are turned
by up to 15 degrees. A box is exact: all ink of a digit lies in it, and each of its four sides
touches ink. Everything is integer arithmetic on a raw random stream, so that every machine renders
the same bytes.
"""

import functools
import io
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_sample_images

from dnas.data import digits

VERSION = "1.1.0"  # Of the content: raise it when a pixel or box changes, for caches keep the old.
SIZE_PX = 96
COUNTS = {"train": 2000, "validation": 400, "test": 400}
_MAX_DIGITS = 6
_HEIGHT_PX = (14, 40)
_ANGLE_DEG = 15
_CONTRAST = (90, 200)  # Difference of grey levels between a digit and the mean of its background.
_MARGIN_PX = 2  # Between two digits.
_TRIES = 30  # Places tried for a digit before the scene goes without it.
_ONE = 1 << 16  # Fixed-point unit of coordinates.
_SEEDS = {"train": 1, "validation": 2, "test": 3}


class _Dice:
  """Integers from the raw stream of PCG64, which NumPy promises to keep (unlike its samplers)."""

  def __init__(self, *seed: int):
    self._bits = np.random.PCG64(list(seed))

  def roll(self, low: int, high: int) -> int:
    """An integer from low to high, both included."""
    return low + int(self._bits.random_raw()) % (high - low + 1)


@functools.cache
def _photographs() -> tuple[np.ndarray, ...]:
  return tuple(image.astype(np.int32) for image in load_sample_images().images)


def _background(dice: _Dice) -> np.ndarray:
  """A crop of one photograph at 1/1, 1/2 or 1/3, perhaps mirrored -> int32 [96, 96, 3]."""
  photo = _photographs()[dice.roll(0, 1)]
  step = dice.roll(1, 3)
  side = SIZE_PX * step
  y, x = dice.roll(0, photo.shape[0] - side), dice.roll(0, photo.shape[1] - side)
  crop = photo[y : y + side, x : x + side]
  total = sum(crop[a::step, b::step] for a in range(step) for b in range(step))
  pixels = np.asarray(total) // step**2
  return pixels[:, ::-1] if dice.roll(0, 1) else pixels


def _draw(ink: np.ndarray, height_px: int, angle_deg: int, stretch: int) -> np.ndarray:
  """One digit, magnified and turned -> opacity int32 [h, w] from 0 to 255, without empty borders.

  Args:
    ink: int32 [13, 13], 0 to 16: the 8 x 8 of a digit within an empty border of 2 and 3.
    height_px: of the digit before it is turned.
    angle_deg: counter-clockwise.
    stretch: width in percent.
  """
  rows = np.flatnonzero(ink.any(1))
  squares = int(rows[-1] - rows[0]) + 1  # Height in squares of the 8 x 8.
  half = height_px * 5 // 4 + 2
  y, x = np.arange(-half, half + 1, dtype=np.int32)[:, None], np.arange(-half, half + 1)
  cos, sin = (round(f(math.radians(angle_deg)) * _ONE) for f in (math.cos, math.sin))
  # Where each pixel comes from, in squares: (u, v) = turn (x, y) squares / height_px + middle.
  across, down = squares * 100, squares
  u = cos * across // (height_px * stretch) * x - sin * across // (height_px * stretch) * y
  v = sin * down // height_px * x + cos * down // height_px * y
  u = np.clip(u + 11 * _ONE // 2, 0, 11 * _ONE).astype(np.int32)
  v = np.clip(v + 11 * _ONE // 2, 0, 11 * _ONE).astype(np.int32)
  i, j, fv, fu = v >> 16, u >> 16, (v & 0xFFFF) >> 8, (u & 0xFFFF) >> 8
  flat, at = ink.ravel(), i * 13 + j
  top = (flat[at] << 8) + (flat[at + 1] - flat[at]) * fu
  bottom = (flat[at + 13] << 8) + (flat[at + 14] - flat[at + 13]) * fu
  value = ((top << 8) + (bottom - top) * fv) * 255 >> 20  # Bilinear; 16 << 16 becomes 255.
  # A steeper slope at the edge of a stroke: 8 px magnified would look like fog.
  opacity = np.clip((value - 60) * 2, 0, 255)
  opacity[opacity < 32] = 0  # So that what touches the box can be seen.
  rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
  return opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(dice: _Dice, h: int, w: int, boxes: list[tuple]) -> tuple[int, int] | None:
  """The top left corner of a free place of h x w px, or None."""
  m = _MARGIN_PX
  for _ in range(_TRIES):
    y, x = dice.roll(0, SIZE_PX - h), dice.roll(0, SIZE_PX - w)
    free = all(
      x >= x2 + m or x + w + m <= x1 or y >= y2 + m or y + h + m <= y1
      for x1, y1, x2, y2, _ in boxes
    )
    if free:
      return y, x
  return None


def _paint(dice: _Dice, under: np.ndarray, opacity: np.ndarray) -> np.ndarray:
  """A digit in a colour that stands out from what lies under it -> int32 [h, w, 3]."""
  grey = int(under.sum()) // under.size
  contrast = dice.roll(*_CONTRAST)
  up = grey + contrast <= 255
  down = grey - contrast >= 0
  brighter = bool(dice.roll(0, 1)) if up == down else up
  level = grey + contrast if brighter else grey - contrast
  colour = np.clip([level + dice.roll(-40, 40) for _ in range(3)], 0, 255)
  alpha = opacity[..., None]
  return (under * (255 - alpha) + colour * alpha + 127) // 255


def render(split: str, number: int) -> tuple[np.ndarray, list[tuple[int, int, int, int, int]]]:
  """Scene `number` of a split -> (uint8 [96, 96, 3], [(x1, y1, x2, y2, digit), ...] in px)."""
  ink, labels = _glyphs(split)
  dice = _Dice(_SEEDS[split], number)
  scene = _background(dice)
  boxes: list[tuple[int, int, int, int, int]] = []
  for _ in range(dice.roll(1, _MAX_DIGITS)):
    k = dice.roll(0, len(ink) - 1)
    low, high = _HEIGHT_PX
    height = min(dice.roll(low, high), dice.roll(low, high))  # Small ones are more frequent.
    opacity = _draw(ink[k], height, dice.roll(-_ANGLE_DEG, _ANGLE_DEG), dice.roll(85, 125))
    h, w = opacity.shape
    place = _place(dice, h, w, boxes)
    if place is None:
      continue
    y, x = place
    area = np.s_[y : y + h, x : x + w]
    scene[area] = _paint(dice, scene[area], opacity)
    boxes.append((x, y, x + w, y + h, int(labels[k])))
  return scene.astype(np.uint8), boxes


@functools.cache
def _glyphs(split: str) -> tuple[np.ndarray, np.ndarray]:
  """(ink int32 [N, 13, 13], labels [N]): see `_draw`."""
  ink, labels = digits.glyphs(split)
  return np.pad(ink.astype(np.int32), ((0, 0), (2, 3), (2, 3))), labels


class DigitScenes(tfds.core.GeneratorBasedBuilder):
  """The scenes as a TFDS data set: `image`, `objects{bbox, label}`."""

  VERSION = tfds.core.Version(VERSION)

  def _info(self) -> tfds.core.DatasetInfo:
    features = tfds.features.FeaturesDict(
      {
        "image": tfds.features.Image(shape=(SIZE_PX, SIZE_PX, 3), encoding_format="png"),
        "image/id": np.int64,
        "objects": tfds.features.Sequence(
          {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=list(digits.CLASSES)),
          }
        ),
      }
    )
    return tfds.core.DatasetInfo(
      builder=self, features=features, description="Handwritten digits on photographs."
    )

  def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
    del dl_manager  # Nothing is downloaded.
    return {split: self._generate_examples(split) for split in COUNTS}

  def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
    for number in range(COUNTS[split]):
      image, boxes = render(split, number)
      ok, png = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
      if not ok:
        raise OSError(f"OpenCV could not encode scene {number} of {split} as PNG")
      yield (
        number,
        {
          "image": io.BytesIO(png.tobytes()),
          "image/id": number,
          "objects": [
            {
              "bbox": tfds.features.BBox(*(v / SIZE_PX for v in (y1, x1, y2, x2))),
              "label": label,
            }
            for x1, y1, x2, y2, label in boxes
          ],
        },
      )


def builder(folder: pathlib.Path) -> DigitScenes:
  """The builder whose data lie, or will lie, in `folder`/digit_scenes/VERSION."""
  return DigitScenes(data_dir=folder, file_format="array_record")
