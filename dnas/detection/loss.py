# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The detection loss: varifocal or focal classification, an IoU loss, distribution focal loss.

Everything is dense over anchors and masked by weights, so shapes are static and an image without
objects needs no special case.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dnas.detection import assign
from dnas.detection import boxes as box_ops

Assigner = Callable[
  [jax.Array, jax.Array, box_ops.Points, box_ops.Points, assign.Targets], assign.Assignment
]

BOX_SIMILARITIES = {"giou": box_ops.giou, "diou": box_ops.diou, "ciou": box_ops.ciou}
CLASSIFICATIONS = ("varifocal", "focal")


class Predictions(NamedTuple):
  """What a detector says before decoding.

  Attributes:
    logits: class logits `[B, A, C]`.
    distribution: logits over distances `[B, A, 4 * (reg_max + 1)]`: left, top, right, bottom.
    points: anchor points `[A, 2]` px.
    strides: `[A, 1]` px.
  """

  logits: jax.Array
  distribution: jax.Array
  points: box_ops.Points
  strides: box_ops.Points


def decode(predictions: Predictions) -> tuple[jax.Array, jax.Array]:
  """Boxes `[B, A, 4]` xyxy px and class probabilities `[B, A, C]`."""
  logits, distribution, points, strides = predictions
  return box_ops.decode(distribution, points, strides), jax.nn.sigmoid(logits)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """-(y log p + (1 - y) log(1 - p)) with p = sigmoid(logits), elementwise and without overflow."""
  return jax.nn.softplus(logits) - targets * logits


def varifocal(
  logits: jax.Array,
  targets: jax.Array,
  positive: jax.Array,
  *,
  alpha: float = 0.75,
  gamma: float = 2.0,
) -> jax.Array:
  """Loss w BCE(logits, q), w = q where positive and alpha p^gamma elsewhere; p = sigmoid(logits).

  Args:
    logits: `[..., C]`.
    targets: q, soft targets `[..., C]` in [0, 1].
    positive: `[..., C]` bool or 0/1: the assigned class of a foreground anchor.
    alpha: weight of negatives.
    gamma: focus on hard negatives; the gradient passes through p^gamma.

  Returns:
    `[..., C]`, not reduced.

  Source: Zhang et al., VarifocalNet, CVPR 2021, equation 2.
  """
  weight = jnp.where(positive, targets, alpha * jax.nn.sigmoid(logits) ** gamma)
  return weight * binary_cross_entropy(logits, targets)


def focal(
  logits: jax.Array, targets: jax.Array, *, alpha: float | None = None, gamma: float = 2.0
) -> jax.Array:
  """Loss a |p - q|^gamma BCE(logits, q), a = alpha q + (1 - alpha)(1 - q), or 1 without alpha.

  Args:
    logits: `[..., C]`.
    targets: q, `[..., C]` in [0, 1]; soft targets give the quality focal loss.
    alpha: balance of positives against negatives, .25 in the source; None for none.
    gamma: focus on hard cases.

  Returns:
    `[..., C]`, not reduced.

  Source: Lin et al., Focal loss, ICCV 2017, equation 5; Li et al., Generalized focal loss, 2020.
  """
  loss = jnp.abs(jax.nn.sigmoid(logits) - targets) ** gamma * binary_cross_entropy(logits, targets)
  return loss if alpha is None else loss * (alpha * targets + (1 - alpha) * (1 - targets))


def distribution_focal(distribution: jax.Array, distances: jax.Array) -> jax.Array:
  """-((i + 1 - d) log s_i + (d - i) log s_(i+1)), i = floor(d), s = softmax: a mean over 4 sides.

  Args:
    distribution: `[..., 4 * (reg_max + 1)]` logits.
    distances: d, left, top, right, bottom `[..., 4]` in cells; clipped to [0, reg_max - 0.01].

  Returns:
    `[...]`.

  Source: Li et al., Generalized focal loss, NeurIPS 2020, equation 6.
  """
  logits = box_ops.split_sides(distribution)
  bins = jnp.arange(logits.shape[-1], dtype=logits.dtype)
  d = jnp.clip(distances, 0, logits.shape[-1] - 1.01)[..., None]
  # A triangle of height 1 around d gives exactly the two weights, without a gather.
  weights = jnp.maximum(1 - jnp.abs(bins - d), 0)
  return -jnp.mean(jnp.sum(weights * jax.nn.log_softmax(logits, -1), -1), -1)


def detection_loss(
  predictions: Predictions,
  targets: assign.Targets,
  *,
  assigner: Assigner = assign.task_aligned,
  classification: str = "varifocal",
  box_similarity: str = "giou",
  class_weight: float = 1.0,
  iou_weight: float = 2.5,
  dfl_weight: float = 0.5,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """(w_c sum L_cls + w_i sum s (1 - GIoU) + w_d sum s L_dfl) / max(sum s, 1).

  s is the sum of an anchor's target scores; sums run over all anchors of the batch. Under jit on a
  mesh that is the global batch.

  Args:
    predictions: of the detector.
    targets: padded ground truth of as many images.
    assigner: `assign.task_aligned` or `assign.atss`, perhaps with arguments bound.
    classification: of `CLASSIFICATIONS`.
    box_similarity: of `BOX_SIMILARITIES`.
    class_weight: w_c.
    iou_weight: w_i.
    dfl_weight: w_d.

  Returns:
    The total, and its three weighted parts {"cls", "iou", "dfl"}. Without any object in the batch
    "iou" and "dfl" are zero, with zero gradient.

  Raises:
    ValueError: for shapes that do not fit.

  Source: Xu et al., PP-YOLOE, 2022, section 2.2.
  """
  _check(predictions)
  logits, distribution, points, strides = predictions
  boxes, scores = decode(predictions)
  assigned = assigner(scores, boxes, points, strides, targets)
  if classification == "varifocal":
    classes = jnp.arange(logits.shape[-1])
    cls = varifocal(logits, assigned.scores, assigned.labels[..., None] == classes)
  else:
    cls = focal(logits, assigned.scores)
  iou = 1 - BOX_SIMILARITIES[box_similarity](boxes, assigned.boxes)
  distances = box_ops.boxes_to_distances(assigned.boxes, points) / strides
  dfl = distribution_focal(distribution, distances)
  weight = jnp.sum(assigned.scores, -1)
  normaliser = jnp.maximum(jnp.sum(weight), 1)
  parts = {
    "cls": class_weight * jnp.sum(cls) / normaliser,
    "iou": iou_weight * jnp.sum(iou * weight) / normaliser,
    "dfl": dfl_weight * jnp.sum(dfl * weight) / normaliser,
  }
  return parts["cls"] + parts["iou"] + parts["dfl"], parts


def _check(predictions: Predictions) -> None:
  logits, distribution, points, strides = predictions
  anchors = logits.shape[1]
  wanted = {
    "distribution": (distribution.shape[:2], logits.shape[:2]),
    "points": (points.shape, (anchors, 2)),
    "strides": (strides.shape, (anchors, 1)),
  }
  for name, (got, want) in wanted.items():
    if tuple(got) != tuple(want):
      raise ValueError(
        f"detection_loss: {name} has shape {tuple(got)}; logits {logits.shape} need {tuple(want)}"
      )
