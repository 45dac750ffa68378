# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The detector: supernet equals genotype, it learns, and it says what does not fit."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from dnas.cost import count
from dnas.detection import assign, boxes, loss, nms
from dnas.detection.thresholds import VALIDATION
from dnas.nn import functional
from dnas.nn.detector import Detector
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import cells, macro
from dnas.space.space import SpaceError

OPS = ("skip_connect", "nor_conv_3x3", "avg_pool_3x3")
SPACE = macro.detector(
  cells.dense(OPS, nodes=2),
  (6, 8),
  stem_channels=4,
  fusion=("skip_connect", "nor_conv_1x1", "channel_attention"),
)
OPTIONS = {
  **{"classes": 2, "strides": (4, 8), "neck_channels": 6},
  **{"path": "fpn", "head_convs": 1, "reg_max": 4},
}


def detector(space, **options):
  return Detector(space, rngs=Rngs(0), **{**OPTIONS, **options})


def uniform(space):
  return {
    name: tuple(jnp.full(len(e.ops), 1 / len(e.ops)) for e in space.cells[name].edges)
    for name in space.searched
  }


def images():
  return np.random.default_rng(1).normal(size=(2, 24, 20, 3)).astype(np.float32)


def walk(module, path):
  for part in path:
    module = module[part] if isinstance(part, int) else getattr(module, part)
  return module


def test_supernet_at_one_hot_weights_equals_the_genotype():
  genotype = SPACE.sample(random.Random(4))
  supernet, derived = detector(SPACE, path="pan"), detector(genotype, path="pan", search=True)
  picks = {
    name: tuple(
      jnp.eye(len(e.ops))[e.ops.index(d.ops[0])]
      for e, d in zip(SPACE.cells[name].edges, genotype.cells[name].edges, strict=True)
    )
    for name in SPACE.searched
  }
  # The one operation on an edge of the genotype is one of several in the supernet.
  weights = dict(nnx.to_flat_state(nnx.state(supernet)))
  chosen = {}
  for path, variable in nnx.to_flat_state(nnx.state(derived)):
    source = list(path)
    if "ops" in path:
      at = path.index("ops")
      one, several = (walk(module, path[:at]) for module in (derived, supernet))
      source[at + 1] = several.names.index(one.names[0])
    chosen[path] = variable.replace(weights[tuple(source)][...])
  nnx.update(derived, nnx.from_flat_state(chosen))
  one, several = functional.split(derived), functional.split(supernet)

  @jax.jit
  def run(weights):
    calls = ((several, weights), (one, {}))
    return [
      [static.merge(params, stats)(images(), w, mode)[:2] for (static, params, stats), w in calls]
      for mode in (Mode(), Mode(train=True))
    ]

  for a, b in run(picks):
    np.testing.assert_allclose(a[0], b[0], atol=2e-5)
    np.testing.assert_allclose(a[1], b[1], atol=2e-5)


def test_every_mixing_weight_gets_a_gradient():
  supernet = detector(SPACE)
  static, params, stats = functional.split(supernet)
  targets = assign.Targets(
    jnp.array([[[2.0, 2, 14, 16]], [[6.0, 5, 19, 20]]]),
    jnp.array([[0], [1]]),
    jnp.ones((2, 1), bool),
  )

  @jax.jit
  def gradient(weights):
    run = lambda w: static.merge(params, stats)(images(), w, Mode(train=True))
    return jax.grad(lambda w: loss.detection_loss(run(w), targets)[0])(weights)

  for leaf in jax.tree.leaves(gradient(uniform(SPACE))):
    assert np.all(np.isfinite(leaf))
    assert np.all(leaf != 0)


