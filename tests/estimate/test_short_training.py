# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Short training: it learns, it is repeatable, each reduction does what it says."""

import random

import jax
import numpy as np
import pytest

from dnas import config as configs
from dnas.errors import DnasError
from dnas.estimate.short_training import ShortTraining
from dnas.method import space_of
from dnas.space import cells

SPACE = cells.dense(("skip_connect", "nor_conv_1x1"), nodes=1, channels=4, layers=1)
GENOTYPE = SPACE.decide({"cell": ["nor_conv_1x1"]})
GIVEN = dict(share=0.5, images=1000)


@pytest.fixture(scope="module")
def config(root):
  return configs.load(root / "configs" / "digits.py", {"data.threads": 0, "train.ema": 0.0})


def test_what_is_trained_on_is_not_measured(config):
  before = configs.to_json(config)
  evaluator = ShortTraining(config, steps=40, share=0.6, size=(6, 6), channels=4, images=200)
  assert (evaluator.config.train.steps, evaluator.config.train.network.channels) == (40, 4)
  assert configs.to_json(config) == before
  assert evaluator.held_out[0]["image"].shape[1:3] == (6, 6)
  trained_on = set(evaluator.training.indices.tolist())
  held_out = {int(i) for batch in evaluator.held_out for i in batch["id"][batch["valid"]]}
  assert not held_out & {int(evaluator.source.ids[i]) for i in trained_on}
  np.testing.assert_allclose(len(trained_on) / len(evaluator.source), 0.6, atol=0.01)


@pytest.mark.slow  # compiles a training; tests/test_explore.py has one, too
def test_it_learns_and_repeats(config):
  evaluator = ShortTraining(config, steps=40, share=0.6, size=(6, 6), channels=4, images=200)
  first = evaluator(GENOTYPE, jax.random.key(0))
  again = evaluator(GENOTYPE, jax.random.key(0))
  assert first["score"] == first["accuracy"] == again["score"]
  assert first["score"] > 0.2  # chance is 0.1
  assert first["seconds"] > 0


@pytest.mark.slow  # compiles the training of a detector
def test_a_detector_is_estimated_too(root):
  fields = {"data.threads": 0, "train.batch_size": 2, "search.network.channels": (4, 4, 4)}
  config = configs.load(root / "configs" / "quickstart.py", fields)
  genotype = space_of(config).sample(random.Random(0))
  shorter = ShortTraining(config, steps=30, **GIVEN).config
  assert shorter.train.optimizer.warmup_steps == 2  # 100 of 1500
  numbers = ShortTraining(config, steps=1, share=0.5, images=4)(genotype, jax.random.key(0))
  assert numbers["score"] == numbers["AP"]
  assert all(isinstance(value, float) for value in numbers.values())


def test_bad_input(config):
  thirds = configs.changed(config, {"train.accumulate": 3})
  with pytest.raises(
    DnasError, match=r"config.train.accumulate must be .* divide steps = 4, got 3"
  ):
    ShortTraining(thirds, steps=4, **GIVEN)
  with pytest.raises(DnasError, match=r"short_training: steps must be a whole number.*, got 0"):
    ShortTraining(config, steps=0, **GIVEN)
  with pytest.raises(DnasError, match=r"short_training: images must be a whole number.*, got 2.5"):
    ShortTraining(config, steps=1, share=0.5, images=2.5)
  with pytest.raises(DnasError, match=r"fraction = 1\.5"):
    ShortTraining(config, steps=1, share=1.5, images=1000)
  none = configs.changed(config, {"train.network": None})
  with pytest.raises(DnasError, match=r"channels need config\.train\.network"):
    ShortTraining(none, steps=1, channels=4, **GIVEN)
  with pytest.raises(DnasError, match="still holds choices in the cells"):
    ShortTraining(config, steps=1, **GIVEN)(SPACE, jax.random.key(0))
