# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""COCO detection metrics, and COCO's result list.

The matching and the integration are those of `hotcoco`, a port of pycocotools; this module checks
what goes in and names what comes out.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np

from dnas.errors import DnasError

METRICS = (
  *("AP", "AP50", "AP75", "APs", "APm", "APl"),
  *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)


class CocoFormatError(DnasError):
  """A ground truth or a result list is not in COCO's format."""


def evaluate(
  ground_truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
  """COCO's twelve statistics of a detection run, and the AP of each class.

  AP is the mean of the precision at 101 recalls, over IoU thresholds .50:.05:.95 and over the
  classes that have objects; AR is the mean of the largest recall with at most 1, 10 or 100
  detections per image. Small, medium and large are areas below 32^2, below 96^2 and above, px^2.

  Args:
    ground_truth: the content of a COCO instances file: `images` (with `id`), `categories` (with
      `id` and `name`), `annotations` (with `image_id`, `category_id`, `bbox` as x, y, w, h in px;
      optional `area` px^2, by default w * h, and `iscrowd`, by default 0).
    detections: `{"image_id", "category_id", "bbox": [x, y, w, h], "score"}` each; may be empty.

  Returns:
    `{"AP": ..., "AP50": ..., ..., "ARl": ..., "per_class": {name: AP}}`. A figure over nothing (no
    object of a size, none of a class, or none at all) is -1, as pycocotools has it.

  Raises:
    CocoFormatError: an unknown image or category, a malformed box, a score that is not finite, a
      missing field or an id that occurs twice. The message names the entry.
  """
  data = _checked_ground_truth(ground_truth)
  results = _checked_detections(data, detections)
  truth = hotcoco.COCO(data)
  run = hotcoco.COCOeval(truth, truth.load_res(results), "bbox")
  run.evaluate()
  run.accumulate()
  run.summary_lines()  # Fills in the statistics, and unlike summarize() prints nothing.
  values = run.get_results()
  # [IoU, recall, class, area, detections]: all areas, 100 detections.
  curves: Any = run.eval
  precision = np.asarray(curves["precision"])[:, :, :, 0, -1]
  per_class = {
    category["name"]: _mean_of_valid(precision[:, :, k])
    for k, category in enumerate(sorted(data["categories"], key=lambda c: c["id"]))
  }
  return {**{name: float(values[name]) for name in METRICS}, "per_class": per_class}


def results_of(
  image_id: int,
  boxes: np.ndarray,
  scores: np.ndarray,
  labels: np.ndarray,
  category_ids: Sequence[int],
) -> list[dict[str, Any]]:
  """What was found on an image as rows of COCO's result list, in the order given.

  Args:
    image_id: of the image.
    boxes: `[N, 4]` xyxy px of the image.
    scores, labels: `[N]`.
    category_ids: the category id of each class.

  Returns:
    `{"image_id", "category_id", "bbox": [x, y, w, h], "score"}` each.
  """
  boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
  boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
  return [
    {"image_id": image_id, "category_id": int(category_ids[k]), "bbox": box, "score": score}
    for box, score, k in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)
  ]


def _mean_of_valid(values: np.ndarray) -> float:
  values = values[values > -1]
  return float(values.mean()) if values.size else -1.0


def _checked_ground_truth(data: Mapping[str, Any]) -> dict[str, Any]:
  """A normalised copy: `area` and `iscrowd` filled in, annotations numbered from 1."""
  for field in ("images", "categories", "annotations"):
    if not isinstance(data.get(field), (list, tuple)):
      raise CocoFormatError(f"ground truth: field {field!r} is missing or no list")
  images = _ids(data["images"], "images")
  categories = _ids(data["categories"], "categories")
  names = [_field(c, "name", f"categories[{i}]") for i, c in enumerate(data["categories"])]
  if len(set(names)) < len(names):
    twice = next(name for name in names if names.count(name) > 1)
    raise CocoFormatError(f"ground truth: two categories are named {twice!r}")
  annotations = []
  for i, annotation in enumerate(data["annotations"]):
    where = f"ground truth: annotations[{i}]"
    box = _box(annotation, where)
    area = annotation.get("area", box[2] * box[3])
    if not _is_number(area) or area < 0:
      raise CocoFormatError(f"{where}: area {area!r}; valid is a number of px^2, at least 0")
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
      raise CocoFormatError(f"{where}: iscrowd {crowd!r}; valid is 0 or 1")
    annotations.append(
      {
        # Ids of our own: nothing here depends on them, and pycocotools takes 0 for "no match".
        "id": i + 1,
        "image_id": _known(annotation, "image_id", images, where),
        "category_id": _known(annotation, "category_id", categories, where),
        "bbox": box,
        "area": float(area),
        "iscrowd": int(crowd),
      }
    )
  return {
    "images": [{"id": image["id"]} for image in data["images"]],
    "categories": [{"id": c["id"], "name": str(c["name"])} for c in data["categories"]],
    "annotations": annotations,
  }


def _checked_detections(
  data: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
  images = {image["id"] for image in data["images"]}
  categories = {category["id"] for category in data["categories"]}
  results = []
  for i, detection in enumerate(detections):
    where = f"detections[{i}]"
    score = _field(detection, "score", where)
    if not _is_number(score):
      raise CocoFormatError(f"{where}: score {score!r}; valid is a finite number")
    results.append(
      {
        "image_id": _known(detection, "image_id", images, where),
        "category_id": _known(detection, "category_id", categories, where),
        "bbox": _box(detection, where),
        "score": float(score),
      }
    )
  return results


def _is_number(value: Any) -> bool:
  return (
    isinstance(value, (int, float, np.integer, np.floating))
    and not isinstance(value, bool)
    and math.isfinite(value)
  )


def _field(entry: Any, field: str, where: str) -> Any:
  if not isinstance(entry, Mapping) or field not in entry:
    raise CocoFormatError(f"{where}: field {field!r} is missing")
  return entry[field]


def _ids(entries: Sequence[Any], name: str) -> set[int]:
  ids: set[int] = set()
  for i, entry in enumerate(entries):
    value = _field(entry, "id", f"ground truth: {name}[{i}]")
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
      raise CocoFormatError(f"ground truth: {name}[{i}]: id {value!r} is no integer")
    if value in ids:
      raise CocoFormatError(f"ground truth: {name}[{i}]: id {value} occurs twice")
    ids.add(int(value))
  return ids


def _known(entry: Mapping[str, Any], field: str, known: set[int], where: str) -> int:
  value = _field(entry, field, where)
  if isinstance(value, bool) or value not in known:
    some = ", ".join(map(str, sorted(known)[:5])) + (", ..." if len(known) > 5 else "")
    raise CocoFormatError(f"{where}: {field} {value!r} is unknown; valid: {some or '(none)'}")
  return int(value)


def _box(entry: Any, where: str) -> list[float]:
  box = _field(entry, "bbox", where)
  if (
    not isinstance(box, (list, tuple, np.ndarray))
    or len(box) != 4
    or not all(_is_number(v) for v in box)
    or min(box[2], box[3]) < 0
  ):
    raise CocoFormatError(
      f"{where}: bbox {box!r}; valid is [x, y, w, h], four finite numbers with w, h >= 0"
    )
  return [float(v) for v in box]
