# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tuning: ranges against the config, a study that resumes, what a trial is worth."""

import json
import random

import numpy as np
import optuna
import pytest
from ml_collections import ConfigDict

from dnas import config as configs
from dnas import data, runs
from dnas.data.part import part_of
from dnas.errors import ConfigError, DnasError
from dnas.log import LogError
from dnas.method import space_of
from dnas.trees import CheckpointError
from dnas.tune import held_out, ranges, study, tune

SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1"), nodes=2),
  "search.network": dict(name="detector", channels=(4,), stem_channels=4),
  "search.steps": 4,
  "search.warmup_steps": 2,
  "search.batch_size": 8,
  "train.network": None,
  "train.steps": 4,
  "train.batch_size": 8,
}
SPACE = ConfigDict(
  dict(
    train=dict(
      optimizer=dict(lr=dict(low=1e-3, high=0.5, log=True)), ema=dict(choices=(0.9, 0.99, 0.999))
    )
  )
)


@pytest.fixture(scope="module")
def config(root):
  return configs.load(root / "configs" / "digits.py", {k: str(v) for k, v in SMALL.items()})


@pytest.mark.parametrize(
  ("space", "message"),
  [
    (dict(train=dict(lr=dict(low=0.1, high=1.0))), "unknown field of config.train"),
    (dict(train=dict(steps=dict(low=0.5, high=1.5))), "expected an integer"),
    (dict(train=dict(ema=dict(low=0.5, high=0.1))), "low must be below high"),
    (dict(train=dict(ema=dict(low=0.0, high=0.1, log=True))), "above 0 with log"),
    (dict(train=dict(ema=dict(low=0.5, hihg=0.9))), "unknown key of the range train.ema"),
    (dict(train=dict(ema=0.5)), r"write dict\(low"),
    (dict(train=dict(ema=dict(choices=()))), "choices must be a tuple"),
    (dict(train=dict(ema=dict(low=0.1, high=0.9, step=-1))), "step must be a number above 0, got"),
    (dict(train=dict(ema=dict(low=0.1, high=0.9, step="x"))), "step must be a number above 0, got"),
    (dict(train=dict(steps=dict(low=1, high=9, step=0.5))), "step must be a whole number above 0"),
    (
      dict(train=dict(ema=dict(low=0.1, high=0.9, log=True, step=0.1))),
      "log and step cannot be combined, got step = 0.1",
    ),
    (dict(search=dict(steps=dict(low=1, high=9))), "with --whole each trial searches"),
    (dict(seed=dict(low=1, high=9)), "seed: cannot be tuned"),
    ({}, "names no field"),
  ],
)
def test_ranges_that_do_not_fit(config, space, message):
  with pytest.raises(ConfigError, match=message):
    ranges.read(ConfigDict(space), config, whole=False)


@pytest.mark.parametrize("step", [None, 0.5])
def test_whole_ends_of_a_field_for_any_number(config, step):
  """They would be suggested as whole numbers alone."""
  about = dict(low=1, high=3) | ({} if step is None else {"step": step})
  space = ConfigDict(dict(train=dict(optimizer=dict(lr=about), steps=dict(low=1, high=3))))
  found = ranges.read(space, config, whole=False)
  trial = optuna.create_study().ask()
  for field in found.values():
    field.suggest(trial)
  kinds = {name: type(about).__name__ for name, about in trial.distributions.items()}
  assert kinds == {"train.optimizer.lr": "FloatDistribution", "train.steps": "IntDistribution"}


def test_the_configs_own_values(config, root):
  space = ConfigDict(
    dict(
      train=dict(ema=dict(low=0.5, high=0.995), optimizer=dict(name=dict(choices=("sgd", "adamw"))))
    )
  )
  fields = ranges.read(space, config, whole=False)
  assert ranges.base(fields, config) == {"train.ema": 0.99, "train.optimizer.name": '"sgd"'}
  unset = {"search.average": ranges.Range("search.average", dict(low=0.0, high=1.0))}
  quickstart = configs.load(root / "configs" / "quickstart.py")
  assert ranges.base(unset, quickstart) == {"search.average": 0.0}
  outside = configs.changed(config, {"train.ema": 0.2})
  assert ranges.base(fields, outside) is None


