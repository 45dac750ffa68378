# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes: formats are inverse, overlaps obey their bounds, gradients stay finite."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.detection import boxes

_few = hypothesis.settings(max_examples=25, deadline=None)
_number = st.integers(-64, 64).map(lambda n: n / 2)


@st.composite
def some_boxes(draw, rows=6):
  """Well-formed boxes, some without area, on a half-pixel grid so that float32 is exact."""
  low = np.array(draw(st.lists(st.tuples(_number, _number), min_size=rows, max_size=rows)))
  side = st.integers(0, 40).map(lambda n: n / 2)
  size = np.array(draw(st.lists(st.tuples(side, side), min_size=rows, max_size=rows)))
  return np.concatenate([low, low + size], -1).astype(np.float32)


SIMILARITIES = {f.__name__: jax.jit(f) for f in (boxes.giou, boxes.diou, boxes.ciou)}
paired_iou = jax.jit(boxes.paired_iou)
iou = jax.jit(boxes.iou)


def plain_iou(a, b):
  width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
  height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
  union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
  return width * height / union if union else 0.0


def test_area_by_hand():
  a = jnp.array([10.0, 20.0, 40.0, 60.0])
  assert boxes.area(a) == 1200
  assert boxes.area(a[jnp.array([2, 1, 0, 3])]) == 0, "an inverted box has no area"


@_few
@hypothesis.given(some_boxes(), some_boxes(4))
def test_iou_is_the_plain_one_and_symmetric(a, b):
  got = iou(a, b)
  want = [[plain_iou(x, y) for y in b.tolist()] for x in a.tolist()]
  np.testing.assert_allclose(got, want, atol=1e-6)
  np.testing.assert_array_equal(got, iou(b, a).T)
  np.testing.assert_array_equal(paired_iou(a[:4], b), jnp.diagonal(got[:4]))


@_few
@hypothesis.given(
  some_boxes(), some_boxes(), st.integers(-20, 20), st.sampled_from([0.5, 2.0, 4.0])
)
def test_similarities_bounds_and_invariances(a, b, shift, scale):
  upper = paired_iou(a, b)
  for name, similarity in SIMILARITIES.items():
    value = similarity(a, b)
    assert np.all(value <= upper + 1e-6), name
    assert np.all(value >= (-1 if name != "ciou" else -2) - 1e-6), name
    np.testing.assert_allclose(similarity(b, a), value, atol=1e-6)
    np.testing.assert_allclose(similarity(a + shift, b + shift), value, atol=1e-5)
    np.testing.assert_allclose(similarity(a * scale, b * scale), value, atol=1e-5)
    solid = boxes.area(a) > 0
    np.testing.assert_allclose(np.asarray(similarity(a, a))[solid], 1, atol=1e-6)


def test_similarities_by_hand():
  a, b = jnp.array([0.0, 0, 2, 2]), jnp.array([2.0, 0, 4, 4])
  assert boxes.paired_iou(a, b) == 0
  # Hull 4 x 4, union 4 + 8; centres (1, 1) and (3, 2), diagonal^2 32.
  np.testing.assert_allclose(boxes.giou(a, b), -(16 - 12) / 16, rtol=1e-6)
  np.testing.assert_allclose(boxes.diou(a, b), -5 / 32, rtol=1e-6)
  v = 4 / np.pi**2 * (np.arctan(1) - np.arctan(0.5)) ** 2
  np.testing.assert_allclose(boxes.ciou(a, b), -5 / 32 - v * v / (1 + v), rtol=1e-5)


@pytest.mark.parametrize("similarity", [boxes.giou, boxes.diou, boxes.ciou, boxes.paired_iou])
def test_gradients_are_finite(similarity):
  """For identical boxes, points, lines, inverted boxes, and boxes far away."""
  odd = jnp.array(
    [[0, 0, 8, 8], [3, 3, 3, 3], [0, 0, 5, 0], [8, 8, 0, 0], [1e4, 1e4, 1e4 + 1, 1e4 + 1]],
    jnp.float32,
  )
  a, b = (x.reshape(-1, 4) for x in jnp.broadcast_arrays(odd[:, None], odd[None]))
  value, gradient = jax.jit(jax.value_and_grad(lambda x, y: similarity(x, y).sum(), (0, 1)))(a, b)
  assert jnp.isfinite(value)
  assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradient)


def test_gradient_of_giou_moves_a_box_that_does_not_touch():
  a, b = jnp.array([0.0, 0, 2, 2]), jnp.array([6.0, 0, 8, 2])
  assert boxes.giou(a - 0.1 * jax.grad(lambda x: -boxes.giou(x, b))(a), b) > boxes.giou(a, b)
  assert jnp.all(jax.grad(boxes.paired_iou)(a, b) == 0)


def test_anchor_points():
  points, strides = boxes.anchor_points([(2, 3), (1, 1)], [8, 16])
  assert isinstance(points, np.ndarray), "a constant at trace time"
  np.testing.assert_array_equal(
    points, [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8]]
  )
  np.testing.assert_array_equal(strides[:, 0], [8] * 6 + [16])


def test_distances_and_boxes_are_inverse():
  points, _ = boxes.anchor_points([(3, 4)], [8])
  a = np.random.default_rng(0).uniform(0, 32, (2, 12, 4)).astype(np.float32)
  np.testing.assert_allclose(
    boxes.distances_to_boxes(boxes.boxes_to_distances(a, points), points), a, atol=1e-5
  )


def test_decode_takes_the_expectation():
  points, strides = boxes.anchor_points([(1, 2)], [8])
  # Bin 2 of 0..4 almost surely on each side, then bins 1 and 2 equally.
  sure = np.zeros((2, 4, 5), np.float32)
  sure[0, :, 2] = 50
  sure[1, :, 1:3] = 50
  got = boxes.decode(sure.reshape(1, 2, 20), points, strides)
  np.testing.assert_allclose(got[0, 0], [4 - 16, 4 - 16, 4 + 16, 4 + 16], rtol=1e-6)
  np.testing.assert_allclose(got[0, 1], [12 - 12, 4 - 12, 12 + 12, 4 + 12], atol=1e-5)


def test_bad_input():
  with pytest.raises(ValueError, match="one stride per level: 2 feature_shapes, 1 strides"):
    boxes.anchor_points([(2, 2), (1, 1)], [8])
  with pytest.raises(ValueError, match="level 0 x 2 at stride 8"):
    boxes.anchor_points([(0, 2)], [8])
  for width in (4, 18):
    with pytest.raises(ValueError, match=f"{width} values per anchor"):
      boxes.expected_distances(jnp.zeros((3, width)))
