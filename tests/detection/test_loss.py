# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Losses: parity in value and gradient, definitions by hand, behaviour without objects."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.detection import assign, boxes, loss

POINTS, STRIDES = boxes.anchor_points([(4, 4), (2, 2)], [8, 16])
CLASSES, BINS = 3, 6


def batch(seed=0, images=2):
  rng = np.random.default_rng(seed)
  anchors = len(POINTS)
  logits = rng.normal(-2, 1, (images, anchors, CLASSES)).astype(np.float32)
  distribution = rng.normal(0, 1, (images, anchors, 4 * BINS)).astype(np.float32)
  gt = np.float32([[[2, 2, 20, 24], [10, 8, 31, 30]], [[0, 0, 16, 12], [0, 0, 0, 0]]])[:images]
  mask = np.array([[True, True], [True, False]])[:images]
  return logits, distribution, assign.Targets(gt, np.array([[0, 2], [1, 0]])[:images], mask)


def evaluate(logits, distribution, targets, **options):
  predictions = loss.Predictions(logits, distribution, POINTS, STRIDES)
  return loss.detection_loss(predictions, targets, **options)


@functools.cache
def compiled(**options):
  return jax.jit(
    jax.value_and_grad(
      lambda logits, distribution, targets: evaluate(logits, distribution, targets, **options),
      (0, 1),
      has_aux=True,
    )
  )


PARITY = {
  "tal_batched": {},
  # Image by image, PPYOLOE drops objects that no prediction meets.
  "tal_sequential": {"assigner": functools.partial(assign.task_aligned, min_metric=1e-9)},
  "atss_batched": {"assigner": assign.atss},
  "tal_focal": {"classification": "focal"},
}


@pytest.mark.parametrize("case", PARITY)
def test_parity(shared, case):
  z = np.load(shared / "parity" / "assigner_loss.npz")
  targets = assign.Targets(z["gt_bbox"], z["gt_class"][..., 0], z["pad_gt_mask"][..., 0])

  @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
  def run(logits, distribution):
    predictions = loss.Predictions(logits, distribution, z["anchor_points"], z["stride_tensor"])
    return loss.detection_loss(predictions, targets, **PARITY[case])

  (total, parts), gradients = jax.jit(run)(z["logits"], z["distri"])
  values = [parts["cls"], parts["iou"], parts["dfl"], total]
  np.testing.assert_allclose(values, z[f"{case}/log_losses"], rtol=1e-5)
  for got, name in zip(gradients, ("logits", "distri")):
    want = z[f"{case}/grad_{name}"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max(), err_msg=name)


def test_binary_cross_entropy_does_not_overflow():
  logits, targets = jnp.array([-200.0, -3, 0, 3, 200]), jnp.array([1.0, 0.3, 0.5, 1, 0])
  p = jax.nn.sigmoid(logits[1:4])
  want = -(targets[1:4] * jnp.log(p) + (1 - targets[1:4]) * jnp.log1p(-p))
  got = loss.binary_cross_entropy(logits, targets)
  np.testing.assert_allclose(got[1:4], want, rtol=1e-5)
  np.testing.assert_allclose(got[jnp.array([0, 4])], 200)


def test_varifocal_and_focal_by_hand():
  z, q = jnp.array([0.4, -1.0]), jnp.array([0.8, 0.0])
  p, bce = jax.nn.sigmoid(z), loss.binary_cross_entropy(z, q)
  got = loss.varifocal(z, q, jnp.array([True, False]), alpha=0.7, gamma=1.5)
  np.testing.assert_allclose(got, [0.8 * bce[0], 0.7 * p[1] ** 1.5 * bce[1]], rtol=1e-6)
  usual = loss.varifocal(z, q, jnp.array([True, False]))
  np.testing.assert_allclose(usual, [0.8 * bce[0], 0.75 * p[1] ** 2 * bce[1]], rtol=1e-6)
  np.testing.assert_allclose(loss.focal(z, q, gamma=3.0), jnp.abs(p - q) ** 3 * bce, rtol=1e-5)
  # Balanced, hard targets: the original focal loss.
  hard = jnp.array([1.0, 0.0])
  want = [-0.25 * (1 - p[0]) ** 2 * jnp.log(p[0]), -0.75 * p[1] ** 2 * jnp.log(1 - p[1])]
  np.testing.assert_allclose(loss.focal(z, hard, alpha=0.25), want, rtol=1e-5)


def test_distribution_focal_by_hand():
  logits = jnp.array(np.random.default_rng(0).normal(size=(4, BINS)), jnp.float32)
  log_p = np.asarray(jax.nn.log_softmax(logits))
  distances = jnp.array([0.0, 2.25, 4.0, 99.0])  # The last is clipped to reg_max - 0.01 = 4.99.
  want = [
    -log_p[0, 0],
    -(0.75 * log_p[1, 2] + 0.25 * log_p[1, 3]),
    -log_p[2, 4],
    -(0.01 * log_p[3, 4] + 0.99 * log_p[3, 5]),
  ]
  np.testing.assert_allclose(
    loss.distribution_focal(logits.reshape(-1), distances), np.mean(want), rtol=1e-5
  )


