# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What `scripts/data.py` shows, and how it ends on bad data."""

import importlib.util
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from dnas import data
from dnas.data.images import Images
from dnas.data.summary import box_sides_px, default_size, summary


@pytest.fixture(scope="module")
def script(root):
  spec = importlib.util.spec_from_file_location("data_script", root / "scripts" / "data.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def folder(tmp_path):
  """Two images of 100 x 50 px, one box that fits, one clipped, one crowd region."""
  annotations = [
    {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]},
    {"image_id": 1, "category_id": 2, "bbox": [90, 10, 20, 20]},
    {"image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 50], "iscrowd": 1},
  ]
  content = {
    "images": [{"id": i, "file_name": f"{i}.png", "width": 100, "height": 50} for i in (1, 2)],
    "annotations": annotations,
    "categories": [{"id": k, "name": name} for k, name in enumerate(["cow", "cat", "dog"], 1)],
  }
  (tmp_path / "x.json").write_text(json.dumps(content))
  for i in (1, 2):
    cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((50, 100, 3), 90, np.uint8))
  return tmp_path


def test_summary_of_boxes(folder):
  source = data.load(f"coco:{folder}/x.json@{folder}")
  assert default_size(source) == (128, 128)
  assert np.allclose(box_sides_px(source, (50, 50)), [10, np.sqrt(50)])
  text = "\n".join(summary(source, (50, 50)))
  for expected in (
    "2 images, 3 classes, 2 boxes",
    "image height 50 px, width 100 px",
    "at most 2 boxes in one image; 1 images without any; 1 crowd regions",
    "  cow        1  ################################",
    "  dog        0\n",
    "1 of 3 classes have none",
    "sqrt(box area) in px at 50 x 50:",
    "  4 to 8            1  ####",
    "  8 to 16           1  ####",
    "1 x box clipped to its image (first: annotation number 1 of 1.png)",
  ):
    assert expected in text


def test_summary_of_many_classes():
  source = data.ClassificationSource(
    "many [train]",
    [f"class {k}" for k in range(120)],
    range(2),
    Images(lambda i: np.zeros((9, 33, 3), np.uint8), str),
    labels=[3, 119],
  )
  text = "\n".join(summary(source, (8, 8)))
  assert "and 20 more classes" in text
  assert "118 of 120 classes have none" in text
  assert "No faults" in text
  assert default_size(source) == (64, 64)


def test_script_draws_a_sheet(folder, script, capsys):
  sheet = folder / "out" / "sheet.png"
  script.main(["--data", f"coco:{folder}/x.json@{folder}", "--out", str(sheet), "--count", "2"])
  assert "sheet.png: 2 images" in capsys.readouterr().out
  pixels = np.asarray(Image.open(sheet)).astype(int)
  green = (pixels[..., 1] - pixels[..., 0] > 100) & (pixels[..., 1] - pixels[..., 2] > 60)
  assert green.sum() > 200, "boxes are drawn"


def test_script_shows_a_classification_set(script, capsys, tmp_path):
  script.main(["--data", "digits", "--split", "test", "--out", str(tmp_path / "x.png")])
  assert "digits [test]: 300 images, 10 classes" in capsys.readouterr().out
  assert (tmp_path / "x.png").is_file()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--data", "digit_scens"], "did you mean 'digit_scenes'"),
    (["--data", "digits", "--split", "tst"], "did you mean 'test'"),
    (["--data", "coco:{folder}/x.json@{folder}/images"], "missing, as all 2 images are"),
    (["--data", "digits", "--out", "x.png", "--count", "0"], "take numbers from 1"),
    (["--data", "digits", "--out", "/proc/nowhere/x.png"], "/proc/nowhere"),
    ([], "required: --data"),
  ],
)
def test_script_refuses(script, folder, capsys, arguments, message):
  with pytest.raises(SystemExit) as caught:
    script.main([a.format(folder=folder) for a in arguments])
  assert caught.value.code == 2
  assert message in capsys.readouterr().err


def test_script_from_the_shell(root, folder):
  """As a user runs it: from elsewhere, no traceback, exit code 2."""
  (folder / "2.png").write_bytes(b"")
  (folder / "1.png").write_bytes(b"x")
  command = [sys.executable, str(root / "scripts" / "data.py")]
  done = subprocess.run(
    [*command, "--data", "coco:x.json@."], cwd=folder, capture_output=True, text=True, check=False
  )
  assert done.returncode == 2
  assert done.stdout == ""
  lines = done.stderr.splitlines()
  assert lines[0] == "error: coco:x.json has 2 faults:"
  assert lines[1].startswith("  1.png: not an image")
  assert len(lines) == 3
