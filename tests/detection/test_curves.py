# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of the YOLO tools: by hand on small cases, beside COCO's on larger ones."""

import numpy as np
import pytest

from dnas.detection import coco, curves

TRUTH = {"boxes": [[0, 0, 10, 10], [20, 0, 30, 10]], "labels": [0, 1]}


def found(*rows):
  """Detections from (x1, label, score), boxes 10 px wide."""
  boxes = [[x, 0, x + 10, 10] for x, _, _ in rows]
  return {
    "boxes": np.asarray(boxes, np.float64).reshape(-1, 4),
    "labels": np.asarray([label for _, label, _ in rows], int),
    "scores": np.asarray([score for _, _, score in rows], float),
  }


def test_overlaps():
  boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [3, 3, 3, 3]], float)
  np.testing.assert_allclose(
    curves.iou(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]], atol=1e-12
  )


def test_a_detection_is_right_once_and_for_its_own_class():
  # Exact; a double of it; the wrong class; IoU 9 / 11; IoU 5 / 15.
  one = found((0, 0, 0.9), (0, 0, 0.8), (20, 0, 0.7), (21, 1, 0.6), (25, 1, 0.5))
  right = curves.matches(one, TRUTH)
  np.testing.assert_array_equal(right.sum(1), [10, 0, 0, 7, 0])  # 0.5 to 0.8 are below 9 / 11
  assert not curves.matches(found(), TRUTH).size
  assert not curves.matches(one, {"boxes": np.zeros((0, 4)), "labels": []}).any()


def test_of_those_that_chose_an_object_the_best_scored_counts():
  """Not the one that overlaps most: that is what COCO does as well, but for another reason."""
  right = curves.matches(found((1, 0, 0.9), (0, 0, 0.8)), TRUTH)
  np.testing.assert_array_equal(right[:, 0], [True, False])
  np.testing.assert_array_equal(right[:, -1], [False, True])


def test_average_precision_by_hand():
  assert curves.average_precision(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == pytest.approx(
    0.995
  )  # the fall to (1, 0) costs half a hundredth
  # Precision 1 to recall 0.5, then a straight line to (1, 0).
  value = curves.average_precision(np.array([0.5, 0.5]), np.array([1.0, 0.5]))
  assert value == pytest.approx(0.5 + 0.5 * 0.5 / 2, abs=3e-3)
  assert curves.average_precision(np.array([0.0]), np.array([0.0])) == 0


def test_figures_of_a_perfect_and_of_a_useless_detector():
  scores, labels = np.array([0.9, 0.8, 0.7]), np.array([0, 0, 2])
  objects = np.array([2, 0, 1])
  box = curves.summarise(scores, labels, np.ones((3, 10), bool), objects)
  assert (box.map, box.map50, box.map75) == pytest.approx((0.995,) * 3)
  np.testing.assert_allclose(box.maps, 0.995)  # class 1 has no objects: the mean
  assert (box.mp, box.mr) == (1, 1)
  np.testing.assert_array_equal(box.classes, [0, 2])
  box = curves.summarise(scores[:0], labels[:0], np.ones((0, 10), bool), objects)
  assert (box.map, box.map50, box.mp, box.mr) == (0, 0, 0, 0)


def test_confusion_counts_each_detection_and_each_object_once():
  one = found((0, 0, 0.9), (1, 1, 0.8), (20, 0, 0.7), (50, 1, 0.6), (60, 1, 0.2))
  matrix = curves.confusion([one, found()], [TRUTH, TRUTH], 2)
  np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 0, 2], [1, 1, 0]])
  assert matrix[:, :2].sum() == 4  # objects
  assert matrix[:2].sum() == 4  # detections above 0.25


def test_it_stays_near_the_coco_figures():
  """Synthetic scenes without crowd regions, detections down to the unsure: near, never equal."""
  rng = np.random.default_rng(0)
  images, results, rows, annotations = [], [], [], []
  objects = np.zeros(3, int)
  for i in range(40):
    corners = rng.uniform(0, 80, (6, 2))
    truth = {"boxes": np.hstack([corners, corners + rng.uniform(8, 30, (6, 2))])}
    truth["labels"] = rng.integers(0, 3, 6)
    keep = rng.random(6) < 0.8
    boxes = (truth["boxes"] + rng.normal(0, 1.5, (6, 4)))[keep]
    wrong = rng.uniform(0, 60, (40, 2))
    boxes = np.vstack([boxes, np.hstack([wrong, wrong + 20])])
    labels = np.concatenate([truth["labels"][keep], rng.integers(0, 3, 40)])
    scores = np.concatenate([rng.uniform(0.3, 1, keep.sum()), rng.uniform(0, 0.5, 40)])
    order = np.argsort(-scores)
    one = {"boxes": boxes[order], "labels": labels[order], "scores": scores[order]}
    results.append((one["scores"], one["labels"], curves.matches(one, truth)))
    np.add.at(objects, truth["labels"], 1)
    images.append({"id": i})
    wh = lambda box: [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
    for box, label in zip(truth["boxes"], truth["labels"]):
      one_of = {"id": len(annotations) + 1, "image_id": i, "category_id": int(label), "iscrowd": 0}
      annotations.append({**one_of, "bbox": wh(box), "area": float(np.prod(wh(box)[2:]))})
    for box, label, score in zip(one["boxes"], one["labels"], one["scores"]):
      rows.append({"image_id": i, "category_id": int(label), "bbox": wh(box), "score": score})
  categories = [{"id": k, "name": str(k)} for k in range(3)]
  exact = coco.evaluate(
    {"images": images, "categories": categories, "annotations": annotations}, rows
  )
  box = curves.summarise(*(np.concatenate(parts) for parts in zip(*results)), objects)
  assert box.map != exact["AP"]
  assert box.map == pytest.approx(exact["AP"], abs=0.02)
  assert box.map50 == pytest.approx(exact["AP50"], abs=0.02)
  assert box.map75 == pytest.approx(exact["AP75"], abs=0.02)
