# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Average precision, curves and confusion as the YOLO tools report them, beside COCO's figures.

They differ from COCO's statistics (`dnas.detection.coco`) in three ways:

- AP is the area under the envelope of precision through 101 points by trapezoids, with a straight
  line from the last recall reached to (1, 0); COCO takes the mean of 101 heights, 0 beyond that
  recall. A detector whose list ends early, at high precision, looks better so; one whose list
  ends in many unsure detections looks the same within thousandths.
- A detection is matched to the object of its class that it overlaps most, and of several that
  chose one object the best-scored counts; in COCO a detection whose object is taken may take
  another.
- Crowd regions are not there: a detection in one is wrong. In COCO it does not count.

The matching, the trapezoids, the smoothing of F1 over a tenth and the confusion's 0.25 and 0.45 are
those of `ultralytics/utils/metrics.py`; without any object their figures are 0, ours NaN.

Everything is NumPy on the host: images hold different numbers of boxes, and a jitted function
would be compiled for each.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
CONFUSION_SCORE, CONFUSION_IOU = 0.25, 0.45
_AT = np.linspace(0, 1, 1000)  # the abscissae of the curves over confidence and recall
_SMOOTHING = 0.1  # share of the confidences over which the mean F1 is averaged
_TINY = 1e-16


@dataclasses.dataclass(frozen=True)
class Box:
  """Figures over boxes, for K classes that have objects, of C in all.

  Attributes:
    classes: int `[K]`, the classes that have objects.
    objects: int `[K]`, how many.
    ap: `[K, 10]` at IoU 0.5, 0.55, ..., 0.95.
    p, r: precision and recall `[K]` at the confidence where the smoothed mean F1 is largest.
    confidence: that confidence.
    precision: `[K, 1000]`, at IoU 0.5 over the recalls 0 to 1.
    count: C.
  """

  classes: np.ndarray
  objects: np.ndarray
  ap: np.ndarray
  p: np.ndarray
  r: np.ndarray
  confidence: float
  precision: np.ndarray
  count: int

  @property
  def map(self) -> float:
    """AP averaged over IoU 0.5 to 0.95 and classes."""
    return float(self.ap.mean())

  @property
  def map50(self) -> float:
    """AP at IoU 0.5 averaged over classes."""
    return float(self.ap[:, 0].mean())

  @property
  def map75(self) -> float:
    """AP at IoU 0.75 averaged over classes."""
    return float(self.ap[:, 5].mean())

  @property
  def maps(self) -> np.ndarray:
    """AP over IoU 0.5 to 0.95 of each of the C classes; one without objects has the mean."""
    values = np.full(self.count, self.map)
    values[self.classes] = self.ap.mean(1)
    return values

  @property
  def mp(self) -> float:
    """Mean precision over classes."""
    return float(self.p.mean())

  @property
  def mr(self) -> float:
    """Mean recall over classes."""
    return float(self.r.mean())


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """|a and b| / |a or b|: `[N, 4]` and `[M, 4]` xyxy -> `[N, M]`; 0 between empty boxes."""
  low = np.maximum(a[:, None, :2], b[None, :, :2])
  high = np.minimum(a[:, None, 2:], b[None, :, 2:])
  shared = np.prod(np.maximum(high - low, 0), -1)
  area = lambda boxes: np.prod(boxes[:, 2:] - boxes[:, :2], -1)
  union = area(a)[:, None] + area(b) - shared
  return shared / np.maximum(union, _TINY)


def matches(found: Mapping[str, Any], truth: Mapping[str, Any]) -> np.ndarray:
  """Which detections of an image are right: bool `[N, 10]`, one column an IoU threshold.

  Args:
    found: `boxes` `[N, 4]` and `labels` `[N]`, best first.
    truth: `boxes` `[M, 4]` and `labels` `[M]`.
  """
  right = np.zeros((len(found["labels"]), len(IOU_THRESHOLDS)), bool)
  if not len(found["labels"]) or not len(truth["labels"]):
    return right
  overlap = iou(np.asarray(found["boxes"], np.float64), np.asarray(truth["boxes"], np.float64))
  overlap = overlap * (np.asarray(found["labels"])[:, None] == np.asarray(truth["labels"]))
  chosen, value = overlap.argmax(1), overlap.max(1)
  for column, threshold in enumerate(IOU_THRESHOLDS):
    candidates = np.flatnonzero(value >= threshold)
    # np.unique gives the first of each, which is the best-scored.
    _, first = np.unique(chosen[candidates], return_index=True)
    right[candidates[first], column] = True
  return right


def average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
  """integral of max_{r' >= r} precision(r') dr, by trapezoids over 101 points.

  Args:
    recall, precision: `[N]`, after each detection in falling order of confidence.
  """
  return float(np.trapezoid(_envelope(recall, precision, np.linspace(0, 1, 101)), dx=0.01))


def _envelope(recall: np.ndarray, precision: np.ndarray, at: np.ndarray) -> np.ndarray:
  """The largest precision at a recall of `at` or more, linear between the points."""
  x = np.concatenate([[0.0], recall, [1.0]])
  y = np.concatenate([[1.0], precision, [0.0]])
  return np.interp(at, x, np.maximum.accumulate(y[::-1])[::-1])


