# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""An image of any size on a canvas of the network's size, and boxes there and back.

x_network = x_image * scale_x + left        y_network = y_image * scale_y + top

Coordinates count from the corner of a pixel: the first one covers [0, 1] x [0, 1].
"""

from typing import NamedTuple

import cv2
import numpy as np

from dnas.data.images import REDUCTIONS

FILL = 114  # The grey that YOLO detectors are trained with around the image.
INTERPOLATIONS = ("area", "linear")
_XYXY = np.array([0, 1, 0, 1])


class Fitted(NamedTuple):
  """A letterboxed image.

  Attributes:
    image: uint8 [h, w, 3].
    scale: float32 [2], (x, y): network px per px of the original image.
    offset: float32 [2], (left, top): empty network px beside and above the image.
  """

  image: np.ndarray
  scale: np.ndarray
  offset: np.ndarray


def content_size(original: tuple[int, int], content: tuple[int, int]) -> tuple[int, int]:
  """The (height, width) that an image has after it was fitted into `content`, aspect kept."""
  height, width = original
  scale = min(content[0] / height, content[1] / width)
  return max(1, round(height * scale)), max(1, round(width * scale))


def reduction_for(
  original: tuple[int, int], content: tuple[int, int], interpolation: str = "area"
) -> int:
  """The largest reduction (1, 2, 4 or 8) that leaves an image no smaller than it will be shown.

  It averages, and so there is none for "linear" interpolation.
  """
  if interpolation != "area":
    return 1
  h, w = content_size(original, content)
  fitting = [r for r in REDUCTIONS if original[0] >= h * r and original[1] >= w * r]
  return max(fitting, default=1)


def letterbox(
  image: np.ndarray,
  size: tuple[int, int],
  *,
  content: tuple[int, int] | None = None,
  interpolation: str = "area",
  reduction: int = 1,
  original: tuple[int, int] | None = None,
) -> Fitted:
  """Fits an image into `content`, centred on a grey canvas of `size`; its aspect is kept.

  Args:
    image: uint8 [H, W, 3], perhaps decoded at 1/`reduction` of its size.
    size: (h, w) of the canvas.
    content: (h, w) that the image may fill, at most `size`; default: `size`.
    interpolation: "area" averages when it shrinks an image (and is linear when it enlarges);
      "linear" is plain bilinear sampling, as detectors that were trained elsewhere may expect.
    reduction: as returned by `Images.reduced`.
    original: (H, W) before the reduction; default: the image's own.
  """
  original = original or image.shape[:2]
  h, w = content_size(original, content or size)
  actual_h, actual_w = image.shape[:2]
  scale = np.asarray([w / (actual_w * reduction), h / (actual_h * reduction)], np.float32)
  if (actual_h, actual_w) != (h, w):
    shrinks = h < actual_h or w < actual_w
    method = cv2.INTER_AREA if shrinks and interpolation == "area" else cv2.INTER_LINEAR
    image = cv2.resize(image, (w, h), interpolation=method)
  top, left = (size[0] - h) // 2, (size[1] - w) // 2
  if (h, w) != tuple(size):
    canvas = np.full((*size, 3), FILL, np.uint8)
    canvas[top : top + h, left : left + w] = image
    image = canvas
  return Fitted(image, scale, np.asarray([left, top], np.float32))


def to_network(boxes: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
  """Boxes [..., 4] from px of the original image to px of the canvas (scale, offset: [2])."""
  return boxes * scale[_XYXY] + offset[_XYXY]


def to_image(
  boxes: np.ndarray,
  scale: np.ndarray,
  offset: np.ndarray,
  original: tuple[int, int] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """The inverse of `to_network`, for boxes that were found anywhere on the canvas.

  Args:
    boxes: `[N, 4]`, px of the canvas.
    scale, offset: of the letterboxed image, see `Fitted`.
    original: (H, W) of the image.

  Returns:
    float64 `[N, 4]`, px of the image and cut to it; and bool `[N]`, false for a box of which
    nothing is left, for it lay in the padding.
  """
  scale, offset = scale.astype(np.float64), offset.astype(np.float64)
  height, width = original
  boxes = np.clip((boxes - offset[_XYXY]) / scale[_XYXY], 0, np.array([width, height] * 2))
  return boxes, np.all(boxes[:, 2:] > boxes[:, :2], -1)


def cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """For classification: the image shrunk or enlarged until it covers `size`, its middle cut out."""
  (height, width), (h, w) = image.shape[:2], size
  if (height, width) == (h, w):
    return image
  scale = max(h / height, w / width)
  new_h, new_w = max(h, round(height * scale)), max(w, round(width * scale))
  method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  image = cv2.resize(image, (new_w, new_h), interpolation=method)
  top, left = (new_h - h) // 2, (new_w - w) // 2
  return np.ascontiguousarray(image[top : top + h, left : left + w])
