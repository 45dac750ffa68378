# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures with true and predicted boxes, to be looked at: a sheet of them, or one in full."""

import colorsys
import io
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dnas.files import atomic_write

TRUE_COLOUR = (40, 220, 90)
PREDICTED_COLOUR = (255, 70, 40)
_BACKGROUND = (32, 32, 36)
_MARGIN_PX = 4
_DASH_PX = 5


class _Label(NamedTuple):
  """A box in px of the picture, what is written at it, and whether it is a true one."""

  box: np.ndarray
  text: str
  colour: tuple[int, int, int]
  true: bool = False


def sheet(
  images: Sequence[np.ndarray],
  ground_truth: Sequence[Mapping[str, Any]] | None,
  predictions: Sequence[Mapping[str, Any]] | None,
  class_names: Sequence[str],
  path: str | os.PathLike[str],
  *,
  tile_px: int = 288,
  min_score: float = 0.0,
) -> pathlib.Path:
  """Writes one picture: true boxes dashed and green, predicted ones solid and red with a score.

  Args:
    images: uint8 `[H, W, 3]` each; sizes may differ.
    ground_truth: `{"boxes": [N, 4] xyxy px, "labels": [N]}` per image; None: none.
    predictions: the same with `"scores": [N]` per image; None: none.
    class_names: the name of each class index.
    path: of the PNG; its folder is made if need be.
    tile_px: the longer side of each picture on the sheet; small pictures are enlarged to it.
    min_score: predictions below it are not drawn.

  Returns:
    The path.

  Raises:
    ValueError: no images, lists of different lengths, an image that is not uint8 `[H, W, 3]`, boxes
      that are not `[N, 4]`, or a label without a name.
  """
  if not len(images):
    raise ValueError("sheet: no images to draw")
  for name, entries in (("ground_truth", ground_truth), ("predictions", predictions)):
    if entries is not None and len(entries) != len(images):
      raise ValueError(f"sheet: {len(entries)} {name} for {len(images)} images")
  tiles = [
    _tile(
      image,
      ground_truth[i] if ground_truth is not None else {},
      predictions[i] if predictions is not None else {},
      class_names,
      tile_px,
      min_score,
      f"images[{i}]",
    )
    for i, image in enumerate(images)
  ]
  cell_width = max(tile.width for tile in tiles) + _MARGIN_PX
  cell_height = max(tile.height for tile in tiles) + _MARGIN_PX
  columns = math.ceil(math.sqrt(len(tiles)))  # About as many as rows.
  rows = math.ceil(len(tiles) / columns)
  canvas = Image.new(
    "RGB", (columns * cell_width + _MARGIN_PX, rows * cell_height + _MARGIN_PX), _BACKGROUND
  )
  for i, tile in enumerate(tiles):
    row, column = divmod(i, columns)
    canvas.paste(tile, (column * cell_width + _MARGIN_PX, row * cell_height + _MARGIN_PX))
  path = pathlib.Path(path)
  buffer = io.BytesIO()
  canvas.save(buffer, format="PNG")
  atomic_write(path, buffer.getvalue())
  return path


def picture(
  image: np.ndarray,
  predicted: Mapping[str, Any],
  class_names: Sequence[str],
  path: str | os.PathLike[str],
) -> pathlib.Path:
  """Writes an image in its own size with predicted boxes, a colour a class.

  Args:
    image: uint8 `[H, W, 3]`.
    predicted: `{"boxes": [N, 4] xyxy px, "labels": [N], "scores": [N]}`.
    class_names: the name of each class index.
    path: its suffix says the format (.png, .jpg, ...); its folder is made if need be.

  Returns:
    The path.

  Raises:
    ValueError: as `sheet`, and for a suffix that stands for no format.
  """
  path = pathlib.Path(path)
  kind = Image.registered_extensions().get(path.suffix.lower())
  if kind not in Image.SAVE:
    raise ValueError(f"{path}: no picture can be written as {path.suffix!r}; use .png or .jpg")
  boxes, labels, scores = _entries(predicted, class_names, "the picture")
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
    raise ValueError(f"picture: {image.dtype} {image.shape}; valid is uint8 [H, W, 3]")
  canvas = Image.fromarray(image)
  draw = ImageDraw.Draw(canvas)
  width = max(2, round(max(canvas.size) / 400))
  font_px = max(11, round(max(canvas.size) / 55))
  labelled = []
  for i in np.argsort(-scores, kind="stable").tolist():
    colour = _colour(int(labels[i]))
    text = f"{class_names[int(labels[i])]}: {scores[i]:.2f}"
    labelled.append(_Label(boxes[i], text, colour))
  for label in reversed(labelled):  # Worst first: the best stays on top.
    _outline(draw, label.box, label.colour, dashed=False, width=width)
  _captions(draw, labelled, canvas.size, font_px)
  buffer = io.BytesIO()
  canvas.save(buffer, format=kind)
  atomic_write(path, buffer.getvalue())
  return path


def _colour(label: int) -> tuple[int, int, int]:
  """A bright colour for a class, far from that of the next: hues a golden section apart."""
  r, g, b = colorsys.hsv_to_rgb((0.02 + label * 0.618034) % 1, 0.75, 1.0)
  return round(255 * r), round(255 * g), round(255 * b)


