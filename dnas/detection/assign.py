# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which anchor learns which object: task-aligned assignment and ATSS.

Both are functions of a padded batch with one signature,
`(scores [B, A, C], boxes [B, A, 4] px, points [A, 2] px, strides [A, 1] px, targets)`, and both
return an `Assignment`. No gradient passes through them. Both share the rules that an anchor must
lie inside a box to be claimed by it, and that an anchor claimed by several objects goes to the one
it overlaps most.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dnas.detection import boxes as box_ops


class Targets(NamedTuple):
  """Ground truth of a batch, padded to N objects per image.

  Attributes:
    boxes: `[B, N, 4]` xyxy px; padded rows may hold anything finite.
    labels: `[B, N]` class indices.
    mask: `[B, N]` bool, true for real objects.
  """

  boxes: jax.Array
  labels: jax.Array
  mask: jax.Array


class Assignment(NamedTuple):
  """What each anchor has to predict.

  Attributes:
    labels: `[B, A]` int32 class indices, C (the number of classes) for background.
    boxes: `[B, A, 4]` xyxy px of the assigned object; meaningless for background.
    scores: `[B, A, C]` soft classification targets in [0, 1], all zero for background.
    foreground: `[B, A]` bool.
  """

  labels: jax.Array
  boxes: jax.Array
  scores: jax.Array
  foreground: jax.Array


def task_aligned(
  scores: jax.Array,
  boxes: jax.Array,
  points: box_ops.Points,
  strides: box_ops.Points,
  targets: Targets,
  *,
  alpha: float = 1.0,
  beta: float = 6.0,
  top_k: int = 13,
  min_metric: float = 0.0,
  eps: float = 1e-9,
) -> Assignment:
  """Metric t = score^alpha * IoU^beta; the top_k anchors by t inside a box learn it.

  The target score of an anchor is t / max t * max IoU, the maxima over the anchors of its object.

  Args:
    scores: predicted class probabilities `[B, A, C]`.
    boxes: predicted boxes `[B, A, 4]` xyxy px.
    points: anchor points `[A, 2]` px.
    strides: `[A, 1]` px; not used here, part of the assigners' common signature.
    targets: the padded ground truth.
    alpha: exponent of the score, at least 0.
    beta: exponent of the IoU, at least 0.
    top_k: most anchors per object.
    min_metric: an object whose best metric is below this gets no anchor. 0 is the batched form of
      PPYOLOE, where every object keeps its candidates; 1e-9 is its image-by-image form.
    eps: guards the division by max t.

  Returns:
    The `Assignment`; where no target is real, every anchor is background.

  Raises:
    ValueError: for shapes that do not fit or arguments out of range.

  Source: Feng et al., TOOD, ICCV 2021, section 3.2; Xu et al., PP-YOLOE, 2022.
  """
  del strides
  _check(scores, boxes, points, targets)
  if top_k < 1 or alpha < 0 or beta < 0:
    raise ValueError(
      f"task_aligned: top_k={top_k}, alpha={alpha}, beta={beta}; "
      "valid is top_k >= 1, alpha >= 0, beta >= 0"
    )
  scores, boxes = jax.lax.stop_gradient((scores, boxes))
  gt_boxes, labels, mask = targets
  overlap = box_ops.iou(gt_boxes, boxes)  # [B, N, A]
  metric = _scores_of_labels(scores, labels) ** alpha * overlap**beta
  inside = _inside(points, gt_boxes)
  candidate_metric = metric * inside
  best = jnp.max(candidate_metric, -1, keepdims=True)
  claims = _top_k_mask(candidate_metric, top_k) & inside & mask[..., None] & (best >= min_metric)
  claims = _resolve(claims, overlap, mask)
  aligned = metric * claims
  max_overlap = jnp.max(overlap * claims, -1, keepdims=True)
  normalised = aligned / (jnp.max(aligned, -1, keepdims=True) + eps) * max_overlap
  return _gather(claims, jnp.max(normalised, -2), gt_boxes, labels, scores.shape[-1])


