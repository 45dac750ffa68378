# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One-shot estimates: recalibrated statistics, inherited weights, bad input."""

import random
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dnas import config as configs
from dnas.errors import DnasError
from dnas.estimate import estimates, one_shot
from dnas.lock import run_lock
from dnas.method import space_of
from dnas.nn import functional, network
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.supernet import Supernet
from dnas.space import cells
from dnas.space.space import SpaceError, Stage
from dnas.strategy import optimizer
from dnas.strategy.problem import Problem

_WHOLE = cells.dense(("none", "skip_connect", "nor_conv_1x1"), nodes=2)
SPACE = _WHOLE.replace(
  cells={"cell": _WHOLE.cells["cell"]}, stages=(Stage("cell", 1, 3),), stem_channels=3
)
GENOTYPE = SPACE.decide({"cell": ["nor_conv_1x1", "skip_connect", "nor_conv_1x1"]})
KEY = jax.random.key(0)


def problem() -> Problem:
  supernet = Supernet(single_path=True)
  build = lambda rngs: functional.split(network.Network(SPACE, 2, supernet=supernet, rngs=rngs))
  static = build(Rngs(None))[0]

  def loss(params, stats, weights, batch, key, train, progress=0.0):
    model = static.merge(params, stats)
    logits, _ = model(network.image_to_float(batch["image"]), weights, Mode(train, key))
    accuracy = (logits.argmax(-1) == batch["label"]).astype(jnp.float32).mean()
    value = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
    return value, (functional.stats_of(model), {"accuracy": accuracy})

  return Problem(SPACE, lambda key: build(Rngs(key))[1:], loss)


def batches(count: int):
  """Dark and bright images: the first are class 0."""
  rng = np.random.default_rng(0)
  found = []
  for _ in range(count):
    label = rng.integers(0, 2, 16).astype(np.int32)
    image = rng.integers(0, 128, (16, 4, 4, 3)) + 120 * label[:, None, None, None]
    found.append({"image": image.astype(np.uint8), "label": label})
  return found


@pytest.fixture(scope="module")
def trained():
  what = problem()
  init, step = one_shot.make(what, optimizer.sgd(steps=40, lr=0.1), seed=0)
  state = init()
  for i, batch in enumerate(batches(40), start=1):
    state, _ = step(i, state, batch)
  return what, state.params, state.stats


def test_a_candidate_is_its_own_network_with_the_batch_s_statistics(trained):
  """One batch for statistics and validation: what training mode gives, whatever was tracked."""
  what, params, stats = trained
  batch = batches(1)[0]
  wrong = jax.tree.map(lambda leaf: leaf + 3, stats)
  found = one_shot.OneShot(what, params, wrong, [batch], [batch])(GENOTYPE, KEY)
  supernet = functional.split(network.Network(SPACE, 2, rngs=Rngs(None)))[0].merge(params, stats)
  alone = network.Network(GENOTYPE, 2, search=True, rngs=Rngs(0))
  network.inherit(supernet, alone)
  logits, _ = alone(network.image_to_float(jnp.asarray(batch["image"])), {}, Mode(train=True))
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
  np.testing.assert_allclose(found["loss"], float(loss), rtol=0.02)  # the variance is unbiased
  assert found["score"] == found["accuracy"]


def test_training_helps_and_a_network_without_input_is_at_chance(trained):
  what, params, stats = trained
  evaluator = one_shot.OneShot(what, params, stats, batches(4)[:2], batches(4)[2:])
  assert evaluator(GENOTYPE, KEY)["score"] > 0.9
  dead = SPACE.decide({"cell": ["none", "none", "none"]})
  assert evaluator(dead, KEY)["score"] < 0.8
  assert evaluator(GENOTYPE, KEY) == evaluator(GENOTYPE, KEY)


@pytest.mark.parametrize(("images", "scored"), [(8, 8), (40, 24), (20, 20)])
def test_no_image_of_nothing_is_scored(root, tmp_path, monkeypatch, images, scored):
  """24 are held out, less than a batch, which a split is filled up to with blank ones."""
  fields = {"data.threads": 0, "space": dict(name="dense", ops=("none", "skip_connect"), nodes=1)}
  config = configs.load(root / "configs" / "digits.py", fields)
  nothing = types.SimpleNamespace(params=None, stats=None)
  monkeypatch.setattr(estimates.runs, "loop", lambda *arguments, **settings: nothing)
  settings = dict(steps=1, batch_size=64, share=0.98, calibration=1, images=images)
  evaluator = estimates.one_shot(config, space_of(config), tmp_path, **settings)
  (batch,) = evaluator.validation
  assert len(batch["image"]) == scored
  assert batch["image"].reshape(scored, -1).any(1).all()


def test_a_supernet_that_another_process_trains_is_waited_for(root, tmp_path, monkeypatch):
  fields = {"data.threads": 0, "space": dict(name="dense", ops=("none", "skip_connect"), nodes=1)}
  config = configs.load(root / "configs" / "digits.py", fields)
  said, over = [], threading.Event()
  monkeypatch.setattr(estimates, "WAIT_S", 0.01)
  monkeypatch.setattr(estimates, "say", lambda text: (said.append(text), over.set()))

  def loop(*arguments, **settings):
    assert over.is_set()
    assert not other.is_alive()
    return types.SimpleNamespace(params=None, stats=None)

  def train(begun):
    with run_lock(tmp_path / "supernet"):
      begun.set()
      over.wait()

  monkeypatch.setattr(estimates.runs, "loop", loop)
  begun = threading.Event()
  other = threading.Thread(target=train, args=(begun,))
  other.start()
  begun.wait()
  estimates.one_shot(config, space_of(config), tmp_path, steps=1, calibration=1, images=8)
  assert len(said) == 1
  assert "waiting for the supernet" in said[0]


def test_bad_input(trained):
  what, params, stats = trained
  with pytest.raises(DnasError, match="validation holds no batches"):
    one_shot.OneShot(what, params, stats, batches(1), [])
  with pytest.raises(SpaceError, match=r"genotype\.cells"):
    one_shot.OneShot(what, params, stats, batches(1), batches(1))(
      cells.nasbench201().sample(random.Random(0)), KEY
    )
