# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""COCO metrics equal pycocotools'."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dnas.detection import coco


def reference(ground_truth, detections):
  """The statistics and the AP of each class from pycocotools itself."""
  truth, found = COCO(), COCO()
  with contextlib.redirect_stdout(io.StringIO()):
    truth.dataset = copy.deepcopy(ground_truth)
    truth.createIndex()
    if detections:
      found = truth.loadRes(copy.deepcopy(detections))
    else:  # loadRes fails on an empty list.
      found.dataset = {**truth.dataset, "annotations": []}
      found.createIndex()
    run = COCOeval(truth, found, "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
  per_class = {}
  for k, category in enumerate(sorted(ground_truth["categories"], key=lambda c: c["id"])):
    precision = run.eval["precision"][:, :, k, 0, -1]
    precision = precision[precision > -1]
    per_class[category["name"]] = precision.mean() if precision.size else -1
  return dict(zip(coco.METRICS, run.stats)), per_class


def equals_reference(ground_truth, detections):
  got = coco.evaluate(ground_truth, detections)
  stats, per_class = reference(ground_truth, detections)
  assert list(got) == [*coco.METRICS, "per_class"]
  np.testing.assert_allclose([got[m] for m in coco.METRICS], list(stats.values()), atol=1e-9)
  assert got["per_class"] == pytest.approx(per_class, abs=1e-9)
  return got


def scene(seed, images=12, crowd=0.2):
  """Random objects of all sizes, with crowds, ids with gaps; detections near, off, and tied."""
  rng = np.random.default_rng(seed)
  categories = [{"id": i, "name": f"class {i}"} for i in (7, 2, 90)]
  truth = {"images": [], "categories": categories, "annotations": []}
  detections = []
  for image in rng.permutation(images * 3)[:images].tolist():
    truth["images"].append({"id": image, "width": 400, "height": 300})
    for _ in range(rng.integers(0, 6)):
      box = np.concatenate([rng.uniform(0, 200, 2), 2 ** rng.uniform(2, 7.5, 2)]).round(2)
      category = int(rng.choice([7, 2]))  # Class 90 has no object.
      truth["annotations"].append(
        {
          "id": len(truth["annotations"]) + 1,
          "image_id": image,
          "category_id": category,
          "bbox": box.tolist(),
          "area": float(box[2] * box[3] * rng.uniform(0.5, 1)),
          "iscrowd": int(rng.random() < crowd),
        }
      )
      for _ in range(rng.integers(0, 4)):
        shifted = box + rng.normal(0, 0.1, 4) * box[[2, 3, 2, 3]]
        shifted[2:] = np.maximum(shifted[2:], 1)
        detections.append(
          {
            "image_id": image,
            "category_id": category if rng.random() < 0.8 else int(rng.choice([7, 2, 90])),
            "bbox": shifted.tolist(),
            "score": float(rng.integers(0, 10) / 10),
          }
        )
  return truth, detections


def test_parity(shared):
  case = json.loads((shared / "parity" / "coco_map_small.json").read_text(encoding="utf-8"))
  got = coco.evaluate(case["gt"], case["dt"])
  np.testing.assert_allclose([got[m] for m in coco.METRICS], case["stats"], rtol=0, atol=1e-9)
  equals_reference(case["gt"], case["dt"])


@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools(seed, capfd):
  truth, detections = scene(seed)
  capfd.readouterr()
  got = equals_reference(truth, detections)
  assert 0 < got["AP"] < 1
  assert got["per_class"]["class 90"] == -1
  assert capfd.readouterr().out == "", "nothing is printed"


def test_more_than_a_hundred_detections_per_image():
  truth, _ = scene(1, images=1)
  image = truth["images"][0]["id"]
  truth["annotations"] = [
    {
      "id": 1,
      "image_id": image,
      "category_id": 2,
      "bbox": [10, 10, 50, 50],
      "area": 2500,
      "iscrowd": 0,
    }
  ]
  detections = [
    {"image_id": image, "category_id": 2, "bbox": [200 + i / 9, 9, 40, 40], "score": 0.5 + i / 999}
    for i in range(120)
  ] + [{"image_id": image, "category_id": 2, "bbox": [10, 10, 50, 50], "score": 0.2}]
  assert equals_reference(truth, detections)["AP"] == 0


def test_perfect_detections_have_an_ap_of_one():
  truth, _ = scene(2, crowd=0)
  perfect = [
    {**{k: a[k] for k in ("image_id", "category_id", "bbox")}, "score": 0.9}
    for a in truth["annotations"]
  ]
  assert equals_reference(truth, perfect)["AP"] == pytest.approx(1)


def test_empty():
  truth, detections = scene(3)
  got = equals_reference(truth, [])
  assert got["AP"] == got["AR100"] == 0
  nothing = {**truth, "annotations": []}
  for found in (detections, []):
    assert set(equals_reference(nothing, found)["per_class"].values()) == {-1}
  crowds = {**truth, "annotations": [{**a, "iscrowd": 1} for a in truth["annotations"]]}
  assert equals_reference(crowds, detections)["AP"] == -1
  assert coco.evaluate({"images": [], "categories": [], "annotations": []}, [])["AP"] == -1


def test_results_are_rows_of_coco():
  boxes = np.float32([[20, 20, 120, 100], [2, 4, 100, 20]])
  scores, labels = np.float32([0.9, 0.7]), np.int32([1, 0])
  got = coco.results_of(5, boxes, scores, labels, (3, 44))
  assert got == [
    {"image_id": 5, "category_id": 44, "bbox": [20, 20, 100, 80], "score": pytest.approx(0.9)},
    {"image_id": 5, "category_id": 3, "bbox": [2, 4, 98, 16], "score": pytest.approx(0.7)},
  ]
  json.dumps(got)
  assert coco.results_of(5, boxes[:0], scores[:0], labels[:0], (3, 44)) == []