def _tile(
  image: np.ndarray,
  truth: Mapping[str, Any],
  predicted: Mapping[str, Any],
  class_names: Sequence[str],
  tile_px: int,
  min_score: float,
  where: str,
) -> Image.Image:
  image = np.asarray(image)
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
    raise ValueError(f"sheet: {where} is {image.dtype} {image.shape}; valid is uint8 [H, W, 3]")
  height, width = image.shape[:2]
  scale = tile_px / max(height, width)
  tile = Image.fromarray(image).resize(
    (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR
  )
  draw = ImageDraw.Draw(tile)
  boxes, labels, _ = _entries(truth, class_names, f"sheet: {where} ground truth")
  true = [
    _Label(box, f"{class_names[label]}", TRUE_COLOUR, true=True)
    for box, label in zip(boxes * scale, labels.tolist())
  ]
  boxes, labels, scores = _entries(predicted, class_names, f"sheet: {where} prediction")
  found = [
    _Label(boxes[i] * scale, f"{class_names[int(labels[i])]}: {scores[i]:.2f}", PREDICTED_COLOUR)
    for i in np.argsort(-scores, kind="stable").tolist()
    if scores[i] >= min_score
  ]
  for label in (*true, *reversed(found)):  # Worst first, so that the best stays on top.
    _outline(draw, label.box, label.colour, dashed=label.true)
  _captions(draw, [*found, *true], tile.size)
  return tile


def _entries(
  entry: Mapping[str, Any], class_names: Sequence[str], where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Boxes `[N, 4]`, labels `[N]`, scores `[N]`, checked; of nothing, where there are none."""
  boxes = np.asarray(entry.get("boxes", np.zeros((0, 4))), np.float64)
  labels = np.asarray(entry.get("labels", ()), np.int64)
  scores = np.asarray(entry.get("scores", np.ones(len(boxes))), np.float64)
  if boxes.ndim != 2 or boxes.shape[-1] != 4 or not len(boxes) == len(labels) == len(scores):
    raise ValueError(
      f"{where} has boxes {boxes.shape}, labels {labels.shape}, scores {scores.shape}; "
      "valid is [N, 4], [N], [N]"
    )
  if len(labels) and not 0 <= labels.min() <= labels.max() < len(class_names):
    raise ValueError(
      f"{where} has labels {labels.min()} to {labels.max()}; valid is 0 to {len(class_names) - 1}"
    )
  return boxes, labels, scores


def _ordered(box: np.ndarray) -> tuple[float, float, float, float]:
  """Pillow refuses a rectangle whose corners are exchanged."""
  x1, y1, x2, y2 = box.tolist()
  return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _outline(
  draw: ImageDraw.ImageDraw,
  box: np.ndarray,
  colour: tuple[int, int, int],
  *,
  dashed: bool,
  width: int = 2,
) -> None:
  """The edges of a box, `width` px wide and centred on it (`draw.rectangle` is inside)."""
  x1, y1, x2, y2 = _ordered(box)
  for start, end in (
    *(((x1, y), (x2, y)) for y in (y1, y2)),
    *(((x, y1), (x, y2)) for x in (x1, x2)),
  ):
    length = max(end[0] - start[0], end[1] - start[1])
    dash = _DASH_PX if dashed else max(length, 1)
    for at in np.arange(0, length, 2 * dash):
      to = min(at + dash, length)
      if start[1] == end[1]:
        draw.line((start[0] + at, start[1], start[0] + to, end[1]), fill=colour, width=width)
      else:
        draw.line((start[0], start[1] + at, end[0], start[1] + to), fill=colour, width=width)


def _captions(
  draw: ImageDraw.ImageDraw, labels: Sequence[_Label], limit: tuple[int, int], font_px: int = 11
) -> None:
  """Writes each label at its box where it hides no other; those before choose first.

  A prediction's is written in any case, a true one's where there is room: its outline tells the
  rest.
  """
  font = ImageFont.load_default(size=font_px)
  taken: list[tuple[_Label, tuple[float, float, float, float], tuple[float, float]]] = []
  for label in labels:
    left, top, right, bottom = draw.textbbox((0, 0), label.text, font=font)
    places = _places(label, (right - left + 2, bottom - top + 2), limit)
    hidden = [sum(_shared(place, other) for _, other, _ in taken) for place in places]
    best = int(np.argmin(hidden))  # The first of equals.
    if not (label.true and hidden[best]):
      taken.append((label, places[best], (1 - left, 1 - top)))
  for label, place, (dx, dy) in reversed(taken):
    draw.rectangle(place, fill=label.colour)
    draw.text((place[0] + dx, place[1] + dy), label.text, fill=(0, 0, 0), font=font)


def _places(
  label: _Label, size: tuple[float, float], limit: tuple[int, int]
) -> list[tuple[float, float, float, float]]:
  """Where a caption of this size may stand: outside its box above or below, else inside."""
  (width, height), (x1, y1, x2, y2) = size, _ordered(label.box)
  above, below = (y1 - height, y1), (y2 + 1, y2 - height)
  outside, inside = zip(below, above) if label.true else zip(above, below)
  places = []
  for y in (*outside, *inside):
    for x in (x1, x2 - width):
      x_px = min(max(x, 0), max(limit[0] - width, 0))
      y_px = min(max(y, 0), max(limit[1] - height, 0))
      places.append((x_px, y_px, x_px + width, y_px + height))
  return places


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
  """The area that two rectangles share."""
  width = min(a[2], b[2]) - max(a[0], b[0])
  height = min(a[3], b[3]) - max(a[1], b[1])
  return max(width, 0) * max(height, 0)
