# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The search under a budget of latency, from end to end at the smallest size."""

import csv
import functools
import json

import pytest

from dnas.cost.latency import Protocol
from dnas.errors import DnasError
from dnas.space import cells
from dnas.tables import detection_latency, once

SEARCH = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_3x3"), nodes=1),
  "search.steps": 2,
  "search.warmup_steps": 1,
  "search.batch_size": 4,
  "search.watch.every_steps": 0,
}


@pytest.mark.slow
def test_a_search_under_a_budget_from_end_to_end(root, tiny_detector, tmp_path):
  make = functools.partial(
    detection_latency.make,
    root / "configs" / "quickstart.py",
    tmp_path / "out",
    tmp_path / "runs",
    command="made by a test",
    seeds=1,
    # So wide that noise does not matter; what a tight budget does: tests/test_hardware.py.
    shares=(1e6,),
    given=Protocol(rounds=3, calls=2, copies=2),
    overrides=tiny_detector | SEARCH,
  )
  rows = make()
  assert [row["budget"] for row in rows] == ["free", "share 1000000.0"]
  for row in rows:
    assert 0 <= row["AP"] <= 1
    assert row["measured_ms"] > 0
  runs = json.loads((tmp_path / "out" / "runs.json").read_text())
  assert len(runs) == 2
  assert runs[0]["accepted_ms"] is None
  assert runs[1]["accepted_ms"] == float(rows[1]["largest accepted_ms"]) <= rows[1]["budget_ms"]
  assert "budget" in (tmp_path / "out" / "plot.svg").read_text()
  record = json.loads(
    (tmp_path / "runs" / "share_1000000.0" / "seed0" / "search" / "cost.json").read_text()
  )
  assert record["latency_ms_measured"] <= record["budgets"]["latency_ms"] == rows[1]["budget_ms"]
  table = (tmp_path / "out" / "table.csv").read_text().splitlines()
  assert len(list(csv.DictReader(table))) == 2


@pytest.fixture
def pretended(monkeypatch):
  """What was called; nothing is searched, trained or measured."""
  calls = []
  space = cells.nasbench201()
  found = {None: "nor_conv_3x3", 3.3: "nor_conv_1x1"}

  def search(config, folder):
    calls.append(("search", folder.parent.parent.name, config.seed))
    limit = config.get("cost", {}).get("latency_ms")
    folder.mkdir(parents=True)
    if limit is not None:
      (folder / "cost.json").write_text(json.dumps({"latency_ms_measured": limit - 0.1}))
    return space.decide({"cell": [found[limit]] * 6})

  def measured(config, networks, protocol):
    calls.append("measured")
    return {
      n: 7.0 if "3x3" in str(network.cells["cell"]) else 3.0 for n, network in networks.items()
    }

  class Model:
    of = staticmethod(lambda genotype: 6.0 if "3x3" in str(genotype.cells["cell"]) else 2.0)

  def model(*arguments, fill):
    calls.append("model")
    return Model

  monkeypatch.setattr(detection_latency, "search", search)
  monkeypatch.setattr(detection_latency, "train", lambda *arguments: calls.append("train"))
  monkeypatch.setattr(detection_latency, "evaluate", lambda *arguments: {"AP": 0.5, "macs": 9})
  monkeypatch.setattr(detection_latency.apart, "measured_ms", measured)
  monkeypatch.setattr(detection_latency.timing, "latency_model", model)
  monkeypatch.setattr(detection_latency.budgets, "cheapest", lambda *arguments: 2.0)
  return calls


def test_what_is_made_once_is_not_made_again(root, tmp_path, pretended):
  out = tmp_path / "out"
  make = functools.partial(
    detection_latency.make, root / "configs" / "quickstart.py", out, command="", shares=(0.3,)
  )
  rows = make(tmp_path / "runs", seeds=2)
  assert pretended.count("train") == 4
  assert [c for c in pretended if c[0] == "search"] == [
    ("search", name, seed) for name in ("free", "share_0.3") for seed in (0, 1)
  ]
  assert [(row["budget_ms"], row["predicted_ms"], row["measured_ms"]) for row in rows] == [
    ("", 6.0, 7.0),
    (3.3, 2.0, 3.0),
  ]
  assert rows[1]["largest accepted_ms"] == pytest.approx(3.2)
  pretended.clear()
  with once.kept(out, tmp_path / "runs"):
    assert make(tmp_path / "runs", seeds=2) == rows
  with once.kept(out, tmp_path / "elsewhere"):  # The folder of the table alone, cloned.
    assert make(tmp_path / "elsewhere", seeds=2) == rows
  assert pretended == []
  # Fewer of the same runs: no run is made, but these are measured together.
  make(tmp_path / "runs", seeds=1)
  assert sorted(pretended) == ["measured", "model"]


def test_budgets_are_not_taken_to_another_device(root, tmp_path, pretended, monkeypatch):
  config = root / "configs" / "quickstart.py"
  make = functools.partial(detection_latency.make, config, tmp_path / "out", command="")
  for name in ("here", "there"):
    with once.kept(tmp_path / "out", tmp_path / name):
      if name == "here":
        make(tmp_path / name, seeds=1, shares=(0.3,))
        monkeypatch.setattr("dnas.cost.latency.device", lambda: {"kind": "another"})
      else:
        with pytest.raises(DnasError, match="budgets of this table"):
          make(tmp_path / name, seeds=2, shares=(0.3,))
