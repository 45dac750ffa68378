# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Assignment: parity, a plain reference, and the invariants of a batch."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.detection import assign, boxes

CLASSES = 3
POINTS, STRIDES = boxes.anchor_points([(8, 8), (4, 4)], [8, 16])
ASSIGNERS = {
  "task_aligned": jax.jit(functools.partial(assign.task_aligned, top_k=5)),
  "atss": jax.jit(functools.partial(assign.atss, top_k=5, level_sizes=(64, 16))),
}
each_assigner = pytest.mark.parametrize("assigner", ASSIGNERS.values(), ids=list(ASSIGNERS))


def run(assigner, scores, predicted, targets):
  return assigner(scores, predicted, POINTS, STRIDES, targets)


def batch(seed, images=3, objects=4):
  """Random scores, plausible boxes around the anchors, targets with some padding."""
  rng = np.random.default_rng(seed)
  anchors = len(POINTS)
  scores = rng.uniform(0.01, 1, (images, anchors, CLASSES)).astype(np.float32)
  distances = rng.uniform(0.3, 2.5, (images, anchors, 4)).astype(np.float32) * STRIDES
  predicted = np.asarray(boxes.distances_to_boxes(distances, POINTS))
  low = rng.uniform(0, 44, (images, objects, 2))
  gt = np.concatenate([low, low + rng.uniform(6, 40, (images, objects, 2))], -1)
  labels = rng.integers(0, CLASSES, (images, objects)).astype(np.int32)
  mask = np.arange(objects) < rng.integers(0, objects + 1, (images, 1))
  return scores, predicted, assign.Targets(gt.astype(np.float32), labels, mask)


def same(a, b):
  for name, x, y in zip(a._fields, a, b):
    if name == "boxes":  # Meaningless for background.
      x, y = (np.where(a.foreground[..., None], v, 0) for v in (x, y))
    np.testing.assert_allclose(x, y, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["tal", "atss"])
def test_parity(shared, name):
  z = np.load(shared / "parity" / "assigner_loss.npz")
  targets = assign.Targets(z["gt_bbox"], z["gt_class"][..., 0], z["pad_gt_mask"][..., 0])
  sizes = tuple(z["num_anchors_list"].tolist())
  atss = functools.partial(assign.atss, level_sizes=sizes)
  got = jax.jit(assign.task_aligned if name == "tal" else atss)(
    jax.nn.sigmoid(z["logits"]),
    z["pred_bboxes_px"],
    z["anchor_points"],
    z["stride_tensor"],
    targets,
  )
  np.testing.assert_array_equal(got.labels, z[f"{name}/labels"])
  np.testing.assert_array_equal(got.boxes, z[f"{name}/bboxes"])
  np.testing.assert_allclose(got.scores, z[f"{name}/scores"], atol=1e-7)
  positives = {"tal": [39, 0, 14], "atss": [25, 0, 5]}[name]
  np.testing.assert_array_equal(got.foreground.sum(-1), positives)


def plain_task_aligned(scores, predicted, targets, top_k, alpha=1.0, beta=6.0):
  """One image, loops: the definition."""
  objects = [i for i in range(len(targets.mask)) if targets.mask[i]]
  overlap = np.asarray(boxes.iou(targets.boxes, predicted))
  claims = {}
  metric = {}
  for i in objects:
    x1, y1, x2, y2 = targets.boxes[i]
    inside = [a for a, (x, y) in enumerate(POINTS) if x1 < x < x2 and y1 < y < y2]
    metric[i] = scores[:, targets.labels[i]] ** alpha * overlap[i] ** beta
    # Anchors outside count as metric 0 and may fill the list, but are then refused.
    value = np.where(np.isin(np.arange(len(POINTS)), inside), metric[i], 0)
    for a in np.argsort(-value, kind="stable")[:top_k]:
      if a in inside:
        claims.setdefault(int(a), []).append(i)
  owner = {
    a: c[0] if len(c) == 1 else max(objects, key=lambda i: (overlap[i, a], -i))
    for a, c in claims.items()
  }
  labels = np.full(len(POINTS), CLASSES)
  out = np.zeros((len(POINTS), CLASSES), np.float32)
  for i in objects:
    mine = [a for a, o in owner.items() if o == i]
    if mine:
      top, reach = max(metric[i][a] for a in mine), max(overlap[i, a] for a in mine)
      for a in mine:
        labels[a] = targets.labels[i]
        out[a, labels[a]] = metric[i][a] / (top + 1e-9) * reach
  return labels, out