def test_the_minimum_of_distribution_focal_decodes_to_the_distance():
  distance = jnp.array([1.3, 0.2, 3.0, 4.5])
  logits = jnp.zeros(4 * BINS)
  step = jax.jit(lambda x: x - 2 * jax.grad(loss.distribution_focal)(x, distance))
  for _ in range(300):
    logits = step(logits)
  np.testing.assert_allclose(boxes.expected_distances(logits), distance, atol=0.1)


@pytest.mark.parametrize("classification", ["varifocal", "focal"])
def test_empty_targets(classification):
  logits, distribution, targets = batch()
  empty = targets._replace(mask=np.zeros_like(targets.mask))
  (total, parts), gradients = compiled(classification=classification)(logits, distribution, empty)
  assert parts["iou"] == parts["dfl"] == 0
  assert total == parts["cls"] > 0
  assert np.all(np.isfinite(gradients[0]))
  assert np.any(gradients[0])
  assert not np.any(gradients[1])


def test_padding_and_order_change_nothing():
  logits, distribution, targets = batch()
  wide = assign.Targets(
    np.pad(targets.boxes, ((0, 0), (2, 1), (0, 0))),
    np.pad(targets.labels, ((0, 0), (2, 1))),
    np.pad(targets.mask, ((0, 0), (2, 1))),
  )
  flipped = assign.Targets(*(t[:, ::-1] for t in targets))
  base = compiled()(logits, distribution, targets)
  for other in (wide, flipped):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
      base,
      compiled()(logits, distribution, other),
    )


def test_the_loss_of_a_batch_is_the_weighted_mean_of_its_images():
  """Parts are sums / sum of scores: images enter by their assigned scores, not equally."""
  logits, distribution, targets = batch()
  # Confident boxes, so that no normaliser is below its floor of 1.
  distribution = 30 * np.asarray(jax.nn.one_hot(np.full((2, 20, 4), 2), BINS)).reshape(2, 20, -1)
  alone, weights = [], []
  for b in range(2):
    image = assign.Targets(*(t[b : b + 1] for t in targets))
    alone.append(compiled()(logits[b : b + 1], distribution[b : b + 1], image)[0][1])
    scores = jax.nn.sigmoid(logits[b : b + 1])
    predicted = boxes.decode(distribution[b : b + 1], POINTS, STRIDES)
    assigned = jax.jit(assign.task_aligned)(scores, predicted, POINTS, STRIDES, image)
    weights.append(assigned.scores.sum())
  assert max(weights) > 1
  both = compiled()(logits, distribution, targets)[0][1]
  floors = [max(w, 1) for w in weights]
  for part, got in both.items():
    want = sum(a[part] * f for a, f in zip(alone, floors)) / max(sum(weights), 1)
    np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=part)


def test_weights_scale_the_parts():
  args = batch()
  base = compiled()(*args)[0][1]
  # Twice PPYOLOE's, which are the defaults.
  options = {"class_weight": 2.0, "iou_weight": 5.0, "dfl_weight": 1.0}
  total, parts = compiled(**options)(*args)[0]
  for name, part in parts.items():
    np.testing.assert_allclose(part, 2 * base[name], rtol=1e-6)
  np.testing.assert_allclose(total, sum(parts.values()), rtol=1e-6)


@pytest.mark.parametrize("classification", ["varifocal", "focal"])
def test_the_classification_is_the_one_that_is_named(classification):
  """Without any object all targets are 0, and the two differ by varifocal's alpha alone."""
  logits, distribution, targets = batch()
  empty = targets._replace(mask=np.zeros_like(targets.mask))
  got = compiled(classification=classification)(logits, distribution, empty)[0][1]["cls"]
  p = 1 / (1 + np.exp(-logits))
  want = np.sum(p**2 * -np.log1p(-p)) * {"varifocal": 0.75, "focal": 1.0}[classification]
  np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("similarity", ["giou", "ciou"])
def test_descent_finds_the_boxes(similarity):
  """A hundred steps on free predictions: the best box of each image is the object."""
  logits, distribution, targets = batch()
  step = compiled(box_similarity=similarity)
  start = None
  for _ in range(100):
    (total, _), (g_logits, g_distribution) = step(logits, distribution, targets)
    start = total if start is None else start
    logits, distribution = logits - 1.0 * g_logits, distribution - 4.0 * g_distribution
  assert total < 0.5 * start
  predicted, scores = loss.decode(loss.Predictions(logits, distribution, POINTS, STRIDES))
  best = int(jnp.argmax(scores[1, :, 1]))
  assert boxes.paired_iou(predicted[1, best], targets.boxes[1, 0]) > 0.75


def test_bad_input():
  logits, distribution, targets = batch()
  with pytest.raises(ValueError, match=r"distribution has shape \(2, 19\)"):
    evaluate(logits, distribution[:, 1:], targets)
  with pytest.raises(ValueError, match="23 values per anchor"):
    evaluate(logits, distribution[..., 1:], targets)
