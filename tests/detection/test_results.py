# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What was found: as rows, as a JSON object, and drawn where it is."""

import json

import numpy as np
import pytest
from PIL import Image

from dnas.detection.results import Result, Results, numbered
from dnas.errors import DnasError

GREY = np.full((120, 200, 3), 128, np.uint8)


def result(name="a", boxes=((20, 50, 80, 100), (100, 60, 150, 90))):
  n = len(boxes)
  return Result(
    f"{name}.jpg",
    name,
    (120, 200),
    np.asarray(boxes, np.float32).reshape(-1, 4),
    np.asarray([0.9, 0.5][:n], np.float32),
    np.asarray([1, 0][:n], np.int32),
    ("cat", "dog"),
    {"preprocess": 1.0, "inference": 2.0, "postprocess": 3.0},
    lambda: GREY,
  )


def test_rows_and_json():
  one = result()
  assert str(one) == "a.jpg: 200 x 120 px, 1 dog, 1 cat"
  first, _ = one.to_coco(image_id=7)
  assert first["bbox"] == [20, 50, 60, 50]
  assert (first["image_id"], first["category_id"]) == (7, 2)
  assert one.to_coco(category_ids=np.asarray([10, 20]))[0]["category_id"] == 20
  written = json.loads(json.dumps(one.to_dict()))
  assert written["detections"][1]["name"] == "cat"
  assert written["detections"][1]["box"] == [100, 60, 150, 90]
  assert str(result(boxes=())).endswith("nothing found")


def test_no_picture_gets_the_name_of_another():
  seen: set[str] = set()
  names = [numbered(stem, seen) for stem in ("a", "a", "a_2", "a", "b")]
  assert names == ["a.png", "a_2.png", "a_2_2.png", "a_3.png", "b.png"]


def test_boxes_are_drawn_where_they_are(tmp_path):
  file = result().save(tmp_path / "new")
  assert file == tmp_path / "new" / "a.png"
  with Image.open(file) as picture:
    drawn = np.asarray(picture)
  assert drawn.shape == GREY.shape
  changed = (drawn != GREY).any(-1)
  np.testing.assert_array_equal(changed[50:101, 20], True)  # the left edge of the first box
  np.testing.assert_array_equal(changed[75, 84:98], False)  # between the boxes
  colours = [tuple(drawn[75, 20]), tuple(drawn[75, 100])]
  assert colours[0] != colours[1]  # a class, a colour
  assert result().save(tmp_path / "b.jpg").read_bytes()[:2] == b"\xff\xd8"
  with pytest.raises(ValueError, match=r"no picture can be written as '\.txt'"):
    result().save(tmp_path / "b.txt")


def test_results_of_one_picture_and_of_several(tmp_path):
  one = Results([result()], ("cat", "dog"))
  assert one.boxes is one[0].boxes
  assert len(one.scores) == len(one.labels) == 2
  assert one.save(tmp_path / "x.png") == [tmp_path / "x.png"]
  several = Results([result(), result(), result("b")], ("cat", "dog"), [("c.jpg", "broken")])
  with pytest.raises(DnasError, match=r"3 pictures; choose one, results\[0\]"):
    several.boxes  # noqa: B018
  with pytest.raises(DnasError, match="one file for 3 pictures"):
    several.save(tmp_path / "x.jpg")
  assert [f.name for f in several.save(tmp_path)] == ["a.png", "a_2.png", "b.png"]
  assert [row["image_id"] for row in several.to_coco()] == [1, 1, 2, 2, 3, 3]
  assert several.to_dict()["skipped"] == [{"source": "c.jpg", "reason": "broken"}]
  assert len(several[1:]) == 2
  assert [row["image_id"] for row in several[1:].to_coco()] == [2, 2, 3, 3]
  some = Results([result(), result("b")], ("cat", "dog"), [("c.jpg", "broken")], [1, 3])
  assert [row["image_id"] for row in some.to_coco()] == [1, 1, 3, 3]