def atss(
  scores: jax.Array,
  boxes: jax.Array,
  points: box_ops.Points,
  strides: box_ops.Points,
  targets: Targets,
  *,
  top_k: int = 9,
  cell_size: float = 5.0,
  level_sizes: tuple[int, ...] | None = None,
) -> Assignment:
  """An anchor learns a box if their IoU exceeds mean + standard deviation over the candidates.

  Exceeds strictly, as in PP-YOLOE's code; the paper has "at least".

  Candidates are the top_k anchors per level whose centres are nearest to the box's centre; anchors
  are squares of `cell_size` cells around each point. The target score is the predicted box's IoU.

  Args:
    scores: predicted class probabilities `[B, A, C]`; only their shape is used.
    boxes: predicted boxes `[B, A, 4]` xyxy px.
    points: anchor points `[A, 2]` px.
    strides: `[A, 1]` px.
    targets: the padded ground truth.
    top_k: candidates per level.
    cell_size: side of an anchor in cells.
    level_sizes: anchors per level. Read from `strides` if that is a constant (as
      `boxes.anchor_points` returns it); needed if it is traced.

  Returns:
    The `Assignment`; where no target is real, every anchor is background.

  Raises:
    ValueError: for shapes that do not fit, arguments out of range, or unknown level sizes.

  Source: Zhang et al., Bridging the gap between anchor-based and anchor-free detection, CVPR 2020,
  algorithm 1.
  """
  _check(scores, boxes, points, targets)
  if top_k < 1 or cell_size <= 0:
    raise ValueError(
      f"atss: top_k={top_k}, cell_size={cell_size}; valid is top_k >= 1, cell_size > 0"
    )
  sizes = _level_sizes(strides) if level_sizes is None else tuple(level_sizes)
  if sum(sizes) != points.shape[0]:
    raise ValueError(f"atss: level_sizes {sizes} sum to {sum(sizes)}, points are {points.shape[0]}")
  boxes = jax.lax.stop_gradient(boxes)
  gt_boxes, labels, mask = targets
  half = jnp.asarray(strides) * (cell_size / 2)
  anchors = jnp.concatenate([points - half, points + half], -1)
  overlap = box_ops.iou(gt_boxes, anchors)  # [B, N, A]
  centres = (gt_boxes[..., :2] + gt_boxes[..., 2:]) / 2
  # The root is taken, though it keeps the order, because it decides ties as the source does.
  distance = jnp.sqrt(jnp.sum((centres[..., None, :] - points) ** 2, -1))
  near, start = [], 0
  for size in sizes:
    level = distance[..., start : start + size]
    near.append(_top_k_mask(-level, min(top_k, size)))
    start += size
  candidate = jnp.concatenate(near, -1)
  count = sum(min(top_k, size) for size in sizes)
  mean = jnp.sum(overlap * candidate, -1, keepdims=True) / count
  spread = jnp.sum(jnp.where(candidate, overlap - mean, 0) ** 2, -1, keepdims=True)
  threshold = mean + jnp.sqrt(spread / max(count - 1, 1))
  claims = candidate & (overlap > threshold) & _inside(points, gt_boxes) & mask[..., None]
  claims = _resolve(claims, overlap, mask)
  quality = jnp.max(box_ops.iou(gt_boxes, boxes) * claims, -2)
  return _gather(claims, quality, gt_boxes, labels, scores.shape[-1])


def _check(scores: jax.Array, boxes: jax.Array, points: box_ops.Points, targets: Targets) -> None:
  batch, anchors, _ = scores.shape
  objects = targets.mask.shape[-1]
  wanted = {
    "boxes": (boxes.shape, (batch, anchors, 4)),
    "points": (points.shape, (anchors, 2)),
    "targets.boxes": (targets.boxes.shape, (batch, objects, 4)),
    "targets.labels": (targets.labels.shape, (batch, objects)),
    "targets.mask": (targets.mask.shape, (batch, objects)),
  }
  for name, (got, want) in wanted.items():
    if tuple(got) != want:
      raise ValueError(f"assigner: {name} has shape {tuple(got)}; scores and mask need {want}")
  if objects == 0:
    raise ValueError("assigner: targets are padded to 0 objects; pad to at least 1 and mask it")


