# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Zero-cost proxies: against NumPy on a network small enough to write out, and as a path."""

import dataclasses
import functools
import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import ConfigError, DnasError
from dnas.estimate import subject, training_free, zero_cost
from dnas.nn import functional, network
from dnas.nn.init import Rngs
from dnas.space import cells
from dnas.space.space import Cell, Edge, SearchSpace, SpaceError, Stage
from dnas.strategy.alpha import one_hot

PROXIES = tuple(naming.functions(zero_cost))
# One that looks at activations, one in float64 without norms, one at gradients: the default tests.
FEW = ("naswot", "synflow", "snip")
OPS = ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3")
# One cell of three edges behind the stem: all that matters, and quick to compile.
SPACE = cells.dense(OPS, nodes=2).replace(
  cells={"cell": cells.dense(OPS, nodes=2).cells["cell"]},
  stages=(Stage("cell", 1, 2),),
  stem_channels=2,
)
# Stem, identity, norm, ReLU, linear: for images of one pixel a network that NumPy does in a line.
CHAIN = SearchSpace(
  {"cell": Cell(1, (Edge(0, 1, ("skip_connect",)),), (1,))},
  (Stage("cell", 1, 4),),
  stem_channels=4,
  final_norm=True,
)
KEY = jax.random.key(3)


def images(count: int, size: int, classes: int = 3, seed: int = 0) -> dict:
  rng = np.random.default_rng(seed)
  return {
    "image": rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
    "label": (np.arange(count) % classes).astype(np.int32),
  }


def run(name: str, which: subject.Subject, batch: dict) -> float:
  batch = jax.tree.map(jnp.asarray, batch)
  return float(jax.jit(getattr(zero_cost, name))(which, batch, KEY))


# -------------------------------------------------------------------------------------------------
# A network in NumPy


class Chain:
  """The chain on one-pixel images in float64, its weights taken from a subject."""

  def __init__(self, which: subject.Subject, batch: dict):
    stem, linear = (np.asarray(k, np.float64) for k in subject.kernels(which.params))
    self.stem = stem[1, 1]  # of a 3x3 kernel one pixel sees the middle alone
    self.linear, self.bias = linear, np.asarray(which.params["linear"]["bias"], np.float64)
    self.x = (batch["image"].reshape(len(batch["image"]), 3).astype(np.float64) - 127.5) / 64
    self.label = batch["label"]

  def before_relu(self, stem, x):
    y = x @ stem
    for _ in range(2):  # the stem's norm and the final one
      y = (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5)
    return y

  def logits(self, stem, linear, x):
    return np.maximum(self.before_relu(stem, x), 0) @ linear + self.bias

  def loss(self, stem, linear):
    z = self.logits(stem, linear, self.x)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -log_p[np.arange(len(z)), self.label].mean()

  def gradients(self, step=1e-6):
    """dL/dstem and dL/dlinear by central differences."""
    found = []
    for n, weight in enumerate((self.stem, self.linear)):
      slopes = np.zeros_like(weight)
      for index in np.ndindex(weight.shape):
        values = []
        for sign in (1, -1):
          moved = [self.stem.copy(), self.linear.copy()]
          moved[n][index] += sign * step
          values.append(self.loss(*moved))
        slopes[index] = (values[0] - values[1]) / (2 * step)
      found.append(slopes)
    return found


@pytest.fixture(scope="module")
def chain():
  batch = images(5, 1)
  which = subject.subject(CHAIN, 3, 0)
  return which, batch, Chain(which, batch)


def test_naswot_is_the_determinant_of_agreement(chain):
  which, batch, ours = chain
  code = ours.before_relu(ours.stem, ours.x) > 0
  agree = [[float((a == b).sum()) for b in code] for a in code]
  expected = np.linalg.slogdet(np.array(agree) + 0.0)[1]
  if np.isfinite(expected) and expected > -10:
    np.testing.assert_allclose(run("naswot", which, batch), expected, rtol=1e-4)
  else:  # two images with one code
    assert run("naswot", which, batch) < -5


