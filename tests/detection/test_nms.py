# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NMS equals the plain greedy algorithm, to the bit, on a thousand random cases."""

import functools

import jax
import numpy as np
import pytest

from dnas.detection import nms
from dnas.detection.thresholds import VALIDATION, Thresholds

SHAPE = (50, 24, 3)  # Images per call, anchors, classes.


def clustered(seed, images=SHAPE[0], anchors=SHAPE[1], classes=SHAPE[2]):
  """Boxes around few centres on a half-pixel grid (float32 is exact) with many equal scores."""
  rng = np.random.default_rng(seed)
  centres = rng.integers(10, 120, (images, 4, 2)) / 2
  which = rng.integers(0, 4, (images, anchors))
  middle = (
    np.take_along_axis(centres, which[..., None], 1) + rng.integers(-6, 7, (images, anchors, 2)) / 2
  )
  size = rng.integers(8, 40, (images, anchors, 2)) / 2
  boxes = np.concatenate([middle - size / 2, middle + size / 2], -1).astype(np.float32)
  scores = (rng.integers(0, 20, (images, anchors, classes)) / 20).astype(np.float32)
  return boxes, scores


def plain_iou(a, b):
  """In float32 and in the order of the definition, as the batched code computes it."""
  zero = np.float32(0)
  width = max(np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]), zero)
  height = max(np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]), zero)
  area = lambda box: max(box[2] - box[0], zero) * max(box[3] - box[1], zero)
  return width * height / (area(a) + area(b) - width * height + np.float32(1e-9))


def greedy(boxes, scores, thresholds):
  """One image, the textbook loop."""
  anchors, classes = scores.shape
  pairs = [(scores[a, c], a, c) for a in range(anchors) for c in range(classes)]
  pairs = sorted(pairs, key=lambda p: -p[0])[: thresholds.top_k]  # Stable: the lower index first.
  kept = []
  for score, a, c in pairs:
    if score > np.float32(thresholds.score) and not any(
      k_c == c and plain_iou(boxes[k_a], boxes[a]) > np.float32(thresholds.iou)
      for _, k_a, k_c in kept
    ):
      kept.append((score, a, c))
  return kept[: thresholds.max_detections]


def suppression(**thresholds):
  """`nms.nms` with these, compiled."""
  return jax.jit(functools.partial(nms.nms, thresholds=VALIDATION._replace(**thresholds)))


CASES = {
  "all": Thresholds(score=0.05, iou=0.5, top_k=72, max_detections=20),
  "strict": Thresholds(score=0.4, iou=0.1, top_k=30, max_detections=5),
  "few": Thresholds(score=0.05, iou=0.7, top_k=24, max_detections=30),
  "many": Thresholds(score=0.05, iou=0.3, top_k=60, max_detections=30),
}


@pytest.mark.parametrize("thresholds", CASES.values(), ids=CASES)
def test_equals_greedy_on_250_cases(thresholds):
  run = suppression(**thresholds._asdict())
  suppressed = 0
  for seed in range(5):
    boxes, scores = clustered(seed)
    got = jax.tree.map(np.asarray, run(boxes, scores))
    for b in range(len(boxes)):
      want = greedy(boxes[b], scores[b], thresholds)
      n = len(want)
      suppressed += int((scores[b] > 0.05).sum()) - n
      assert got.valid[b].tolist() == [True] * n + [False] * (thresholds.max_detections - n)
      np.testing.assert_array_equal(got.scores[b, :n], [w[0] for w in want])
      np.testing.assert_array_equal(got.labels[b, :n], [w[2] for w in want])
      np.testing.assert_array_equal(got.boxes[b, :n], boxes[b, [w[1] for w in want]].reshape(-1, 4))
      assert not got.boxes[b, n:].any()
      assert not got.scores[b, n:].any()
      assert (got.labels[b, n:] == -1).all()
  assert suppressed > 1000, "the cases are crowded"


def test_a_long_chain_of_suppressions():
  """Each box overlaps only its neighbours: every second one stays, after as many rounds."""
  count = 40
  left = np.arange(count, dtype=np.float32) * 4
  boxes = np.stack([left, np.zeros(count), left + 10, np.full(count, 10)], -1)[None]
  boxes = boxes.astype(np.float32)
  scores = np.linspace(1, 0.5, count, dtype=np.float32)[None, :, None]
  got = suppression(iou=0.4, top_k=count, max_detections=count)(boxes, scores)
  np.testing.assert_array_equal(got.boxes[0, :20, 0], left[::2])
  assert got.valid.sum() == 20


def test_batched_equals_one_by_one():
  boxes, scores = clustered(9, images=4)
  run = suppression(iou=0.4, max_detections=12)
  together = run(boxes, scores)
  for b in range(4):
    alone = run(boxes[b : b + 1], scores[b : b + 1])
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[b], y[0]), together, alone)  # noqa: B023


def test_fewer_candidates_than_detections_are_padded():
  boxes, scores = clustered(0, images=1, anchors=2, classes=1)
  run = suppression(iou=1.0, max_detections=7)
  got = run(boxes, scores + 0.1)
  assert got.boxes.shape == (1, 7, 4)
  assert got.valid.sum() == 2


def test_no_detections():
  boxes, scores = clustered(0, images=2)
  got = suppression(score=1.0, max_detections=3)(boxes, scores)
  assert not got.valid.any()
  assert not got.boxes.any()


def test_bad_input():
  boxes, scores = clustered(0, images=2)
  with pytest.raises(ValueError, match=r"boxes \(2, 24, 4\) and scores \(2, 23, 3\)"):
    nms.nms(boxes, scores[:, 1:], VALIDATION)


def test_nothing_of_k_x_k_is_a_constant():
  """Exporters write what depends on no input into the file: for K = 1000 a megabyte."""
  boxes, scores = clustered(0, images=2)
  limits = VALIDATION._replace(top_k=20)
  closed = jax.make_jaxpr(lambda *given: nms.nms(*given, limits))(boxes, scores)
  depends, pairs = {*map(id, closed.jaxpr.invars)}, 0
  for equation in closed.jaxpr.eqns:
    if depends & {*map(id, equation.invars)}:
      depends |= {*map(id, equation.outvars)}
      pairs += sum(v.aval.shape[-2:] == (20, 20) for v in equation.outvars)
    else:
      assert all(v.aval.size < 20 * 20 for v in equation.outvars), equation
  assert pairs > 3