def measure(
  found: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]], count: int
) -> tuple[Box, np.ndarray]:
  """The figures of a whole data set (`summarise`), and its `confusion`.

  Args:
    found: per image `boxes` `[N, 4]`, `labels` `[N]`, `scores` `[N]`, best first.
    truth: per image `boxes` `[M, 4]`, `labels` `[M]`.
    count: C.
  """
  box = summarise(
    np.concatenate([one["scores"] for one in found]),
    np.concatenate([one["labels"] for one in found]),
    np.concatenate([matches(one, objects) for one, objects in zip(found, truth, strict=True)]),
    np.bincount(np.concatenate([objects["labels"] for objects in truth]), minlength=count),
  )
  return box, confusion(found, truth, count)


def summarise(
  scores: np.ndarray, labels: np.ndarray, right: np.ndarray, objects: np.ndarray
) -> Box:
  """The figures of a whole data set.

  Args:
    scores, labels: `[N]` of all detections.
    right: `[N, 10]`, see `matches`.
    objects: int `[C]`, how many objects each class has.

  Returns:
    The figures; without any object they are those of no classes, and means are NaN.
  """
  order = np.argsort(-scores, kind="stable")
  scores, labels, right = scores[order], labels[order], right[order]
  classes = np.flatnonzero(objects)
  ap = np.zeros((len(classes), len(IOU_THRESHOLDS)))
  at_recall = np.zeros((len(classes), len(_AT)))
  p, r = np.zeros_like(at_recall), np.zeros_like(at_recall)
  for k, label in enumerate(classes):
    mine = labels == label
    if not mine.any():
      continue
    hits = np.cumsum(right[mine], axis=0)
    recall = hits / objects[label]
    precision = hits / np.arange(1, len(hits) + 1)[:, None]
    for column in range(len(IOU_THRESHOLDS)):
      ap[k, column] = average_precision(recall[:, column], precision[:, column])
    at_recall[k] = _envelope(recall[:, 0], precision[:, 0], _AT)
    # Over confidence: it falls along the list, and np.interp wants rising abscissae.
    p[k] = np.interp(-_AT, -scores[mine], precision[:, 0], left=1.0)
    r[k] = np.interp(-_AT, -scores[mine], recall[:, 0], left=0.0)
  f1 = 2 * p * r / (p + r + _TINY)
  best = int(_smooth(f1.mean(0)).argmax()) if len(classes) else 0
  return Box(
    classes, objects[classes], ap, p[:, best], r[:, best], float(_AT[best]), at_recall, len(objects)
  )


def _smooth(values: np.ndarray) -> np.ndarray:
  """A running mean over a share of the values, the ends continued by themselves."""
  width = round(len(values) * _SMOOTHING * 2) // 2 + 1
  half = width // 2
  padded = np.pad(values, (half, half), mode="edge")
  return np.convolve(padded, np.ones(width) / width, mode="valid")[: len(values)]


def confusion(
  found: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]], count: int
) -> np.ndarray:
  """What is taken for what: int `[C + 1, C + 1]`, rows predicted, columns true, last: background.

  Detections above confidence 0.25 and objects are paired by falling IoU above 0.45, of whatever
  class; an object without a partner is taken for background, a detection without one is made of it.

  Args:
    found: per image `boxes` `[N, 4]`, `labels` `[N]`, `scores` `[N]`.
    truth: per image `boxes` `[M, 4]`, `labels` `[M]`.
    count: C.
  """
  matrix = np.zeros((count + 1, count + 1), np.int64)
  for one, objects in zip(found, truth, strict=True):
    sure = np.asarray(one["scores"]) > CONFUSION_SCORE
    predicted, true = np.asarray(one["labels"])[sure], np.asarray(objects["labels"], int)
    pairs = _pairs(iou(np.asarray(one["boxes"])[sure], np.asarray(objects["boxes"])))
    for d, t in pairs:
      matrix[predicted[d], true[t]] += 1
    alone_d = np.setdiff1d(np.arange(len(predicted)), [d for d, _ in pairs]).astype(int)
    alone_t = np.setdiff1d(np.arange(len(true)), [t for _, t in pairs]).astype(int)
    matrix[:count, count] += np.bincount(predicted[alone_d], minlength=count)
    matrix[count, :count] += np.bincount(true[alone_t], minlength=count)
  return matrix


def _pairs(overlap: np.ndarray) -> list[tuple[int, int]]:
  """One-to-one pairs (row, column) in falling order of their overlap, above CONFUSION_IOU."""
  rows, columns = np.nonzero(overlap > CONFUSION_IOU)
  order = np.argsort(-overlap[rows, columns], kind="stable")
  taken_rows, taken_columns, pairs = set(), set(), []
  for i, j in zip(rows[order].tolist(), columns[order].tolist()):
    if i not in taken_rows and j not in taken_columns:
      pairs.append((i, j))
      taken_rows.add(i)
      taken_columns.add(j)
  return pairs
