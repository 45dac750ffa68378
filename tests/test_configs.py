# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Every config loads, names what exists, and runs two steps at small size."""

import math
import pathlib
import random

import pytest

from dnas import config as configs
from dnas import fields, method, naming, schema, search, train
from dnas import task as tasks
from dnas.cost.model import KINDS
from dnas.data import load
from dnas.errors import ConfigError
from dnas.strategy import discretize, hypergradient, optimizer, relaxation

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.py") if path.stem != "__init__")
FULL_SCALE = (
  *("coco_nasbench201.py", "coco_nasbench201.py:12", "coco_nasbench201.py:300"),
  *("coco_darts.py", "voc_darts.py"),
)
CLASSIFIERS = ("cifar10_darts.py", "cifar10_darts.py:train", "imagenet_mobile.py")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_a_config_exists(name):
  config = configs.load(ROOT / "configs" / f"{name}.py")
  settings = config.search
  naming.bind(settings.relaxation, relaxation)
  naming.bind(settings.hypergradient, hypergradient)
  naming.bind(settings.weight_optimizer, optimizer, steps=settings.steps)
  naming.bind(settings.alpha_optimizer, optimizer, steps=settings.steps)
  naming.bind(settings.discretize, discretize)
  naming.bind(config.train.optimizer, optimizer, steps=config.train.steps)
  space = method.space_of(config)
  classification = config.task.name == "classification"
  source = load("digits" if classification else "digit_scenes")
  task = method.task_of(config, source)
  genotype = space if space.is_genotype else space.sample(random.Random(0))
  cost = tasks.cost(task, train.derived(config, task, genotype))
  assert cost.params > 1000
  assert cost.macs > 1000
  assert settings.warmup_steps < settings.steps


EVERY = sorted(
  str(path.relative_to(ROOT / "configs").with_suffix(""))
  for path in (ROOT / "configs").rglob("*.py")
  if path.stem != "__init__" and path.parent.name != "tuning"
)


@pytest.mark.parametrize("name", EVERY)
def test_every_field_that_can_be_read_can_be_set(name):
  file = ROOT / "configs" / f"{name}.py"
  config = configs.load(file)
  schema.check(config)
  for field, default in schema.unset(config):
    assert configs.diff(configs.load(file, {field: default}), config) == []  # it stays away
    kinds = {bool: True, int: 7, float: 0.5, str: "other", dict: {"other": 1}}
    other = kinds.get(type(default), ({"name": "other"},))
    changed = configs.load(file, {field: other})
    assert fields.plain(schema.get(changed, field)) == other
    assert configs.diff(config, changed)


def test_costs_that_can_be_limited_are_fields():
  assert set(KINDS) <= set(schema.fields_of("cost", {}).optional)


@pytest.mark.parametrize(
  "name", ["cifar10_darts", "coco_nasbench201", "nasbench201_cifar10", "robustness_cifar10"]
)
def test_a_form_that_a_config_does_not_have(name):
  with pytest.raises(ConfigError, match=f"{name}: 'odd' "):
    configs.load(f"{ROOT}/configs/{name}.py:odd")


def test_the_reference_costs_what_the_search_found(tmp_path):
  """`train.macs` brings the residual cell within 5 % of any cell of the space."""
  config = configs.load(ROOT / "configs" / "quickstart.py")
  reference = configs.load(ROOT / "configs" / "quickstart_reference.py")
  task = method.task_of(config, load("digit_scenes"))
  space = method.space_of(config)
  found = space.sample(random.Random(3))
  macs = tasks.cost(task, found).macs
  reference = configs.changed(reference, {"train.macs": macs})
  made = train.derived(reference, task, method.space_of(reference))
  assert abs(tasks.cost(task, made).macs / macs - 1) < 0.05
  with pytest.raises(ValueError, match="no width of these cells costs 1,000"):
    train.derived(configs.changed(reference, {"train.macs": 1000}), task, made)


def short_steps(config) -> dict:
  """What makes the schedule of an optimiser fit two steps."""
  halfway = {"milestones": (0.5,)} if config.train.optimizer.get("decay") == "steps" else {}
  return {"warmup_steps": 1, **halfway}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SCALE)
def test_two_steps_of_the_full_scale_configs(name, tmp_path):
  config = configs.load(f"{ROOT}/configs/{name}")
  # Only the last stage has a cell besides the down-sampling one: DARTS cells take long to compile.
  tiny = {"channels": (2, 2, 2), "stem_channels": 4, "repeats": (0, 0, 1)}
  small = {
    "data.spec": "digit_scenes",
    "data.size": (64, 64),
    "data.threads": 1,
    "task.strides": (8, 16),
    "task.neck_channels": 8,
    "search.network": {**config.search.network, **tiny},
    "train.network": {**config.train.network, **tiny},
    "search.steps": 2,
    "search.warmup_steps": 0,
    "search.batch_size": 4,
    "train.steps": 2,
    "train.batch_size": 4,
    "train.optimizer": {**config.train.optimizer, **short_steps(config)},
    "log.every_steps": 1,
  }
  config = configs.changed(config, small)
  genotype = search.search(config, tmp_path)
  train.train(config, genotype, tmp_path / "train")
  for folder in (tmp_path, tmp_path / "train"):
    records = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(records) == 2
    assert "NaN" not in "".join(records)
  assert math.isfinite(tasks.cost(method.task_of(config, load("digit_scenes")), genotype).macs)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_steps_of_the_full_scale_classifiers(name, tmp_path):
  """The auxiliary head, drop-path, cutout and the schedule are in the two steps."""
  config = configs.load(f"{ROOT}/configs/{name}")
  imagenet = config.train.network.name == "imagenet"
  size = (224, 224) if imagenet else (32, 32)  # The auxiliary heads take no other.
  tiny = dict(channels=2, layers=3)
  small = {
    "data.spec": "digits",
    "data.size": size,
    "data.threads": 1,
    "search.network": {**config.search.network, **tiny},
    "train.network": {**config.train.network, **tiny},
    "search.steps": 2,
    "search.batch_size": 4,
    "search.watch.every_steps": 0,
    "train.steps": 2,
    "train.batch_size": 4,
    "train.optimizer": {**config.train.optimizer, **short_steps(config)},
    "log.every_steps": 1,
  }
  config = configs.changed(config, small)
  searches = name == "cifar10_darts.py"
  published = {"space": dict(name="genotype", source="DARTS_V2")}
  if searches:
    genotype = search.search(config, tmp_path)
  else:
    genotype = method.space_of(configs.changed(config, published))
  train.train(config, genotype, tmp_path / "train")
  for folder in (tmp_path, tmp_path / "train") if searches else (tmp_path / "train",):
    records = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(records) == 2
    assert "NaN" not in "".join(records)
  assert config.task.auxiliary == 0.4


def test_the_mobile_setting_is_kept():
  """The published cells' exact cost at 48 channels and 14 cells, with ten classes."""
  config = configs.load(ROOT / "configs" / "imagenet_mobile.py")
  task = method.task_of(configs.changed(config, {"task.auxiliary": 0.0}), load("digits"))
  macs = tasks.cost(task, train.derived(config, task, method.space_of(config))).macs
  assert macs == 529_143_552 + 768 * 10
