# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The sheet shows each picture with its boxes where they belong."""

import numpy as np
import pytest
from PIL import Image

from dnas.detection import draw

GREY = np.full((60, 80, 3), 128, np.uint8)
TRUTH = {"boxes": [[10, 10, 40, 30]], "labels": [0]}
FOUND = {"boxes": [[30, 35, 70, 55]], "labels": [1], "scores": [0.8]}
EMPTY = {"boxes": np.zeros((0, 4)), "labels": [], "scores": []}


def read(path):
  with Image.open(path) as picture:
    return np.asarray(picture)


def colour_at(sheet, colour):
  """(x1, y1, x2, y2) px of all pixels of a colour, exclusive ends."""
  y, x = np.nonzero(np.all(sheet == colour, -1))
  return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_boxes_sit_where_they_belong(tmp_path):
  path = draw.sheet(
    [GREY, GREY], [TRUTH, EMPTY], [EMPTY, FOUND], ["cat", "dog"], tmp_path / "new" / "s.png",
    tile_px=320,
  )  # fmt: skip
  sheet = read(path)
  assert sheet.shape == (240 + 8, 2 * 324 + 4, 3)
  left, right = sheet[4:, 4:324], sheet[4:, 328:]
  x1, y1, x2, _ = colour_at(left, draw.TRUE_COLOUR)
  np.testing.assert_allclose([x1, y1, x2], [40, 40, 160], atol=3)
  x1, _, x2, y2 = colour_at(right, draw.PREDICTED_COLOUR)
  np.testing.assert_allclose([x1, x2, y2], [120, 280, 220], atol=3)
  assert not np.all(left == draw.PREDICTED_COLOUR, -1).any()
  assert not np.all(right == draw.TRUE_COLOUR, -1).any()
  # A dashed line has gaps.
  top = np.all(left[40] == draw.TRUE_COLOUR, -1)[42:158]
  assert 0.3 < top.mean() < 0.8


def test_a_score_is_told_from_a_name_that_is_a_number(tmp_path, monkeypatch):
  """`8 0.37` read like 80.37."""
  texts, given = [], draw._captions
  monkeypatch.setattr(
    draw, "_captions", lambda d, ls, *a: (texts.extend(x.text for x in ls), given(d, ls, *a))
  )
  draw.sheet([GREY], [TRUTH], [FOUND], ["3", "8"], tmp_path / "s.png")
  draw.picture(GREY, FOUND, ["3", "8"], tmp_path / "p.png")
  assert texts == ["8: 0.80", "3", "8: 0.80"]


def test_images_of_mixed_sizes_and_no_boxes(tmp_path):
  images = [np.zeros((h, w, 3), np.uint8) for h, w in ((1, 1), (200, 50), (30, 90), (96, 96))]
  path = draw.sheet(images, None, [EMPTY] * 4, [], tmp_path / "s.png", tile_px=100)
  assert read(path).shape == (2 * 104 + 4, 2 * 104 + 4, 3)


def test_odd_boxes_and_low_scores(tmp_path):
  """Inverted, outside and larger than the picture: drawn as far as they show."""
  odd = {
    "boxes": [[40, 40, 10, 10], [500, 500, 600, 600], [-99, -99, 400, 400]],
    "labels": [0, 0, 0],
    "scores": [0.9, 0.9, 0.1],
  }
  path = draw.sheet([GREY], [odd], [odd], ["a name longer than the tile " * 3], tmp_path / "s.png")
  some = read(path)
  path = draw.sheet([GREY], None, [odd], ["x"], tmp_path / "t.png", min_score=0.95)
  none = read(path)
  assert np.all(some == draw.PREDICTED_COLOUR, -1).any()
  assert not np.all(none == draw.PREDICTED_COLOUR, -1).any()


def test_captions_hide_no_others(tmp_path, monkeypatch):
  """Three boxes at one place: each has its caption somewhere else, the best above it."""
  places = []
  rectangle = lambda self, place, fill: places.append(place)
  monkeypatch.setattr(draw.ImageDraw.ImageDraw, "rectangle", rectangle)
  boxes = [[30, 40, 100, 80], [31, 41, 101, 81], [32, 42, 102, 82]]
  found = {"boxes": boxes, "labels": [0, 0, 0], "scores": [0.3, 0.9, 0.5]}
  image = np.full((120, 160, 3), 128, np.uint8)
  draw.picture(image, found, ["cat"], tmp_path / "p.png")
  assert len(places) == 3
  assert places[-1][3] == 41  # The best is drawn last, and stands on its box.
  for n, place in enumerate(places):
    assert all(draw._shared(place, other) == 0 for other in places[:n])
  # A true one is left out where there is no room.
  places.clear()
  small = np.full((8, 40, 3), 128, np.uint8)
  one = {"boxes": [[0, 0, 40, 8]], "labels": [0]}
  draw.sheet([small], [one], [one | {"scores": [0.9]}], ["cat"], tmp_path / "s.png", tile_px=40)
  assert len(places) == 1


def test_bad_input(tmp_path):
  path = tmp_path / "s.png"
  with pytest.raises(ValueError, match="no images"):
    draw.sheet([], None, None, [], path)
  with pytest.raises(ValueError, match="2 ground_truth for 1 images"):
    draw.sheet([GREY], [TRUTH, TRUTH], None, ["cat"], path)
  with pytest.raises(ValueError, match=r"images\[0\] is float64"):
    draw.sheet([GREY / 255], None, None, [], path)
  with pytest.raises(ValueError, match=r"labels 0 to 0; valid is 0 to -1"):
    draw.sheet([GREY], [TRUTH], None, [], path)
  with pytest.raises(ValueError, match=r"boxes \(1, 4\), labels \(2,\)"):
    draw.sheet([GREY], [{**TRUTH, "labels": [0, 0]}], None, ["cat"], path)
  assert not path.exists()
