# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of fronts on a benchmark made up here: its searches, ratios and files."""

import csv
import gzip
import itertools
import json

import numpy as np
import pytest

from dnas.estimate import tabular
from dnas.space import cells
from dnas.tables import hardware, table

VALUE = {"none": 0, "skip_connect": 3, "nor_conv_1x1": 5, "nor_conv_3x3": 9, "avg_pool_3x3": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  """All 15,625 cells; accuracy and latency both grow with convolutions."""
  folder = tmp_path_factory.mktemp("data")
  rng = np.random.default_rng(0)
  columns = list(tabular.NASBENCH201_COLUMNS.values())
  accuracies = [",".join(["arch_index", "arch_str", *columns])]
  latencies = [",".join(["arch_index", *hardware.DEVICES])]
  for i, (a, b, c, d, e, f) in enumerate(itertools.product(cells.NASBENCH201_OPS, repeat=6)):
    total = sum(VALUE[op] for op in (a, b, c, d, e, f))
    accuracy = 10 + 80 * (total / 54) ** 0.5 + rng.normal() * 0.5
    name = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
    accuracies.append(f"{i},{name}," + ",".join([f"{accuracy:.3f}"] * len(columns)))
    latencies.append(f"{i}," + ",".join([f"{1 + total / 10:.3f}"] * len(hardware.DEVICES)))
  for file, lines in ((table.NASBENCH201, accuracies), (hardware.LATENCIES, latencies)):
    (folder / file).write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
  return folder


@pytest.mark.slow
def test_the_table(data, tmp_path):
  rows = hardware.make(tmp_path, data=data, command="made by a test", seeds=2, budgets=(60,))
  assert [(r["device"], r["method"]) for r in rows] == list(
    itertools.product(hardware.DEVICES, hardware.METHODS)
  )
  for row in rows:
    assert 0.5 < row["hv_ratio"] <= 1
    assert row["seeds"] == 2
    assert 10 < row["cells"] <= 60
  fronts = list(csv.DictReader((tmp_path / "fronts.csv").read_text().splitlines()))
  assert {row["method"] for row in fronts} == {*hardware.METHODS, "true"}
  for device, method in itertools.product(hardware.DEVICES, (*hardware.METHODS, "true")):
    mine = [r for r in fronts if (r["device"], r["method"]) == (device, method)]
    for key in ("latency_ms", "valid_12"):
      assert (np.diff([float(r[key]) for r in mine]) > 0).all()
  assert "eyeriss" in (tmp_path / "fronts.svg").read_text()
  assert json.loads((tmp_path / "provenance.json").read_text())["seeds"] == "0 to 1"
  # Looking at everything is the true front.
  bench = hardware.devices.with_devices(
    tabular.nasbench201(data / table.NASBENCH201), data / hardware.LATENCIES
  )
  points = hardware._Points(bench, "fpga")
  assert points.ratio(np.arange(15625)) == 1
  name = list(bench.rows)[1234]
  ops = [part.split("~")[0] for part in name.replace("+", "").split("|") if part]
  assert points.row({"cell": ops}) == 1234
