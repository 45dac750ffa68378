# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Whole detection experiments, tiny, on odd data: they run to the end, or say what is wrong."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from dnas import config as configs
from dnas import experiment
from dnas.data import DataError
from dnas.evaluate import evaluate

CATEGORIES = [{"id": 1, "name": "cell"}, {"id": 2, "name": "plate"}]
BOX = [4, 6, 12, 10]
# Name -> (images as (height, width), boxes of each image as (category, x, y, w, h), classes).
ODD = {
  "one_class": ([(40, 40)] * 4, [[(1, *BOX)]] * 4, CATEGORIES[:1]),
  "box_larger_than_the_image": ([(40, 40)] * 4, [[(1, -9, -9, 80, 90)]] * 4, CATEGORIES),
  "an_image_of_one_pixel": ([(1, 1)] * 2 + [(40, 40)] * 2, [[(2, 0, 0, 1, 1)]] * 4, CATEGORIES),
  "mixed_sizes": ([(40, 60), (17, 33), (90, 31), (32, 32)], [[(1, *BOX)], [], [], []], CATEGORIES),
}


def write(folder: pathlib.Path, split: str, sizes, boxes, categories) -> None:
  """A split as COCO JSON and PNG files."""
  rng, annotations = np.random.default_rng(0), []
  for i, (height, width) in enumerate(sizes):
    (folder / split).mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / split / f"{i}.png"), pixels)
    for category, *box in boxes[i]:
      one = {"id": len(annotations) + 1, "image_id": i, "category_id": category, "bbox": box}
      annotations.append(one)
  images = [
    {"id": i, "file_name": f"{i}.png", "height": h, "width": w} for i, (h, w) in enumerate(sizes)
  ]
  content = {"images": images, "annotations": annotations, "categories": categories}
  (folder / f"{split}.json").write_text(json.dumps(content))


def config(root: pathlib.Path, folder: pathlib.Path):
  fields = {
    "data.spec": f"coco:{folder}/{{split}}.json@{folder}/{{split}}",
    "data.size": (32, 32),
    "data.threads": 0,
    "task.strides": (4, 8),
    "task.neck_channels": 4,
    "task.reg_max": 4,
    # Without choices: search and training read the data alike, and this halves the compiling.
    "space": dict(
      name="genotype", source="|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    ),
    "search.network": dict(name="detector", channels=(4, 4), stem_channels=4),
    "search.steps": 2,
    "search.warmup_steps": 1,
    "search.batch_size": 2,
    "train.steps": 2,
    "train.batch_size": 2,
    "train.optimizer.warmup_steps": 1,
    "evaluate.batch_size": 2,
  }
  return configs.load(root / "configs" / "quickstart.py", {k: str(v) for k, v in fields.items()})


@pytest.mark.parametrize(
  "name", [n if n == "one_class" else pytest.param(n, marks=pytest.mark.slow) for n in ODD]
)
def test_odd_data_run_to_the_end(root, tmp_path, name):
  sizes, boxes, categories = ODD[name]
  for split in ("train", "test"):
    write(tmp_path, split, sizes, boxes, categories)
  result = experiment.run(config(root, tmp_path), tmp_path / "run")
  assert 0 <= result["AP"] <= result["AP50"] <= 1
  assert set(result["per_class"]) == {category["name"] for category in categories}
  predictions = json.loads((tmp_path / "run" / "train" / "predictions.json").read_text())
  for row in predictions:
    x, y, w, h = row["bbox"]
    height, width = sizes[row["image_id"]]
    assert min(x, y, w, h) >= 0, row
    assert x + w <= width + 1e-3, row
    assert y + h <= height + 1e-3, row


@pytest.mark.parametrize("empty", ["train", "test"])
def test_a_split_without_boxes_is_refused_before_anything_is_computed(root, tmp_path, empty):
  for split in ("train", "test"):
    boxes = [[] if split == empty else [(1, *BOX)]] * 4
    write(tmp_path, split, [(40, 40)] * 4, boxes, CATEGORIES)
  with pytest.raises(DataError, match=rf"{empty}.*none of its 4 images has a box"):
    experiment.run(config(root, tmp_path), tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("names", [("b", "a"), ("a",)], ids=["another_order", "fewer"])
def test_splits_of_other_classes_are_refused_before_anything_is_computed(root, tmp_path, names):
  """Labels are places in the list of classes: a perfect detector would have an AP of 0."""
  for split, classes in (("train", ("a", "b")), ("test", names)):
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(classes)]
    write(tmp_path, split, [(40, 40)] * 4, [[(1, *BOX)]] * 4, categories)
  with pytest.raises(DataError, match=r"test\] has the . classes .* the 2 classes a, b; they must"):
    experiment.run(config(root, tmp_path), tmp_path / "run")
  assert not (tmp_path / "run").exists()
  (tmp_path / "run").mkdir()
  for file in ("genotype.json", "weights.npz"):
    (tmp_path / "run" / file).touch()
  (tmp_path / "run" / "config.json").write_text(configs.to_json(config(root, tmp_path)))
  (tmp_path / "run" / "classes.json").write_text('["a", "b"]')
  with pytest.raises(DataError, match=r"the training in .*run has the 2 classes a, b"):
    evaluate(config(root, tmp_path), tmp_path / "run")