def test_naswot_of_three_codes(monkeypatch):
  """By hand: codes that agree pairwise in 2 of 4 ReLUs; what has weight 0 does not count."""
  code = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]], bool)
  agree = np.array([[(a == b).sum() for b in code] for a in code], float)
  np.testing.assert_allclose(agree, [[4, 2, 2], [2, 4, 2], [2, 2, 4]])
  output = jnp.where(code, 0.7, 0.0)[:, None]

  which = subject.subject(CHAIN, 3, 0)
  monkeypatch.setattr(subject, "activations", lambda s, image: [(output, 1.0), (1 - output, 0.0)])
  score = float(zero_cost.naswot(which, jax.tree.map(jnp.asarray, images(3, 1)), KEY))
  np.testing.assert_allclose(score, np.log(32.0), rtol=1e-5)  # det = (4 - 2)^2 (4 + 2 * 2)


def test_synflow_is_the_sum_over_layers_of_products_of_absolute_weights(chain):
  which, batch, ours = chain
  hidden = np.abs(ours.stem).sum(0)  # of an image of ones
  flow = float(hidden @ np.abs(ours.linear).sum(1))
  np.testing.assert_allclose(run("synflow", which, batch), 2 * flow, rtol=1e-5)
  slope_stem = np.abs(ours.linear).sum(1)
  expected = (np.abs(ours.stem) * np.log1p(slope_stem)).sum()
  expected += (np.abs(ours.linear) * np.log1p(hidden)[:, None]).sum()
  np.testing.assert_allclose(run("logsynflow", which, batch), expected, rtol=1e-5)


def test_snip_and_grad_norm_are_sums_over_the_gradient(chain):
  which, batch, ours = chain
  stem, linear = ours.gradients()
  snip = np.abs(ours.stem * stem).sum() + np.abs(ours.linear * linear).sum()
  np.testing.assert_allclose(run("snip", which, batch), snip, rtol=1e-3)
  norms = np.linalg.norm(stem) + np.linalg.norm(linear)
  np.testing.assert_allclose(run("grad_norm", which, batch), norms, rtol=1e-3)


def test_grasp_is_a_mixed_second_difference(chain):
  """-w H g = -d2/ds dt L(w + s w + t g)."""
  which, batch, ours = chain
  stem, linear = ours.gradients()
  h = 1e-5  # nearer than the next kink of a ReLU

  def loss(s, t):
    return ours.loss(ours.stem * (1 + s) + t * stem, ours.linear * (1 + s) + t * linear)

  signs = itertools.product((1, -1), repeat=2)
  mixed = sum(a * b * loss(a * h, b * h) for a, b in signs) / (4 * h * h)
  np.testing.assert_allclose(run("grasp", which, batch), -mixed, rtol=5e-3)


def test_jacob_cov_is_the_spectrum_of_correlated_slopes(chain):
  which, batch, ours = chain
  rows, step = np.zeros_like(ours.x), 1e-6
  for index in np.ndindex(ours.x.shape):
    x = [ours.x.copy(), ours.x.copy()]
    x[0][index] += step
    x[1][index] -= step
    high, low = (ours.logits(ours.stem, ours.linear, one).sum() for one in x)
    rows[index] = (high - low) / (2 * step)
  values = np.linalg.eigvalsh(np.corrcoef(rows))
  # Rows of three numbers: at most two eigenvalues are not 0, and 1 / k each of the others weighs.
  singular = int((values < 1e-6).sum())
  assert singular == len(values) - 2
  k = 0.1  # with the published 1e-5 the float32 noise of the zeros would decide
  expected = -(np.log(np.maximum(values, 0) + k) + 1 / (np.maximum(values, 0) + k)).sum()
  proxy = jax.jit(functools.partial(zero_cost.jacob_cov, k=k))
  score = proxy(which, jax.tree.map(jnp.asarray, batch), KEY)
  np.testing.assert_allclose(float(score), expected, rtol=1e-3)


