# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of searched, random and hand-made cells, with the runs themselves replaced."""

import csv
import json
import math

import pytest

from dnas import config as configs
from dnas.tables import detection

SMALL = {
  "search.network": "{'name': 'detector', 'channels': (4, 8, 8), 'stem_channels': 4}",
  "data.size": "(32, 32)",
  "task.neck_channels": "4",
}


class Stop(Exception):
  pass


@pytest.fixture
def fakes(monkeypatch):
  """What was searched and trained, in order; AP is a function of method and seed."""
  calls = []

  def search(config, workdir):
    calls.append(("search", config.seed, None))
    return detection.space_of(
      configs.changed(
        config, {"space": dict(name="sampled", space=dict(name="nasbench201"), seed=config.seed)}
      )
    )

  def train(config, genotype, folder):
    assert genotype.is_genotype
    if len(calls) == train.stop_after:
      raise Stop
    calls.append((folder.name, config.seed, config.train.macs))

  def evaluate(config, folder):
    ap = {"searched": 0.7, "random": 0.6, "hand-made": 0.5}[folder.name] + 0.01 * config.seed
    return {"AP": ap, "AP50": ap, "AP75": ap, "params": 10, "macs": 20}

  train.stop_after = None
  for function in (search, train, evaluate):
    monkeypatch.setattr(detection, function.__name__, function)
  return calls, train


def compare(root, tmp_path, seeds):
  return detection.compare(
    root / "configs" / "quickstart.py",
    tmp_path / "out",
    tmp_path / "runs",
    seeds=seeds,
    command="c",
    overrides=SMALL,
  )


def test_each_seed_is_searched_and_the_others_get_its_budget(root, tmp_path, fakes):
  calls, _ = fakes
  rows = compare(root, tmp_path, seeds=2)
  assert [call[0] for call in calls] == [
    *("search", "searched") * 2, "random", "random", "hand-made", "hand-made"
  ]  # fmt: skip
  budget = {seed: macs for method, seed, macs in calls if method == "random"}
  assert {seed: macs for method, seed, macs in calls if method == "hand-made"} == budget
  assert all(macs is None for method, _, macs in calls if method == "searched")
  assert len(set(budget.values())) == 2, "two searches, two budgets"
  assert all(macs > 1e4 for macs in budget.values())
  assert [row["method"] for row in rows] == list(detection.METHODS)
  assert rows[0]["AP"] == pytest.approx(0.705)
  # t(.975, 1 degree of freedom) = 12.7062; deviation .01 / sqrt 2; half width = t s / sqrt 2.
  assert rows[0]["AP ±"] == pytest.approx(12.7062 * 0.005, rel=1e-4)


def test_a_table_that_is_cut_short_keeps_what_is_done(root, tmp_path, fakes):
  _, train = fakes
  train.stop_after = 4
  with pytest.raises(Stop):
    compare(root, tmp_path, seeds=2)
  with (tmp_path / "out" / "table.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [(row["method"], row["seeds"]) for row in rows] == [("searched", "2")]
  assert len(json.loads((tmp_path / "out" / "runs.json").read_text())) == 2


def test_one_seed_has_no_interval(root, tmp_path, fakes):
  rows = compare(root, tmp_path, seeds=1)
  assert math.isnan(rows[0]["AP ±"])
