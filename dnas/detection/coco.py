# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""COCO detection metrics, and COCO's result list.

The matching and the integration are those of `hotcoco`, a port of pycocotools; this module makes
what goes in and names what comes out.
"""

from collections.abc import Sequence
from typing import Any

import hotcoco
import numpy as np

METRICS = (
  *("AP", "AP50", "AP75", "APs", "APm", "APl"),
  *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)


def evaluate(ground_truth: dict[str, list], detections: list[dict[str, Any]]) -> dict[str, Any]:
  """COCO's twelve statistics of a detection run, and the AP of each class.

  AP is the mean of the precision at 101 recalls, over IoU thresholds .50:.05:.95 and over the
  classes that have objects; AR is the mean of the largest recall with at most 1, 10 or 100
  detections per image and class. Small, medium and large are areas below 32^2, below 96^2 and
  above, px^2.

  Args:
    ground_truth: of `data.source.DetectionSource.to_coco`.
    detections: rows of `results_of`; may be empty.

  Returns:
    `{"AP": ..., "AP50": ..., ..., "ARl": ..., "per_class": {name: AP}}`. A figure over nothing (no
    object of a size, none of a class, or none at all) is -1, as pycocotools has it.
  """
  truth = hotcoco.COCO(ground_truth)
  run = hotcoco.COCOeval(truth, truth.load_res(detections), "bbox")
  run.evaluate()
  run.accumulate()
  run.summary_lines()  # Fills in the statistics, and unlike summarize() prints nothing.
  values = run.get_results()
  # [IoU, recall, class, area, detections]: all areas, 100 detections.
  curves: Any = run.eval
  precision = np.asarray(curves["precision"])[:, :, :, 0, -1]
  per_class = {
    category["name"]: _mean_of_valid(precision[:, :, k])
    for k, category in enumerate(sorted(ground_truth["categories"], key=lambda c: c["id"]))
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
