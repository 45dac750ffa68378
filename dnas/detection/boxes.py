# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes as arrays: overlaps, anchor points and the distances that a head predicts.

A box is `(x1, y1, x2, y2)` in pixels (`xyxy`); every function takes any number of leading
dimensions and may be jitted, vmapped and differentiated. Overlaps stay finite, and so do their
gradients, for boxes of no area and for identical boxes.

>>> import numpy as np
>>> from dnas.detection import boxes
>>> truth = np.array([[0.0, 0.0, 4.0, 2.0]])
>>> found = np.array([[0.0, 0.0, 2.0, 2.0], [4.0, 2.0, 6.0, 4.0]])
>>> boxes.iou(truth, found).tolist()
[[0.5, 0.0]]
>>> points, strides = boxes.anchor_points([(1, 2)], [8])
>>> points.tolist(), strides.tolist()
([[4.0, 4.0], [12.0, 4.0]], [[8.0], [8.0]])
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

# Anchor points and strides: constants where `anchor_points` made them, traced behind a jit.
Points = jax.Array | np.ndarray

# Added to a union before dividing by it. Small against any union that matters (1 px^2), and large
# enough that 0 / EPS and its gradient stay finite in float32.
EPS = 1e-9


def area(boxes: jax.Array) -> jax.Array:
  """max(x2 - x1, 0) * max(y2 - y1, 0); `[..., 4]` -> `[...]` px^2."""
  size = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
  return size[..., 0] * size[..., 1]


def _intersection(a: jax.Array, b: jax.Array) -> jax.Array:
  size = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
  size = jnp.maximum(size, 0)
  return size[..., 0] * size[..., 1]