@pytest.mark.parametrize(
  ("about", "value", "label"),
  [
    (dict(low=0.1, high=0.9, step=0.1), 0.3, 0.3),
    (dict(low=0.1, high=0.9, step=0.1), 0.35, None),
    (dict(low=0.1, high=0.9, step=0.1), 1.0, None),
    (dict(low=10, high=50, step=20), 30, 30),
    (dict(low=10, high=50, step=20), 40, None),
    (dict(low=0, high=2, step=1), True, None),
  ],
)
def test_values_on_the_grid_of_a_range(about, value, label):
  assert ranges.Range("x", about).label(value) == label


@pytest.mark.parametrize("spec", ["digits", "digit_scenes"])
def test_the_part_of_some_images(spec):
  source = data.load(spec, "test")
  some = np.array([3, 0, 7])
  part = part_of(source, some)
  assert part.ids.tolist() == source.ids[some].tolist()
  assert len(part) == 3
  assert np.array_equal(part[2]["image"], source[7]["image"])
  if source.task == "classification":
    assert part.labels.tolist() == source.labels[some].tolist()
    return
  for i, k in enumerate(some):
    assert part[i]["boxes"].tolist() == source[k]["boxes"].tolist()
  assert len(part.to_coco()["annotations"]) == sum(len(source[k]["labels"]) for k in some)
  assert len(source) > 7


def test_a_trial_that_searches_does_not_see_what_it_is_judged_by(config, tmp_path, monkeypatch):
  class Stop(Exception):
    pass

  seen = []

  def spy(config, workdir, resume="auto", source=None):
    seen.append(source)
    raise Stop

  monkeypatch.setattr(held_out, "search", spy)
  with pytest.raises(Stop):
    held_out.score(config, None, tmp_path, lambda *_: None, share=0.8, every_steps=2)
  (searched,) = seen
  whole = data.load(config.data.spec, config.data.train_split)
  held = runs.pipeline(config, whole, 8, train=False, part="alpha", fraction=0.8)
  assert not set(searched.ids.tolist()) & set(whole.ids[held.indices].tolist())
  assert len(searched) + len(held.indices) == len(whole)


def a_genotype(config):
  return space_of(config).sample(random.Random(0))


def scores(monkeypatch, score):
  """Replaces training by a function of the config; counts its calls."""
  calls = []

  def cheap(config, genotype, folder, report, *, share, every_steps):
    calls.append(folder.parent.name)
    value = score(config)
    for step in range(every_steps, config.train.steps, every_steps):
      report(step, value * step / config.train.steps)
    return value

  monkeypatch.setattr(held_out, "score", cheap)
  monkeypatch.setattr(study, "search", lambda config, folder: a_genotype(config))
  return calls


def distance(config) -> float:
  """Best at lr = 0.01."""
  return 1 - abs(np.log10(config.train.optimizer.lr) + 2) / 4


def proposals(folder):
  return [t["fields"] for t in json.loads((folder / "tuning.json").read_text())["trials"]]


def test_a_study_interrupted_equals_one_in_peace(config, tmp_path, monkeypatch):
  """The same proposals; the trial that was stopped is gone on with in its folder."""
  pytest.importorskip("optuna")
  calls = scores(monkeypatch, distance)
  best = tune(config, SPACE, tmp_path / "a", trials=6)
  assert calls == [f"{n:04d}" for n in range(6)]
  tried = proposals(tmp_path / "a")
  assert tried[0] == {"train.optimizer.lr": 0.1, "train.ema": 0.99}
  saved = configs.load(tmp_path / "a" / "best.json")
  assert configs.diff(best, saved) == []
  assert configs.diff(config, saved)

  def stops(config):
    if len(calls) == 3:
      raise KeyboardInterrupt
    return distance(config)

  calls = scores(monkeypatch, stops)
  with pytest.raises(KeyboardInterrupt):
    tune(config, SPACE, tmp_path / "b", trials=6)
  assert calls == ["0000", "0001", "0002"]
  assert proposals(tmp_path / "b") == tried[:2]  # What is finished is there to look at.
  assert not (tmp_path / "b" / "best.json").exists()
  calls = scores(monkeypatch, distance)
  tune(config, SPACE, tmp_path / "b", trials=6)
  assert calls == ["0002", "0003", "0004", "0005"]
  assert proposals(tmp_path / "b") == tried
  calls.clear()
  tune(config, SPACE, tmp_path / "b", trials=6)
  assert calls == []
  with pytest.raises(ConfigError, match=r"settings.seed: 0 -> 1"):
    tune(config, SPACE, tmp_path / "b", trials=6, seed=1)