@pytest.mark.slow
def test_zen_is_the_change_under_noise_and_the_norms_scale(chain):
  which, batch, _ = chain
  params_key, x_key, e_key = jax.random.split(KEY, 3)
  drawn = jax.jit(zero_cost._normal_kernels)(params_key, which.params)
  stem = np.asarray(subject.kernels(drawn)[0], np.float64)[1, 1]
  x, e = (np.asarray(jax.random.normal(k, (5, 1, 1, 3))).reshape(5, 3) for k in (x_key, e_key))
  normed = lambda y: (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5)
  change = normed(x @ stem) - normed((x + 0.01 * e) @ stem)
  expected = np.log(np.sqrt((change**2).sum(1)).mean())
  expected += 0.5 * np.log((x @ stem).var(0, ddof=1).mean())
  np.testing.assert_allclose(run("zen", which, batch), expected, rtol=1e-3)


# -------------------------------------------------------------------------------------------------
# A path through a supernet


@pytest.fixture(
  scope="module", params=[FEW, pytest.param(PROXIES, marks=pytest.mark.slow)], ids=["few", "all"]
)
def evaluator(request):
  return training_free.TrainingFree(SPACE, images(4, 6), 3, request.param)


def genotype_of(*ops: str) -> SearchSpace:
  return SPACE.decide({"cell": list(ops)})


@pytest.mark.parametrize(
  "ops",
  [
    ("none", "nor_conv_3x3", "nor_conv_3x3"),  # node 1, and so a convolution, gets nothing
    pytest.param(("nor_conv_3x3", "avg_pool_3x3", "none"), marks=pytest.mark.slow),  # a dead end
    pytest.param(("nor_conv_3x3", "skip_connect", "avg_pool_3x3"), marks=pytest.mark.slow),
  ],
)
def test_a_genotype_scores_in_the_supernet_as_in_its_own_network(evaluator, ops):
  genotype, batch = genotype_of(*ops), evaluator.batch
  supernet = evaluator(genotype, KEY)
  alone = network.Network(genotype, 3, search=True, rngs=Rngs(5))
  network.inherit(evaluator._with(KEY).network(), alone)
  static, params, stats = functional.split(alone)
  which = subject.Subject(static, params, stats, {})
  scores = lambda names: jax.jit(lambda s, b: {n: getattr(zero_cost, n)(s, b, KEY) for n in names})
  names, double = list(evaluator.proxies), zero_cost.DOUBLE
  expected = scores([name for name in names if name not in double])(which, batch)
  with jax.enable_x64(True):
    expected |= scores([name for name in names if name in double])(which.double(), batch)
  for name in names:
    np.testing.assert_allclose(supernet[name], float(expected[name]), rtol=1e-4, err_msg=name)
    assert supernet[f"{name}_s"] > 0
  assert supernet["score"] == supernet[names[0]]


def test_what_lies_off_the_path_does_not_count(evaluator):
  """Other weights in the operations that a genotype does not have: the same scores."""
  genotype = genotype_of("nor_conv_3x3", "none", "nor_conv_3x3")
  before = evaluator(genotype, KEY)
  kept = evaluator._with(KEY)
  names = kept.network().backbone.names
  weights = one_hot(SPACE, genotype)

  def change(place, leaf):
    off = subject.weight_at(subject._keys(place), names, weights) == 0
    return 7.0 * leaf[::-1] + 1.0 if off else leaf

  changed = jax.tree_util.tree_map_with_path(change, kept.params)
  moved = sum(
    bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, (changed, kept.params)), strict=True)
  )
  assert moved == 1  # the convolution of the edge without one
  data, _ = evaluator._supernet
  evaluator._supernet = data, dataclasses.replace(kept, params=changed)
  try:
    after = evaluator(genotype, KEY)
  finally:
    evaluator._supernet = data, kept
  for name in evaluator.proxies:
    np.testing.assert_allclose(after[name], before[name], rtol=1e-5, err_msg=name)