@pytest.mark.parametrize(
  ("seed", "exponents"), [(0, {}), (1, {}), (2, {"alpha": 0.5}), (3, {"alpha": 2.0, "beta": 0.0})]
)
def test_task_aligned_against_the_definition(seed, exponents):
  scores, predicted, targets = batch(seed)
  assigner = jax.jit(functools.partial(assign.task_aligned, top_k=5, **exponents))
  got = run(assigner, scores, predicted, targets)
  for b in range(len(scores)):
    own = assign.Targets(*(t[b] for t in targets))
    labels, soft = plain_task_aligned(scores[b], predicted[b], own, top_k=5, **exponents)
    np.testing.assert_array_equal(got.labels[b], labels)
    np.testing.assert_allclose(got.scores[b], soft, atol=1e-5)
  assert got.foreground.sum() > 10


def test_arguments_of_task_aligned_matter():
  args = batch(0)
  base = run(jax.jit(assign.task_aligned), *args)
  for change in ({"alpha": 0.0}, {"beta": 1.0}, {"top_k": 2}, {"min_metric": 0.05}):
    other = run(jax.jit(functools.partial(assign.task_aligned, **change)), *args)
    assert not np.allclose(base.scores, other.scores), change
  # The largest possible metric is 1.
  none = run(jax.jit(functools.partial(assign.task_aligned, min_metric=1.01)), *args)
  assert not none.foreground.any()


def test_atss_by_hand():
  """One level, an object on one cell centre: candidates overlap 1 and less, the mean decides."""
  points, strides = boxes.anchor_points([(3, 3)], [8])
  targets = assign.Targets(jnp.array([[[4.0, 4, 20, 20]]]), jnp.array([[1]]), jnp.array([[True]]))
  predicted = boxes.distances_to_boxes(jnp.full((1, 9, 4), 8.0), points)
  atss = jax.jit(functools.partial(assign.atss, cell_size=2.0, top_k=9, level_sizes=(9,)))
  got = atss(jnp.zeros((1, 9, 2)), predicted, points, strides, targets)
  # Anchors are 16 px squares; overlaps 1 (centre), 1/3 (edges), 1/7 (corners).
  overlap = np.array([1] + [1 / 3] * 4 + [1 / 7] * 4)
  assert overlap.mean() + overlap.std(ddof=1) < 1
  np.testing.assert_array_equal(np.flatnonzero(got.foreground[0]), [4])
  np.testing.assert_allclose(got.scores[0, 4], [0, 1], atol=1e-6)


def test_atss_reads_the_levels_from_constant_strides():
  args = batch(1)
  closed = jax.jit(lambda s, b, t: assign.atss(s, b, POINTS, STRIDES, t, top_k=5))
  same(closed(*args), run(ASSIGNERS["atss"], *args))
  with pytest.raises(ValueError, match=r"give level_sizes, e\.g\. \(256, 64, 16\)"):
    jax.jit(assign.atss)(args[0], args[1], POINTS, STRIDES, args[2])


@each_assigner
@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**16))
def test_invariants(assigner, seed):
  scores, predicted, targets = batch(seed)
  got = run(assigner, scores, predicted, targets)
  # Foreground anchors carry their class and have soft scores in [0, 1]. They lie inside their box;
  # one that several boxes claim goes to the box it overlaps most, wherever that is (PPYOLOE).
  np.testing.assert_array_equal(got.foreground, got.labels < CLASSES)
  assert np.all((got.scores >= 0) & (got.scores <= 1 + 1e-6))
  assert np.all(np.sum(np.asarray(got.scores) > 0, -1) <= got.foreground)
  near = boxes.boxes_to_distances(got.boxes, POINTS).min(-1)
  inside = boxes.boxes_to_distances(targets.boxes[:, :, None], POINTS).min(-1) > 0  # [B, N, A]
  contested = (np.asarray(inside) & targets.mask[..., None]).sum(1) > 1
  overlap = np.where(targets.mask[..., None], boxes.iou(targets.boxes, predicted), -1)
  largest = np.take_along_axis(targets.boxes, overlap.argmax(1)[..., None], 1)
  most = np.all(largest == np.asarray(got.boxes), -1)
  assert np.all(((np.asarray(near) > 0) | (contested & most))[np.asarray(got.foreground)])
  # The order of the objects does not matter.
  order = np.random.default_rng(seed).permutation(targets.mask.shape[1])
  same(got, run(assigner, scores, predicted, assign.Targets(*(t[:, order] for t in targets))))
  # What stands in padded rows does not matter.
  junk = assign.Targets(
    np.where(targets.mask[..., None], targets.boxes, np.float32([0, 0, 64, 64])),
    np.where(targets.mask, targets.labels, 255),
    targets.mask,
  )
  same(got, run(assigner, scores, predicted, junk))


