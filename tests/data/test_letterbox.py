# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Letterbox: sizes, places, and boxes there and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.data.letterbox import (
  FILL,
  content_size,
  cover,
  letterbox,
  reduction_for,
  to_image,
  to_network,
)

sides = st.integers(1, 300)


@pytest.mark.parametrize(
  ("original", "content", "left_top"),
  [((480, 640), (477, 636), (2, 81)), ((427, 640), (424, 636), (2, 108)),
   ((1080, 810), (636, 477), (81, 2))],
)  # fmt: skip
def test_published_sizes_of_yolo_nas(original, content, left_top):
  """The checks of the published pre-processing: 636 px within 640, bilinear, grey 114."""
  image = np.full((*original, 3), 9, np.uint8)
  fitted = letterbox(image, (640, 640), content=(636, 636), interpolation="linear")
  inside = (fitted.image == 9).all(-1)
  assert (inside.any(1).sum(), inside.any(0).sum()) == content
  assert tuple(fitted.offset) == left_top
  assert (fitted.image[~inside] == FILL).all()
  assert FILL == 114


@settings(max_examples=60, deadline=None)
@given(h=sides, w=sides, size=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_boxes_there_and_back(h, w, size, seed):
  image = np.zeros((h, w, 3), np.uint8)
  fitted = letterbox(image, size)
  assert fitted.image.shape == (*size, 3)
  corners = np.random.default_rng(seed).random((5, 2, 2)) * (w, h)
  boxes = np.sort(corners, 1).reshape(5, 4).astype(np.float32)
  placed = to_network(boxes, fitted.scale, fitted.offset)
  assert (placed >= -1e-3).all()
  assert (placed <= np.array([size[1], size[0]] * 2) + 1e-3).all()
  back, _ = to_image(placed, fitted.scale, fitted.offset, (h, w))
  assert np.allclose(back, boxes, atol=1e-3 * max(h, w))


def test_what_was_found_in_the_padding_is_not_on_the_image():
  """A 400 x 200 image at half size, 28 px down: one box crosses its border, one lies above it."""
  scale, offset = np.array([0.5, 0.5], np.float32), np.array([0, 28], np.float32)
  found = np.array([[10, 38, 60, 78], [100, 20, 300, 60], [0, 0, 200, 20]], np.float32)
  boxes, inside = to_image(found, scale, offset, (200, 400))
  assert boxes[:2].tolist() == [[20, 20, 120, 100], [200, 0, 400, 64]]
  assert inside.tolist() == [True, True, False]
  assert to_image(found[:0], scale, offset, (200, 400))[0].shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(original=st.tuples(sides, sides), size=st.tuples(sides, sides))
def test_content_fills_one_side_and_keeps_the_aspect(original, size):
  h, w = content_size(original, size)
  assert 1 <= h <= size[0]
  assert 1 <= w <= size[1]
  assert h == size[0] or w == size[1]
  scale = min(size[0] / original[0], size[1] / original[1])
  assert abs(h - original[0] * scale) <= 1
  assert abs(w - original[1] * scale) <= 1


@pytest.mark.parametrize(
  ("original", "content", "expected"),
  [((480, 640), (160, 160), 4), ((480, 640), (161, 161), 2), ((480, 640), (640, 640), 1),
   ((100, 100), (640, 640), 1), ((1000, 10), (100, 100), 8), ((427, 640), (96, 96), 4)],
)  # fmt: skip
def test_reduction_never_loses_shown_pixels(original, content, expected):
  r = reduction_for(original, content)
  assert r == expected
  assert reduction_for(original, content, "linear") == 1
  h, w = content_size(original, content)
  assert r == 1 or (original[0] / r >= h and original[1] / r >= w)


@pytest.mark.parametrize("original", [(427, 640), (480, 640), (301, 203)])
def test_reduced_image_lands_where_the_whole_one_does(original):
  """Same box coordinates, and nearly the same pixels."""
  h, w = original
  y, x = np.mgrid[:h, :w]
  image = np.stack([127 + 100 * np.sin(x / 37), 127 + 100 * np.cos(y / 31), x * 0 + 50.0], -1)
  image = image.astype(np.uint8)
  whole = letterbox(image, (100, 100))
  r = reduction_for(original, (100, 100))
  assert r > 1
  padded = cv2.copyMakeBorder(image, 0, -h % r, 0, -w % r, cv2.BORDER_REPLICATE)
  small = cv2.resize(padded, None, fx=1 / r, fy=1 / r, interpolation=cv2.INTER_AREA)
  fitted = letterbox(small, (100, 100), reduction=r, original=original)
  assert np.allclose(fitted.scale, whole.scale, rtol=0.01)
  assert np.array_equal(fitted.offset, whole.offset)
  assert np.abs(fitted.image.astype(int) - whole.image).max() <= 6


def test_same_size_is_untouched():
  image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
  fitted = letterbox(image, (32, 48))
  assert fitted.image is image
  assert fitted.scale.tolist() == [1, 1]
  assert fitted.offset.tolist() == [0, 0]


def test_area_averages():
  image = np.zeros((8, 8, 3), np.uint8)
  image[::2] = 200
  assert (letterbox(image, (4, 4)).image == 100).all()


@settings(max_examples=40, deadline=None)
@given(h=sides, w=sides, size=st.tuples(sides, sides))
def test_cover_leaves_no_border(h, w, size):
  covered = cover(np.full((h, w, 3), 7, np.uint8), size)
  assert covered.shape == (*size, 3)
  assert (covered == 7).all()


def test_cover_keeps_the_middle():
  image = np.zeros((10, 30, 3), np.uint8)
  image[:, 10:20] = 200
  assert (cover(image, (10, 10)) == 200).all()
