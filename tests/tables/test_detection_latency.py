# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The search under a budget of latency, from end to end at the smallest size."""

import csv
import json

import pytest

from dnas.cost.latency import Protocol
from dnas.tables import detection_latency

SEARCH = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_3x3"), nodes=1),
  "search.steps": 2,
  "search.warmup_steps": 1,
  "search.batch_size": 4,
  "search.watch.every_steps": 0,
}


@pytest.mark.slow
def test_a_search_under_a_budget_from_end_to_end(root, tiny_detector, tmp_path):
  rows = detection_latency.make(
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