@each_assigner
def test_batched_equals_one_by_one_and_more_padding_changes_nothing(assigner):
  scores, predicted, targets = batch(5)
  got = run(assigner, scores, predicted, targets)
  one = jax.jit(assigner)
  for b in range(len(scores)):
    alone = run(
      one, scores[b : b + 1], predicted[b : b + 1], assign.Targets(*(t[b : b + 1] for t in targets))
    )
    same(alone, jax.tree.map(lambda x: x[b : b + 1], got))  # noqa: B023
  wide = assign.Targets(
    np.pad(targets.boxes, ((0, 0), (0, 3), (0, 0))),
    np.pad(targets.labels, ((0, 0), (0, 3))),
    np.pad(targets.mask, ((0, 0), (0, 3))),
  )
  same(got, run(assigner, scores, predicted, wide))


@each_assigner
def test_empty_targets_assign_nothing(assigner):
  scores, predicted, targets = batch(6)
  got = run(assigner, scores, predicted, targets._replace(mask=np.zeros_like(targets.mask)))
  assert not got.foreground.any()
  assert not got.scores.any()
  assert (got.labels == CLASSES).all()


@each_assigner
def test_odd_objects(assigner):
  """Larger than the image, without area, between two anchors, outside: finite, never a crash."""
  scores, predicted, targets = batch(7, images=1)
  odd = np.float32([[[-50, -50, 200, 200], [9, 9, 9, 9], [5, 5, 7, 7], [300, 300, 340, 340]]])
  got = run(assigner, scores, predicted, assign.Targets(odd, targets.labels, np.ones((1, 4), bool)))
  assert np.all(np.isfinite(got.scores))
  owners = {tuple(b) for b in np.asarray(got.boxes)[np.asarray(got.foreground)].tolist()}
  assert owners <= {(-50, -50, 200, 200)}, "the others contain no anchor point"


@each_assigner
def test_no_gradient_passes(assigner):
  scores, predicted, targets = batch(8)
  gradient = jax.grad(lambda s, p: run(assigner, s, p, targets).scores.sum(), (0, 1))(
    scores, predicted
  )
  assert not any(g.any() for g in gradient)


@pytest.mark.parametrize("assigner", [assign.task_aligned, assign.atss])
def test_one_candidate_an_object_is_allowed(assigner):
  scores, predicted, targets = batch(9)
  one = lambda s, b, t: assigner(s, b, POINTS, STRIDES, t, top_k=1)
  assert jax.eval_shape(one, scores, predicted, targets).scores.shape == scores.shape


def test_labels_of_padding_may_be_anything():
  """Not only where XLA makes a selection of a product with 0."""
  scores, labels = np.ones((1, 2, CLASSES), np.float32), np.array([[1, CLASSES, 255, -1]])
  assert np.all(np.isfinite(assign._scores_of_labels(scores, labels)))


def test_bad_input():
  scores, predicted, targets = batch(9)
  with pytest.raises(ValueError, match=r"boxes has shape \(3, 79, 4\)"):
    run(assign.task_aligned, scores, predicted[:, 1:], targets)
  with pytest.raises(ValueError, match=r"targets.labels has shape \(3, 3\)"):
    run(assign.atss, scores, predicted, targets._replace(labels=targets.labels[:, 1:]))
  with pytest.raises(ValueError, match="top_k=0"):
    run(functools.partial(assign.task_aligned, top_k=0), scores, predicted, targets)
  with pytest.raises(ValueError, match="cell_size=-1"):
    run(functools.partial(assign.atss, cell_size=-1), scores, predicted, targets)
  with pytest.raises(ValueError, match=r"level_sizes \(64, 15\) sum to 79, points are 80"):
    run(functools.partial(assign.atss, level_sizes=(64, 15)), scores, predicted, targets)
  none = assign.Targets(*(t[:, :0] for t in targets))
  with pytest.raises(ValueError, match="padded to 0 objects"):
    run(assign.task_aligned, scores, predicted, none)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_largest_at_once_and_one_by_one_are_the_same(k):
  values = jnp.asarray(
    [[1.0, 3.0, 3.0, -2.0, 0.0, 3.0], [0.0] * 6, [-5.0, -1.0, -1.0, 7.0, 2.0, 2]]
  )
  order = np.argsort(-np.asarray(values), axis=-1, kind="stable")[:, :k]
  expected = np.zeros(values.shape, bool)
  np.put_along_axis(expected, order, True, axis=-1)
  np.testing.assert_array_equal(assign._at_once(values, k), expected)
  np.testing.assert_array_equal(assign._one_by_one(values, k), expected)