def test_batched_equals_one_by_one_and_any_size_goes():
  module = detector(SPACE.sample(random.Random(1)))
  run = jax.jit(lambda x: module(x, {}, Mode())[:2])
  both = run(images())
  for i in range(2):
    for got, want in zip(run(images()[i : i + 1]), both):
      np.testing.assert_allclose(got[0], want[i], atol=1e-5)
  for height, width in ((8, 8), (17, 9), (1, 1)):
    got = jax.eval_shape(
      lambda x: module(x, {}, Mode()), jax.ShapeDtypeStruct((1, height, width, 3), "float32")
    )
    anchors = sum(-(-height // s) * -(-width // s) for s in (4, 8))
    assert got.logits.shape == (1, anchors, 2)


def test_cost_is_the_sum_of_its_parts():
  module = detector(SPACE.sample(random.Random(2)))
  cost = count.count(module, lambda n, x: n(x, {}, Mode()), (32, 32, 3))
  parts = {path: macs for path, _, macs in cost.by(1)}
  assert set(parts) == {"backbone", "neck", "head"}
  # Head: two branches of a 3x3 convolution and a prediction on 8 x 8 + 4 x 4 cells.
  assert parts["head"] == 80 * (2 * 9 * 6 * 6 + 6 * 2 + 6 * 4 * 5)
  assert cost.params == sum(leaf.size for leaf in jax.tree.leaves(functional.split(module)[1]))


def squares(seed, count=8, size=32):
  """Noise with one bright (class 0) or dark (class 1) square each."""
  rng = np.random.default_rng(seed)
  image = rng.normal(0, 0.2, (count, size, size, 3)).astype(np.float32)
  truth, labels = np.zeros((count, 1, 4), np.float32), rng.integers(0, 2, (count, 1))
  for i in range(count):
    side = rng.integers(8, 15)
    x, y = rng.integers(0, size - side, 2)
    image[i, y : y + side, x : x + side] += 2 if labels[i, 0] == 0 else -2
    truth[i, 0] = x, y, x + side, y + side
  return image, assign.Targets(truth, labels, np.ones((count, 1), bool))


@pytest.mark.slow
def test_it_learns_to_detect():
  """120 steps on fresh scenes; then held-out squares are found, boxed and classified."""
  genotype = SPACE.decide(
    {"cell": ("nor_conv_3x3", "skip_connect", "nor_conv_3x3"), "fusion": ("skip_connect",) * 2}
  )
  module = detector(genotype, neck_channels=8)
  static, params, stats = functional.split(module)
  optimizer = optax.adamw(1e-2)

  def objective(params, stats, image, targets):
    merged = static.merge(params, stats)
    total, _ = loss.detection_loss(merged(image, {}, Mode(train=True)), targets)
    return total, functional.stats_of(merged)

  @jax.jit
  def step(params, stats, moments, image, targets):
    (total, stats), gradient = jax.value_and_grad(objective, has_aux=True)(
      params, stats, image, targets
    )
    updates, moments = optimizer.update(gradient, moments, params)
    return optax.apply_updates(params, updates), stats, moments, total

  moments = optimizer.init(params)
  losses = []
  for seed in range(120):
    params, stats, moments, total = step(params, stats, moments, *squares(seed))
    losses.append(float(total))
  assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])

  image, targets = squares(10_000, count=16)

  @jax.jit
  def detect(image):
    found = VALIDATION._replace(max_detections=1)
    return nms.nms(*loss.decode(static.merge(params, stats)(image, {}, Mode())), found)

  best = detect(image)
  overlap = boxes.paired_iou(best.boxes[:, 0], targets.boxes[:, 0])
  right = (best.labels == targets.labels)[:, 0]
  assert np.mean(np.asarray(right & (overlap > 0.6))) > 0.8


def test_bad_input():
  with pytest.raises(
    SpaceError, match=r"strides \(4, 16\): the backbone has feature maps at strides \[4, 8\]"
  ):
    detector(SPACE, strides=(4, 16))
  with pytest.raises(SpaceError, match="the backbone has"):
    detector(SPACE, strides=())
  supernet = detector(SPACE)
  only_backbone = {"cell": uniform(SPACE)["cell"]}
  with pytest.raises(ValueError, match="'fusion' holds choices"):
    supernet(images(), only_backbone, Mode())
