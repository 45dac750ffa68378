# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of a tuning's gain, with tuning and trainings replaced; and from end to end."""

import csv
import json
import math

import pytest

from dnas import config as configs
from dnas.space import cells
from dnas.tables import table, tuning

SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1"), nodes=1),
  "search.network": dict(name="nasbench201", channels=2, cells=1),
  "search.steps": 2,
  "search.warmup_steps": 1,
  "search.batch_size": 4,
  "search.watch.every_steps": 0,
  "train.network": None,
  "train.steps": 3,
  "train.batch_size": 4,
}
TRIALS = [
  {"number": 0, "state": "complete", "score": 0.5, "fields": {"train.ema": 0.99}},
  {"number": 1, "state": "pruned", "score": None, "fields": {"train.ema": 0.9}},
]


def make(root, tmp_path, seeds, config="quickstart", **given):
  return tuning.make(
    root / "configs" / f"{config}.py",
    given.pop("space", root / "configs" / "tuning" / "training.py"),
    tmp_path / "out",
    tmp_path / "runs",
    command="c",
    seeds=seeds,
    **given,
  )


def test_the_gain_is_that_of_pairs_and_fresh_seeds(root, tmp_path, monkeypatch):
  calls = []

  def tune(config, space, workdir, *, trials):
    (workdir / "search").mkdir(parents=True, exist_ok=True)
    genotype = cells.dense(("skip_connect",), nodes=1)
    (workdir / "search" / "genotype.json").write_text(genotype.to_json())
    record = {"score": "AP on held-out training data", "trials": TRIALS, "importance": {"a": 1.0}}
    (workdir / "tuning.json").write_text(json.dumps(record))
    best = configs.changed(config, {"train.ema": 0.9})
    (workdir / "best.json").write_text(configs.to_json(best))

  def evaluate(config, folder):
    calls.append((config.seed, config.train.ema))
    gain = 0.01 * config.seed if config.train.ema == 0.9 else 0.0
    return {"accuracy": 0.6 + gain, "images": 4}

  monkeypatch.setattr(tuning, "tune", tune)
  monkeypatch.setattr(
    tuning, "train", lambda config, genotype, folder: folder.mkdir(parents=True, exist_ok=True)
  )
  monkeypatch.setattr(tuning, "evaluate", evaluate)
  before, after = make(root, tmp_path, 2, config="digits")
  assert calls == [(seed, ema) for seed in (1, 2) for ema in (0.99, 0.9)]
  assert (before["accuracy"], after["accuracy"]) == pytest.approx((0.6, 0.615))
  # Gains 0.01 and 0.02: t = 0.015 / (0.0071 / sqrt 2) = 3, one degree of freedom.
  assert after["gain"] == pytest.approx(0.015)
  assert after["gain ±"] == pytest.approx(12.7062 * 0.005, rel=1e-4)
  assert after["p"] == pytest.approx(1 - 2 * math.atan(3) / math.pi)
  calls.clear()
  assert make(root, tmp_path, 2, config="digits") == [before, after]
  assert calls == []
  shown = (tmp_path / "out" / "README.md").read_text()
  assert table.markdown((tmp_path / "out" / "table.csv").read_text()) in shown
  assert "2 trials, 1 of them pruned" in shown
  assert "`train.ema` 0.99 to 0.9" in shown
  assert configs.load(tmp_path / "out" / "best.json").train.ema == 0.9
  with (tmp_path / "out" / "trials.csv").open() as file:
    assert [row["state"] for row in csv.DictReader(file)] == ["complete", "pruned"]


@pytest.mark.slow
def test_a_tuning_from_end_to_end(root, tmp_path):
  pytest.importorskip("optuna")
  space = tmp_path / "space.py"
  space.write_text(
    "from ml_collections import ConfigDict\n"
    "def get_config():\n"
    "  return ConfigDict({'train': {'optimizer': {'lr': {'low': 0.01, 'high': 0.5}}}})\n"
  )
  given = dict(config="digits", space=space, trials=2, overrides=SMALL)
  rows = make(root, tmp_path, 1, **given)
  assert [row["config"] for row in rows] == ["as it is", "tuned"]
  assert all(0 <= row["accuracy"] <= 1 for row in rows)