def _level_sizes(strides) -> tuple[int, ...]:
  """Run lengths of equal strides; needs a constant."""
  if isinstance(strides, Tracer):
    raise ValueError(
      "atss: strides are traced, so the levels are unknown; give level_sizes, e.g. (256, 64, 16)"
    )
  flat = np.asarray(strides)[:, 0]
  ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)) + 1
  return tuple(int(n) for n in np.diff(ends, prepend=0))


def _scores_of_labels(scores: jax.Array, labels: jax.Array) -> jax.Array:
  """`[B, A, C]`, `[B, N]` -> `[B, N, A]`: the score of each object's class at each anchor."""
  index = jnp.clip(labels, 0, scores.shape[-1] - 1)[..., None]
  return jnp.take_along_axis(jnp.swapaxes(scores, -1, -2), index, axis=-2)


def _inside(points: box_ops.Points, boxes: jax.Array) -> jax.Array:
  """`[A, 2]`, `[B, N, 4]` -> `[B, N, A]`: strictly inside the box."""
  low = points - boxes[..., None, :2]
  high = boxes[..., None, 2:] - points
  return jnp.min(jnp.minimum(low, high), -1) > 1e-9


def _top_k_mask(values: jax.Array, k: int) -> jax.Array:
  """True at the k largest, all finite, along the last axis; the first of equals wins.

  Of a batch that is split over devices XLA would gather all of it on each of them for `lax.top_k`
  (860 MB of float32 for 256 images of 100 objects and 8,400 anchors).
  """
  k = min(k, values.shape[-1])
  return _at_once(values, k) if jax.device_count() == 1 else _one_by_one(values, k)


def _at_once(values: jax.Array, k: int) -> jax.Array:
  _, index = jax.lax.top_k(values, k)
  return jnp.any(jax.nn.one_hot(index, values.shape[-1], dtype=jnp.bool_), -2)


def _one_by_one(values: jax.Array, k: int) -> jax.Array:
  """Ten times slower on a CPU (2.5 against 0.35 ms for the quickstart's batch); nothing is sent."""

  def one(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    chosen, left = state
    largest = jnp.argmax(left, -1, keepdims=True)
    now = jax.lax.broadcasted_iota(largest.dtype, left.shape, left.ndim - 1) == largest
    return chosen | now, jnp.where(now, -jnp.inf, left)

  none = jnp.zeros_like(values, jnp.bool_)
  return jax.lax.fori_loop(0, k, one, (none, values))[0]


def _resolve(claims: jax.Array, overlap: jax.Array, mask: jax.Array) -> jax.Array:
  """Gives each anchor with several claims `[B, N, A]` to the object that it overlaps most.

  As in PPYOLOE the winner is sought among all real objects of the image, not the claimants alone.
  """
  overlap = jnp.where(mask[..., None], overlap, -1)
  winner = jax.nn.one_hot(jnp.argmax(overlap, -2), overlap.shape[-2], axis=-2, dtype=jnp.bool_)
  contested = jnp.sum(claims, -2, keepdims=True) > 1
  return jnp.where(contested, winner, claims)


def _gather(
  claims: jax.Array, quality: jax.Array, gt_boxes: jax.Array, labels: jax.Array, classes: int
) -> Assignment:
  """From claims `[B, N, A]` and target qualities `[B, A]` to the anchors' targets."""
  index = jnp.argmax(claims, -2)  # [B, A]
  foreground = jnp.any(claims, -2)
  assigned = jnp.where(foreground, jnp.take_along_axis(labels, index, axis=-1), classes)
  assigned_boxes = jnp.take_along_axis(gt_boxes, index[..., None], axis=-2)
  # Class `classes` is out of range, so its one-hot row is zero.
  scores = jax.nn.one_hot(assigned, classes, dtype=quality.dtype) * quality[..., None]
  return jax.lax.stop_gradient(
    Assignment(assigned.astype(jnp.int32), assigned_boxes, scores, foreground)
  )
