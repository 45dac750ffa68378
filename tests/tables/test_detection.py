# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of cells at equal MACs, with the runs themselves replaced."""

import csv
import json
import math

import pytest
from scipy import stats

from dnas import config as configs
from dnas.errors import DnasError
from dnas.tables import detection, table

SMALL = {
  "search.network": "{'name': 'detector', 'channels': (4, 8, 8), 'stem_channels': 4}",
  "data.size": "(32, 32)",
  "task.neck_channels": "4",
}


class Stop(Exception):
  pass


AP = {"searched": 0.7, "random": 0.6, "hand-made": 0.5, "EfficientNet-like": 0.71}


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
    # The random cell falls behind with the seeds, so that differences vary.
    lost = 0.02 * config.seed if folder.name == "random" else 0
    ap = AP[folder.name] + 0.01 * config.seed - lost
    return {"AP": ap, "AP50": ap, "AP75": ap, "params": 10, "macs": 20 + config.seed}

  train.stop_after = None
  for function in (search, train, evaluate):
    monkeypatch.setattr(detection, function.__name__, function)
  return calls, train


def compare(root, tmp_path, seeds, **given):
  return detection.compare(
    root / "configs" / "quickstart.py",
    tmp_path / "out",
    tmp_path / "runs",
    seeds=seeds,
    command="c",
    overrides=given.pop("overrides", SMALL),
    **given,
  )


def test_each_seed_is_searched_and_the_others_get_its_budget(root, tmp_path, fakes):
  calls, _ = fakes
  rows = compare(root, tmp_path, seeds=2)
  for seed in (0, 1):
    one = [call for call in calls if call[1] == seed]
    assert [call[0] for call in one] == ["search", *detection.METHODS]
    assert [call[2] for call in one] == [None, None, *[20 + seed] * 3]
  assert [row["method"] for row in rows] == list(detection.METHODS)
  assert rows[0]["AP"] == pytest.approx(0.705)
  # t(.975, 1 degree of freedom) = 12.7062; deviation .01 / sqrt 2; half width = t s / sqrt 2.
  assert rows[0]["AP ±"] == pytest.approx(12.7062 * 0.005, rel=1e-4)


def test_differences_are_of_pairs(root, tmp_path, fakes):
  random, made = compare(root, tmp_path, seeds=3)[1:3]
  # Of the seeds 0.10, 0.12 and 0.14: mean 0.12, deviation 0.02.
  assert random["searched - this"] == pytest.approx(0.12)
  assert random["searched - this ±"] == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-5)
  t = 0.12 / (0.02 / math.sqrt(3))
  assert random["p"] == pytest.approx(2 * stats.t.sf(t, 2))
  assert random["searched is better"] == "3 of 3"
  assert (made["searched - this"], made["searched - this ±"]) == pytest.approx((0.2, 0))
  assert math.isnan(made["p"]), "equal differences have no deviation"


def test_a_finished_run_is_not_repeated_and_a_table_cut_short_has_whole_seeds(
  root, tmp_path, fakes
):
  calls, train = fakes
  train.stop_after = 7
  with pytest.raises(Stop):
    compare(root, tmp_path, seeds=2)
  with (tmp_path / "out" / "table.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [(row["method"], row["seeds"]) for row in rows] == [(n, "1") for n in detection.METHODS]
  train.stop_after = None
  compare(root, tmp_path, seeds=2)
  trained = [call for call in calls if call[0] != "search"]
  assert len(trained) == len(set(trained)) == 8
  assert len(json.loads((tmp_path / "out" / "runs.json").read_text())) == 8
  shown = (tmp_path / "out" / "README.md").read_text()
  assert table.markdown((tmp_path / "out" / "table.csv").read_text()) in shown
  assert "`EfficientNet-like`: the stages of" in shown
  assert "<svg" in (tmp_path / "out" / "plot.svg").read_text()
  with pytest.raises(DnasError, match=r"with another config \(train.steps: 1500 -> 9\)"):
    compare(root, tmp_path, seeds=2, overrides={**SMALL, "train.steps": "9"})


def test_one_seed_has_no_interval(root, tmp_path, fakes):
  rows = compare(root, tmp_path, seeds=1, methods=["random"])
  assert [row["method"] for row in rows] == ["searched", "random"]
  shown = (tmp_path / "out" / "README.md").read_text()
  assert "EfficientNet" not in shown, "only the rows that are there are explained"
  assert math.isnan(rows[0]["AP ±"])
  assert math.isnan(rows[1]["p"])
  with pytest.raises(DnasError, match="method: 'hand'"):
    compare(root, tmp_path, seeds=1, methods=["hand"])


def test_the_stages_of_efficientnet_stand_in_the_detector_of_the_search(root):
  genotype = detection._efficientnet(configs.load(root / "configs" / "quickstart.py"))
  depths = [sum(op != "skip_connect" for (op,) in cell) for cell in ops(genotype)]
  assert depths == [1, 2, 2, 3, 3]  # 1905.11946, table 1: stages 2 to 6 of nine.
  assert [stage.channels for stage in genotype.stages] == [16, 24, 40, 80, 112]


def ops(genotype):
  return [[edge.ops for edge in cell.edges] for cell in genotype.cells.values()]


@pytest.mark.slow
def test_a_comparison_from_end_to_end(root, tiny_detector, tmp_path):
  wide = {"search.network": dict(name="detector", channels=(32, 64), stem_channels=16)}
  methods = ["EfficientNet-like"]
  rows = compare(root, tmp_path, seeds=1, methods=methods, overrides={**tiny_detector, **wide})
  assert [row["method"] for row in rows] == ["searched", *methods]
  for row in rows:
    assert 0 <= row["AP"] <= 1
    assert abs(row["mean macs"] / rows[0]["mean macs"] - 1) < 0.05
  runs = json.loads((tmp_path / "out" / "runs.json").read_text())
  assert [row["mean params"] for row in rows] == [run["params"] for run in runs]
  assert runs[1]["genotype"].startswith(
    "mbconv1: 1: mbconv_3x3_e1_se_swish(0) | 2: skip_connect(1)"
  )
