# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a data set holds, in lines for people: counts, classes, sizes of boxes, what was mended."""

import itertools
from collections.abc import Sequence

import numpy as np

from dnas.data.letterbox import content_size
from dnas.data.source import ClassificationSource, DetectionSource, Source

_BAR = 32  # Characters of the longest bar.
_CLASSES_SHOWN = 100
_EDGES_PX = (0, 4, 8, 16, 32, 64, 128, 256, np.inf)


def default_size(source: Source) -> tuple[int, int]:
  """A square (h, w): the longest side of an image up to a multiple of 32 px, but at most 640."""
  if isinstance(source, DetectionSource):
    longest = int(source.sizes.max())
  else:
    longest = max(source.images.read(0).shape[:2])
  side = min(640, -(-longest // 32) * 32)
  return side, side


def box_sides_px(source: DetectionSource, size: tuple[int, int]) -> np.ndarray:
  """sqrt(area) of each box that is no crowd region, float64 [T], in px after letterboxing."""
  a = source.annotations
  scales = np.array([content_size((h, w), size)[0] / h for h, w in source.sizes.tolist()])
  sides = np.maximum(a.boxes[:, 2:] - a.boxes[:, :2], 0).astype(np.float64)
  of_box = np.repeat(scales, np.diff(a.starts))
  return (np.sqrt(sides.prod(1)) * of_box)[~a.crowd]


def summary(source: Source, size: tuple[int, int]) -> list[str]:
  """Lines about a source; `size` (h, w) is the network's input in px.

  It reads the labels of all examples, which for a TFDS classification set means the whole of it.
  """
  if isinstance(source, DetectionSource):
    lines = _boxes(source, size)
  elif isinstance(source, ClassificationSource):
    labels = [source.label(i) for i in range(len(source))]
    lines = [f"{source.name}: {len(source)} images, {len(source.classes)} classes", ""]
    lines += _class_counts(source.classes, np.asarray(labels), "images")
  else:
    raise TypeError(f"{source!r} is neither a DetectionSource nor a ClassificationSource")
  mended = [f"  {line}" for line in source.report.lines()]
  return [*lines, "", *(["Mended:", *mended] if mended else ["No faults"])]


def _boxes(source: DetectionSource, size: tuple[int, int]) -> list[str]:
  a = source.annotations
  targets = ~a.crowd
  background = int((np.diff(a.starts) == 0).sum())
  low, high = source.sizes.min(0), source.sizes.max(0)
  span = lambda k: f"{low[k]}" if low[k] == high[k] else f"{low[k]} to {high[k]}"
  lines = [
    f"{source.name}: {len(source)} images, {len(source.classes)} classes, "
    f"{int(targets.sum())} boxes",
    f"image height {span(0)} px, width {span(1)} px",
    f"at most {source.max_boxes} boxes in one image; {background} images without any; "
    f"{int(a.crowd.sum())} crowd regions",
    "",
    *_class_counts(source.classes, a.labels[targets], "boxes"),
    "",
    f"sqrt(box area) in px at {size[0]} x {size[1]}:",
  ]
  counts = np.histogram(box_sides_px(source, size), _EDGES_PX)[0]
  names = [
    f"{a:g} to {b:g}" if b < np.inf else f"{a:g} up" for a, b in itertools.pairwise(_EDGES_PX)
  ]
  return lines + _bars(names, counts)


def _class_counts(classes: Sequence[str], labels: np.ndarray, what: str) -> list[str]:
  counts = np.bincount(labels, minlength=len(classes))
  lines = [f"{what} of each class:", *_bars(classes[:_CLASSES_SHOWN], counts[:_CLASSES_SHOWN])]
  if len(classes) > _CLASSES_SHOWN:
    lines.append(f"  and {len(classes) - _CLASSES_SHOWN} more classes")
  if empty := int((counts == 0).sum()):
    lines.append(f"  {empty} of {len(classes)} classes have none")
  return lines


def _bars(names: Sequence[str], counts: np.ndarray) -> list[str]:
  """One line each: name, count, and a bar in proportion."""
  width = max(len(name) for name in names)
  longest = max(1, int(np.max(counts)))
  return [
    f"  {name:<{width}}  {count:>7}  {'#' * round(_BAR * count / longest)}".rstrip()
    for name, count in zip(names, counts.tolist())
  ]
