# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The loss with anchors: by hand, invariant, and its deltas are those that EfficientDet decodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.detection.anchor_loss import anchor_loss, encode, match
from dnas.detection.assign import Targets
from dnas.nn import efficientdet

ANCHORS = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 40, 40]], np.float32)


def targets(boxes, labels, mask):
  boxes = jnp.asarray(boxes, jnp.float32)[None]
  return Targets(boxes, jnp.asarray(labels)[None], jnp.asarray(mask)[None])


TWO = targets([[0, 0, 10, 8], [36, 36, 44, 44], [20, 0, 30, 10]], [1, 0, 0], [True, True, False])


def test_deltas_lead_from_anchors_to_boxes():
  rng = np.random.default_rng(0)
  low = rng.uniform(0, 50, (2, 3, 2))
  boxes = np.concatenate([low, low + rng.uniform(1, 40, (2, 3, 2))], -1).astype(np.float32)
  decoded = efficientdet.decode(encode(jnp.asarray(boxes), ANCHORS), ANCHORS)
  np.testing.assert_allclose(decoded, boxes, rtol=1e-4, atol=1e-4)


def test_anchors_take_what_they_overlap_and_the_best_one_has_to():
  index, positive = match(ANCHORS, TWO)
  # IoU .8 with the first; the second's best anchor overlaps it by .01; padding counts for none.
  np.testing.assert_array_equal(positive, [[True, False, True]])
  assert index[0, [0, 2]].tolist() == [0, 1]


@pytest.mark.slow
def test_a_perfect_prediction_costs_almost_nothing_and_padding_nothing():
  index, positive = match(ANCHORS, TWO)
  deltas = encode(jnp.take_along_axis(TWO.boxes, index[..., None], 1), jnp.asarray(ANCHORS))
  logits = jnp.where(
    jax.nn.one_hot(jnp.take_along_axis(TWO.labels, index, 1), 2) * positive[..., None] > 0,
    9.0,
    -9.0,
  )
  value, _ = anchor_loss(logits, deltas, ANCHORS, TWO)
  assert float(value) < 1e-4
  worse, _ = anchor_loss(logits, deltas + 0.5, ANCHORS, TWO)
  # Two positives, four coordinates each, Huber of .5 beyond .1: .1 (.5 - .05) = .045.
  np.testing.assert_allclose(float(worse - value), 50 * 2 * 4 * 0.045 / 4 / 3, rtol=1e-4)
  other = TWO._replace(boxes=TWO.boxes.at[0, 2].set(jnp.array([0, 0, 10, 10.0])))
  np.testing.assert_allclose(anchor_loss(logits, deltas, ANCHORS, other)[0], value)


@pytest.mark.slow
def test_an_image_without_objects_has_a_finite_gradient():
  none = targets(np.zeros((1, 4)), [0], [False])
  loss = lambda logits, deltas: anchor_loss(logits, deltas, ANCHORS, none)[0]
  gradients = jax.grad(loss, (0, 1))(jnp.zeros((1, 3, 2)), jnp.ones((1, 3, 4)))
  assert all(np.isfinite(g).all() for g in gradients)
  assert not gradients[1].any()
