# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A whole experiment, small: what it leaves behind, that it is repeatable, that it resumes."""

import json
import pathlib
import random

import pytest

from dnas import config as configs
from dnas import evaluate, experiment, log, method, report, runs, search, train
from dnas.data import digits
from dnas.errors import ConfigError, DnasError
from dnas.lock import LockError, run_lock
from dnas.space import genotypes
from dnas.space.space import SearchSpace

SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1"), nodes=2),
  "search.network": dict(name="detector", channels=(4,), stem_channels=4),
  "search.steps": 6,
  "search.warmup_steps": 2,
  "search.batch_size": 8,
  "train.network": None,
  "train.steps": 4,
  "train.batch_size": 8,
  "checkpoint.every_steps": 3,
  "log.words_every_steps": 2,
}


def small(root: pathlib.Path, **overrides):
  fields = {**SMALL, **{name.replace("__", "."): value for name, value in overrides.items()}}
  return configs.load(root / "configs" / "digits.py", {k: str(v) for k, v in fields.items()})


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
  """A finished run's folder and its result."""
  workdir = tmp_path_factory.mktemp("run")
  return workdir, experiment.run(small(root), workdir)


def lines(path: pathlib.Path) -> list[dict]:
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_run_leaves_behind(done):
  workdir, result = done
  genotype = SearchSpace.from_json((workdir / "genotype.json").read_text())
  assert genotype.is_genotype
  searched, trained = lines(workdir / "metrics.jsonl"), lines(workdir / "train" / "metrics.jsonl")
  assert [record["step"] for record in searched] == [1, 2, 3, 4, 5, 6]
  assert all(record["weight_loss"] > 0 for record in searched)
  assert ["alpha_loss" in record for record in searched] == [False] * 2 + [True] * 4
  assert [record["step"] for record in trained] == [1, 2, 3, 4]
  assert 0 <= result["accuracy"] <= 1
  assert result["images"] == 300
  assert json.loads((workdir / "result.json").read_text()) == result
  predictions = json.loads((workdir / "train" / "predictions.json").read_text())
  assert len(predictions) == len({row["id"] for row in predictions}) == 300
  assert "<svg" in (workdir / "cell_cell.svg").read_text()


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("train.optimizer", dict(name="adamw", lr=0.1, warmup_steps=9), "warmup_steps must be below"),
    ("train.optimizer", dict(name="adamx"), "unknown name in dnas.strategy.optimizer: 'adamx'"),
    ("train.network", dict(name="cifat"), "unknown name in dnas.space.macro: 'cifat'"),
    ("train.accumulate", 3, "config.train.accumulate must be 1 or more and divide"),
    ("train.ema", 2.0, r"config.train.ema must be in \[0, 1\)"),
    ("train.macs", -5, "config.train.macs must be above 0, got -5"),
    ("train.start", dict(name="mine", weights="0123"), "config.train.start = "),
    ("evaluate.batch_size", 0, "config.evaluate.batch_size must be a whole number, 1 or more"),
  ],
)
def test_a_training_that_cannot_be_is_found_before_the_search(
  root, tmp_path, monkeypatch, field, value, message
):
  monkeypatch.setattr(experiment, "search", None)
  with pytest.raises(DnasError, match=message):
    experiment.run(small(root, **{field: value}), tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_same_seed_same_bits_and_a_resumed_run_too(done, root, tmp_path, monkeypatch):
  """An undisturbed run, and one that was stopped after step 3, equal the first one bit for bit."""
  workdir, result = done
  again = tmp_path / "again"
  stop_after = runs.Checkpointer.save

  class Stop(Exception):
    pass

  def save(self, step, *arguments):
    stop_after(self, step, *arguments)
    self.wait()
    if step == 3 and self.directory.parent == again:
      raise Stop

  monkeypatch.setattr(runs.Checkpointer, "save", save)
  with pytest.raises(Stop):
    experiment.run(small(root), again)
  monkeypatch.undo()
  assert not (again / "genotype.json").exists()
  assert experiment.run(small(root), again) == result
  for name in ("genotype.json", "metrics.jsonl", "train/metrics.jsonl", "train/weights.npz"):
    assert (again / name).read_bytes() == (workdir / name).read_bytes(), name


def test_run_again_computes_nothing(done, root, monkeypatch):
  workdir, result = done

  def refuse(*arguments):
    raise AssertionError("a finished run must not step again")

  monkeypatch.setattr(log.Log, "write", refuse)
  assert experiment.run(small(root), workdir) == result


def test_the_training_split_is_read_once(done, root, monkeypatch):
  read, load = [], digits.load
  monkeypatch.setattr(digits, "load", lambda split: read.append(split) or load(split))
  experiment.run(small(root), done[0])
  assert read.count("train") == 1


def test_a_changed_config_is_refused_with_its_fields(done, root):
  workdir, _ = done
  changed = small(root, search__steps=7, train__steps=9)
  with pytest.raises(ConfigError, match=r"search.steps: 6 -> 7"):
    search.search(changed, workdir)
  with pytest.raises(ConfigError, match=r"train.steps: 4 -> 9"):
    train.train(
      changed, SearchSpace.from_json((workdir / "genotype.json").read_text()), workdir / "train"
    )
  with pytest.raises(ConfigError, match="already holds a run"):
    search.search(small(root), workdir, resume="never")
  with pytest.raises(ConfigError, match=r"unknown resume: 'perhaps'\. Valid: auto, force, never"):
    search.search(small(root), workdir, resume="perhaps")


def test_force_goes_on_with_the_new_config(done, root):
  workdir, _ = done
  changed = small(root, data__threads=1)
  with pytest.raises(ConfigError, match=r"data.threads: 2 -> 1"):
    search.search(changed, workdir)
  genotype = search.search(changed, workdir, resume="force")
  assert genotype == genotypes.load(workdir / "genotype.json")
  search.search(small(root), workdir, resume="force")


def test_a_folder_in_use_is_refused(root, tmp_path):
  with run_lock(tmp_path), pytest.raises(LockError, match="in use"):
    search.search(small(root), tmp_path)


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("search__relaxation", dict(name="softmaxx"), "unknown name in dnas.strategy.relaxation"),
    ("search__hypergradient", dict(name="first_order", lr=1.0), "unknown argument"),
    ("search__warmup_steps", 6, "config.search.warmup_steps must be below steps = 6, got 6"),
    ("search__batch_size", 0, "config.search.batch_size must be a whole number, 1 or more, got 0"),
    ("search__steps", 0, "config.search.steps must be a whole number, 1 or more, got 0"),
    ("search__weight_share", 1.0, r"config.search.weight_share must be in \(0, 1\), got 1.0"),
    ("search__average", 2.0, r"config.search.average must be in \[0, 1\), got 2.0"),
    ("space", dict(name="dense", ops=("skip_connectt",), nodes=1), "skip_connectt"),
    ("search__network", dict(name="imagenet"), "needs a cell 'normal'"),
    ("task", dict(name="detection"), "is a data set for classification"),
    ("task", dict(name="classification", label_smoothing=1.0), "label_smoothing"),
    ("data__spec", "digit", "unknown"),
    ("search__discretize", dict(name="best"), "unknown name in dnas.strategy.discretize"),
    (
      "search__discretize",
      dict(name="threshold"),
      "config.search.discretize: threshold needs the relaxation sigmoid, got softmax",
    ),
    ("search__supernet", dict(single_path=True), "config.search.supernet.single_path: needs"),
    ("search__stop", dict(name="stop_by_eigenvalue", ratio=1.5), "stop_by_eigenvalue: ratio"),
  ],
)
def test_bad_configs_are_refused_before_anything_is_computed(root, tmp_path, field, value, message):
  with pytest.raises(DnasError, match=message):
    search.search(small(root, **{field: value}), tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    (
      dict(relaxation=dict(name="gumbel_softmax"), alpha_optimizer="exponentiated_gradient"),
      "config.search.alpha_optimizer: exponentiated_gradient needs the relaxation softmax, got gum",
    ),
    (
      dict(relaxation=dict(name="gumbel_softmax"), projection=dict(batches=1)),
      r"config.search.projection: needs a relaxation without noise \(softmax, sigmoid, sparsemax\)",
    ),
    (
      dict(projection=dict(batches=1), stop=dict(name="stop_by_eigenvalue")),
      "config.search.stop: a search that is stopped early is decided by alpha",
    ),
    (
      dict(weight_optimizer=dict(name="adamw"), hypergradient=dict(name="unrolled")),
      "unrolled differentiates a step of SGD, but the weights are trained by adamw",
    ),
  ],
)
def test_parts_of_a_method_that_do_not_go_together(root, tmp_path, fields, message):
  config = small(root, **{f"search__{name}": value for name, value in fields.items()})
  with pytest.raises(DnasError, match=message):
    search.search(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_evaluation_without_weights(root, tmp_path):
  with pytest.raises(DnasError, match=r"genotype.json is missing: train first"):
    evaluate.evaluate(small(root), tmp_path)


def test_a_space_cannot_be_trained(root, tmp_path):
  config = small(root)
  with pytest.raises(ConfigError, match="still holds choices"):
    train.train(config, method.space_of(config), tmp_path / "run")


def test_weights_to_start_from_are_given_with_their_name(root, tmp_path):
  """A config names them and holds none: from scratch would be another training."""
  config = configs.changed(small(root), {})
  with config.unlocked():
    config.train.start = {"name": "mine", "weights": "0123"}
  with pytest.raises(ConfigError, match=r"config.train.start = \{'name': 'mine'.*NAS\(...\).train"):
    train.train(config, method.space_of(config).sample(random.Random(0)), tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("field", "value"), [("ema", 1.5), ("ema", -1.0), ("drop_path", 1.5), ("drop_path", -0.1)]
)
def test_rates_of_a_training_out_of_range(root, tmp_path, field, value):
  config = small(root, **{f"train__{field}": value})
  with pytest.raises(ConfigError, match=rf"config.train.{field} must be in \[0, 1\), got {value}"):
    train.train(config, method.space_of(config).sample(random.Random(0)), tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_drawn_cells_show_every_operation(tmp_path):
  (tmp_path / "genotype.json").write_text(genotypes.published("NASNet").to_json())
  paths = report.draw(tmp_path)
  assert {path.name for path in paths} == {
    f"cell_{name}.{suffix}" for name in ("normal", "reduce") for suffix in ("svg", "png")
  }