def _overlap(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """IoU and union, elementwise after broadcasting."""
  shared = _intersection(a, b)
  union = area(a) + area(b) - shared
  return shared / (union + EPS), union


def iou(a: jax.Array, b: jax.Array) -> jax.Array:
  """|A ∩ B| / |A ∪ B| of every pair; `[..., N, 4]`, `[..., M, 4]` -> `[..., N, M]` in [0, 1]."""
  return _overlap(a[..., :, None, :], b[..., None, :, :])[0]


def paired_iou(a: jax.Array, b: jax.Array) -> jax.Array:
  """|A ∩ B| / |A ∪ B| elementwise; `[..., 4]`, `[..., 4]` -> `[...]` in [0, 1]."""
  return _overlap(a, b)[0]


def _hull_size(a: jax.Array, b: jax.Array) -> jax.Array:
  """Width and height of the smallest box around both, `[..., 2]`."""
  return jnp.maximum(a[..., 2:], b[..., 2:]) - jnp.minimum(a[..., :2], b[..., :2])


def giou(a: jax.Array, b: jax.Array) -> jax.Array:
  """IoU - (|hull| - |A ∪ B|) / |hull| elementwise; `[..., 4]` twice -> `[...]` in [-1, 1].

  Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, algorithm 1.
  """
  value, union = _overlap(a, b)
  size = _hull_size(a, b)
  hull = size[..., 0] * size[..., 1]
  return value - (hull - union) / (hull + EPS)


def diou(a: jax.Array, b: jax.Array) -> jax.Array:
  """IoU - d^2 / c^2 elementwise; `[..., 4]` twice -> `[...]` in [-1, 1].

  d is the distance of the two centres, c the diagonal of the smallest box around both.
  Source: Zheng et al., Distance-IoU loss, AAAI 2020, equation 7.
  """
  size = _hull_size(a, b)
  offset = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
  return paired_iou(a, b) - jnp.sum(offset**2, -1) / (jnp.sum(size**2, -1) + EPS)


def _aspect_angle(boxes: jax.Array) -> jax.Array:
  """arctan(w / h), and 0 with zero gradient for a box without extent."""
  size = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
  # The gradient of arctan2 at (0, 0) is 0/0, so it is never evaluated there.
  extent = jnp.sum(size, -1) > 0
  return jnp.arctan2(jnp.where(extent, size[..., 0], 0), jnp.where(extent, size[..., 1], 1))


def ciou(a: jax.Array, b: jax.Array) -> jax.Array:
  """DIoU - w v, v = 4/pi^2 (atan(wa/ha) - atan(wb/hb))^2, w = v / (1 - IoU + v); `[...]`.

  The trade-off w is a constant for the gradient, as in the source.
  Source: Zheng et al., Distance-IoU loss, AAAI 2020, equations 8 to 11.
  """
  v = 4 / np.pi**2 * (_aspect_angle(a) - _aspect_angle(b)) ** 2
  trade_off = jax.lax.stop_gradient(v / (1 - paired_iou(a, b) + v + EPS))
  return diou(a, b) - trade_off * v


def anchor_points(
  feature_shapes: Sequence[tuple[int, int]], strides: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
  """((column + 0.5) * stride, (row + 0.5) * stride) for every cell of every level.

  The result is a NumPy constant, not a traced array: shapes are static, and the assigners read
  the sizes of the levels from it.

  Args:
    feature_shapes: (height, width) of each level in cells.
    strides: px per cell of each level.

  Returns:
    Points `[A, 2]` px and the stride of each `[A, 1]` px, level after level, row after row.

  Raises:
    ValueError: if the two lists differ in length or hold something not positive.
  """
  if len(feature_shapes) != len(strides) or not strides:
    raise ValueError(
      f"anchor_points needs one stride per level: {len(feature_shapes)} feature_shapes, "
      f"{len(strides)} strides"
    )
  points, steps = [], []
  for (height, width), stride in zip(feature_shapes, strides):
    if min(height, width, stride) <= 0:
      raise ValueError(
        f"anchor_points: level {height} x {width} at stride {stride}; all three must be positive"
      )
    y, x = np.mgrid[:height, :width]
    points.append((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
    steps.append(np.full((height * width, 1), stride))
  return np.concatenate(points).astype(np.float32), np.concatenate(steps).astype(np.float32)


def distances_to_boxes(distances: jax.Array, points: Points) -> jax.Array:
  """(px - left, py - top, px + right, py + bottom).

  Args:
    distances: left, top, right, bottom `[..., A, 4]`, in the unit of `points`.
    points: `[A, 2]`.

  Returns:
    `[..., A, 4]` xyxy.
  """
  return jnp.concatenate([points - distances[..., :2], points + distances[..., 2:]], -1)


def boxes_to_distances(boxes: jax.Array, points: Points) -> jax.Array:
  """(px - x1, py - y1, x2 - px, y2 - py), negative where a point lies outside; `[..., A, 4]`."""
  return jnp.concatenate([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def expected_distances(distribution: jax.Array) -> jax.Array:
  """sum_i i * softmax(distribution)_i over the bins i = 0 .. reg_max of each side.

  Args:
    distribution: logits `[..., 4 * (reg_max + 1)]`, side after side.

  Returns:
    left, top, right, bottom `[..., 4]` in cells (multiply by the stride for px).

  Raises:
    ValueError: if the last dimension is not four times at least two bins.

  Source: Li et al., Generalized focal loss, NeurIPS 2020, equation 4.
  """
  logits = split_sides(distribution)
  bins = jnp.arange(logits.shape[-1], dtype=logits.dtype)
  return jnp.sum(jax.nn.softmax(logits, -1) * bins, -1)


def split_sides(distribution: jax.Array) -> jax.Array:
  """`[..., 4 * (reg_max + 1)]` -> `[..., 4, reg_max + 1]`; ValueError if it does not divide so."""
  width = distribution.shape[-1]
  if width % 4 or width < 8:
    raise ValueError(
      f"distribution has {width} values per anchor; valid is 4 * (reg_max + 1) with reg_max >= 1"
    )
  return distribution.reshape(*distribution.shape[:-1], 4, width // 4)


def decode(distribution: jax.Array, points: Points, strides: Points) -> jax.Array:
  """Boxes point ± stride * expected distance.

  Args:
    distribution: `[..., A, 4 * (reg_max + 1)]` logits.
    points: `[A, 2]` px.
    strides: `[A, 1]` px.

  Returns:
    `[..., A, 4]` xyxy px.
  """
  return distances_to_boxes(expected_distances(distribution) * strides, points)
