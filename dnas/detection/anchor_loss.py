# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of detectors with anchors: focal classification and a Huber loss of box deltas.

Its constants are those of EfficientDet's published code (google/automl, efficientdet:
`hparams_config.py`, `det_model_fn.py`): alpha 0.25, gamma 1.5, Huber's delta 0.1, box weight 50,
both parts over the positives and one more. Its anchors are positive from an IoU of 0.5.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dnas.detection import assign
from dnas.detection import boxes as box_ops
from dnas.detection.loss import focal

POSITIVE_IOU = 0.5
HUBER_DELTA = 0.1


def encode(boxes: jax.Array, anchors: jax.Array | np.ndarray) -> jax.Array:
  """The deltas (dy, dx, dh, dw) from anchors to boxes, both xyxy `[..., A, 4]` px.

  d = (centre - anchor centre) / anchor size, d = log(size / anchor size).
  """
  size = anchors[..., 2:] - anchors[..., :2]
  wanted = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
  shift = (boxes[..., :2] + wanted / 2 - anchors[..., :2] - size / 2) / size
  grow = jnp.log(wanted / size)
  return jnp.concatenate([shift[..., ::-1], grow[..., ::-1]], -1)


def match(anchors: jax.Array | np.ndarray, targets: assign.Targets) -> tuple[jax.Array, jax.Array]:
  """Which object each anchor has to find: (index `[B, A]`, whether it has to, bool `[B, A]`).

  That is the one which it overlaps most, by an IoU of 0.5 or more; and the anchor which overlaps an
  object most has to find it in any case.
  """
  overlap = box_ops.iou(jnp.asarray(anchors), targets.boxes)  # [B, A, M]
  overlap = jnp.where(targets.mask[:, None], overlap, 0)
  best = jnp.argmax(overlap, 1)  # [B, M]
  forced = (jnp.arange(overlap.shape[1])[:, None] == best[:, None]) & targets.mask[:, None]
  forced &= overlap > 0
  any_forced = jnp.any(forced, -1)
  index = jnp.where(any_forced, jnp.argmax(forced, -1), jnp.argmax(overlap, -1))
  return index, any_forced | (jnp.max(overlap, -1) >= POSITIVE_IOU)


def anchor_loss(
  logits: jax.Array,
  deltas: jax.Array,
  anchors: jax.Array | np.ndarray,
  targets: assign.Targets,
  *,
  alpha: float = 0.25,
  gamma: float = 1.5,
  box_weight: float = 50.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """(sum focal + box_weight sum huber(deltas - wanted) / 4) / (P + 1), P positives.

  Args:
    logits: `[B, A, C]`.
    deltas: `[B, A, 4]`, see `encode`.
    anchors: xyxy `[A, 4]` px.
    targets: padded ground truth of B images.
    alpha, gamma: see `loss.focal`.
    box_weight: of the boxes' part.

  Returns:
    The total, and its parts {"cls", "box"}.

  Source: Tan et al., EfficientDet (1911.09070), section 5.1 and its published code.
  """
  index, positive = match(anchors, targets)
  labels = jnp.take_along_axis(targets.labels, index, 1)
  boxes = jnp.take_along_axis(targets.boxes, index[..., None], 1)
  q = jax.nn.one_hot(labels, logits.shape[-1]) * positive[..., None]
  count = jnp.sum(positive)
  cls = jnp.sum(focal(logits, q, alpha=alpha, gamma=gamma)) / (count + 1)
  error = jnp.abs(deltas - encode(boxes, jnp.asarray(anchors)))
  huber = jnp.where(error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2))
  huber = jnp.where(positive[..., None], huber, 0)
  box = box_weight * jnp.sum(huber) / 4 / (count + 1)
  return cls + box, {"cls": cls, "box": box}