def test_a_network_that_ignores_its_input_is_last(evaluator):
  dead = evaluator(genotype_of("none", "none", "none"), KEY)
  alive = evaluator(genotype_of("nor_conv_3x3", "skip_connect", "nor_conv_3x3"), KEY)
  for name in evaluator.proxies.keys() - {"grasp"}:
    assert dead[name] < alive[name], name


def test_several_at_once_equal_one_by_one():
  evaluator = training_free.TrainingFree(SPACE, images(4, 6), 3, ["naswot"])
  several = [SPACE.sample(random.Random(seed)) for seed in range(3)]
  together = evaluator.many(several, KEY)
  for genotype, scores in zip(several, together, strict=True):
    alone = evaluator(genotype, KEY)
    for name in ("score", "naswot"):
      np.testing.assert_allclose(scores[name], alone[name], rtol=1e-3, err_msg=name)


# -------------------------------------------------------------------------------------------------
# Bad input


def without(batch: dict, name: str) -> dict:
  return {key: value for key, value in batch.items() if key != name}


GOOD = images(4, 8)
BAD_BATCHES = {
  "no label": (without(GOOD, "label"), "batch: has no 'label', but"),
  "empty": (images(0, 8), "batch.image: needs 2 images or more, got 0"),
  "one": (images(1, 8), "batch.image: needs 2 images or more, got 1"),
  "floats": (GOOD | {"image": GOOD["image"] / 255}, "batch.image: must be uint8"),
  "grey": (GOOD | {"image": GOOD["image"][..., :1]}, r"got uint8 \[4, 8, 8, 1\]"),
  "labels": (GOOD | {"label": GOOD["label"][:3]}, r"batch.label: must be integers \[4\]"),
  "class": (GOOD | {"label": GOOD["label"] + 1}, "batch.label: must be 0 to classes - 1 = 2"),
}


@pytest.mark.parametrize(("batch", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_batches(batch, message):
  with pytest.raises(DnasError, match=message):
    training_free.TrainingFree(SPACE, batch, 3, ["naswot"])


def test_bad_arguments():
  with pytest.raises(DnasError, match="space: holds no choice"):
    training_free.TrainingFree(CHAIN, GOOD, 3, ["naswot"])
  with pytest.raises(DnasError, match=r"proxies: none is named; valid: naswot, synflow"):
    training_free.TrainingFree(SPACE, GOOD, 3, [])
  with pytest.raises(ConfigError, match="did you mean 'synflow'"):
    training_free.TrainingFree(SPACE, GOOD, 3, ["synflw"])
  with pytest.raises(ConfigError, match=r"unknown argument of dnas.estimate.zero_cost.zen"):
    training_free.TrainingFree(SPACE, GOOD, 3, [dict(name="zen", mix=1)])
  with pytest.raises(DnasError, match="proxies: zen is named twice"):
    training_free.TrainingFree(SPACE, GOOD, 3, ["zen", dict(name="zen", mixup=0.1)])


def test_a_genotype_of_another_space(evaluator):
  with pytest.raises(SpaceError, match=r"genotype\.cells"):
    evaluator(cells.nasbench201().sample(random.Random(0)), KEY)
  with pytest.raises(SpaceError):
    evaluator(SPACE, KEY)


def test_nan_weights_are_an_error(evaluator):
  kept, (data, _) = evaluator._with(KEY), evaluator._supernet
  nan = jax.tree.map(lambda leaf: leaf * jnp.nan, kept.params)
  evaluator._supernet = data, dataclasses.replace(kept, params=nan)
  try:
    with pytest.raises(DnasError, match="is NaN for"):
      evaluator(genotype_of("nor_conv_3x3", "none", "skip_connect"), KEY)
  finally:
    evaluator._supernet = data, kept