def test_bad_trials_are_pruned_and_impossible_ones_fail(config, tmp_path, monkeypatch):
  pytest.importorskip("optuna")
  calls = []

  def score(config):
    calls.append(1)
    if len(calls) == 6:
      return 0.0
    if len(calls) == 7:
      raise DnasError("not finite")
    return 0.5 + len(calls) / 100

  scores(monkeypatch, score)
  tune(config, SPACE, tmp_path, trials=8, every_steps=1, storage=f"{tmp_path}/study.journal")
  record = json.loads((tmp_path / "tuning.json").read_text())
  states = [trial["state"] for trial in record["trials"]]
  assert states == ["complete"] * 5 + ["pruned", "fail", "complete"]
  assert record["trials"][5]["course"][0][1] == 0.0
  assert record["trials"][6]["error"] == "not finite"
  assert sum(record["importance"].values()) == pytest.approx(1)


def test_without_a_complete_trial(config, tmp_path, monkeypatch):
  pytest.importorskip("optuna")

  def fails(config):
    raise DnasError("not finite")

  scores(monkeypatch, fails)
  with pytest.raises(DnasError, match="no trial came to its end: not finite"):
    tune(config, SPACE, tmp_path, trials=2)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (dict(trials=0), "trials must be a whole number, 1 or more, got 0"),
    (dict(share=1.5), r"share must be in \(0, 1\), got 1.5"),
    (dict(share=0.0), r"share must be in \(0, 1\), got 0.0"),
    (dict(every_steps=-3), "every_steps must be a whole number, 1 or more, got -3"),
    (dict(every_steps=0), "every_steps must be a whole number, 1 or more, got 0"),
  ],
)
def test_arguments_out_of_range(config, tmp_path, arguments, message):
  with pytest.raises(DnasError, match=message):
    tune(config, SPACE, tmp_path / "new", **{"trials": 2, **arguments})
  assert not (tmp_path / "new").exists()


def test_a_training_that_cannot_be_is_found_before_the_search(config, tmp_path):
  wrong = configs.changed(config, {"train.optimizer": dict(name="adamw", lr=0.1, warmup_steps=9)})
  with pytest.raises(DnasError, match="warmup_steps must be below steps = 4, got 9"):
    tune(wrong, SPACE, tmp_path / "new", trials=2)
  assert not (tmp_path / "new").exists()


def test_several_jax_processes_are_refused(config, tmp_path, monkeypatch):
  monkeypatch.setattr(study.jax, "process_count", lambda: 2)
  with pytest.raises(ConfigError, match=r"takes one JAX process, got 2; .* with one --storage"):
    tune(config, SPACE, tmp_path / "new", trials=2)
  assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", [CheckpointError, LogError, OSError])
def test_a_disk_that_fails_is_not_a_trial_that_fails(config, tmp_path, monkeypatch, kind):
  """The tuning ends; started again, it goes on with the same trial."""
  pytest.importorskip("optuna")

  def full(config):
    raise kind("no space left")

  calls = scores(monkeypatch, full)
  with pytest.raises(kind, match="no space left"):
    tune(config, SPACE, tmp_path, trials=3)
  assert calls == ["0000"]
  calls = scores(monkeypatch, distance)
  tune(config, SPACE, tmp_path, trials=3)
  assert calls == ["0000", "0001", "0002"]


@pytest.mark.slow
def test_a_trial_goes_on_where_it_was(config, tmp_path):
  """Stopped by its second report and started again, its score is that of one in peace."""
  genotype = a_genotype(config)
  config = configs.changed(config, {"checkpoint.every_steps": 1})
  seen = []
  report = lambda step, value: seen.append((step, value))
  settings = dict(share=0.8, every_steps=2)
  value = held_out.score(config, genotype, tmp_path / "a", report, **settings)
  assert [step for step, _ in seen] == [2]
  assert 0 <= value <= 1

  def stop(step, value):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    held_out.score(config, genotype, tmp_path / "b", stop, **settings)
  again = []
  report = lambda step, value: again.append((step, value))
  assert held_out.score(config, genotype, tmp_path / "b", report, **settings) == value
  assert again == seen
