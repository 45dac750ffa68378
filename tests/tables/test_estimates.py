# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of estimates, made of small ones; its correlations; and that it goes on."""

import csv
import json
import math

import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.estimate import estimates as by_name
from dnas.tables import estimates, table

SMALL = {
  "data.spec": "digits",
  "data.size": (6, 6),
  "data.augment": (),
  "data.threads": 0,
  "search.network": dict(name="nasbench201", channels=2, cells=1),
  "train.network": dict(name="nasbench201", channels=2, cells=1),
}


def read(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def test_every_entry_is_an_estimate():
  for entry in estimates.ENTRIES.values():
    naming.resolve(entry, by_name, given=3)
  assert tuple(estimates.ENTRIES["zero_cost"]["proxies"]) == estimates.PROXIES


@pytest.fixture
def make(root, made_up_benchmark, tmp_path, monkeypatch, user_folder):
  """(methods, ENTRIES) -> rows, with estimates that compute nothing."""
  (user_folder / "my_lab.py").write_text(
    "def count(config, space, workdir, *, sign=1):\n"
    "  def evaluate(genotype, key):\n"
    "    with open(workdir.parent / 'calls', 'a') as file:\n"
    "      print('called', file=file)\n"
    "    ops = [edge.ops[0] for edge in genotype.cells['cell'].edges]\n"
    "    worth = ['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']\n"
    "    return {'score': sign * sum(map(worth.index, ops))}\n"
    "  return evaluate\n"
  )

  def make(methods=(), **entries):
    monkeypatch.setattr(estimates, "ENTRIES", entries)
    return estimates.make(
      root,
      tmp_path / "out",
      tmp_path / "run",
      data=made_up_benchmark,
      command="the command",
      cells=12,
      methods=methods,
      overrides=SMALL,
    )

  return make


def test_what_is_made_and_that_it_goes_on(make, tmp_path):
  (tmp_path / "run").mkdir()
  good, bad = dict(name="my_lab.count"), dict(name="my_lab.count", sign=-1)
  rows = make(good=good, bad=bad)
  means = {(row["method"], row["dataset"]): row["mean"] for row in rows}
  assert means["good", "cifar10"] > 0.9
  assert means["bad", "imagenet16_120"] == pytest.approx(-means["good", "imagenet16_120"])
  assert all(row["total_s"] == row["shared_s"] + 12 * row["cell_s"] for row in rows)
  columns = "method,dataset,mean,std,seeds,published,published_std,status,source"
  assert list(read(tmp_path / "out" / "table.csv")[0])[:9] == columns.split(",")
  assert (tmp_path / "out" / "plot.svg").stat().st_size > 1000
  record = json.loads((tmp_path / "out" / "provenance.json").read_text())
  assert record["command"] == "the command"
  assert len(record["data"][table.NASBENCH201]) == 64
  assert len((tmp_path / "run" / "calls").read_text().splitlines()) == 24
  again = make(("good",), good=good, bad=bad)
  assert len((tmp_path / "run" / "calls").read_text().splitlines()) == 24
  assert again == rows[:3]
  assert "Not estimated here: bad." in (tmp_path / "out" / "README.md").read_text()
  with pytest.raises(DnasError, match="unknown method: 'god'; did you mean 'good'"):
    make(("god",), good=good)


@pytest.mark.slow  # compiles networks
def test_real_estimates(make, tmp_path):
  short = dict(name="short_training", steps=2, images=64)
  shared = dict(name="one_shot", steps=2, images=64, calibration=1)
  make(one_shot_2=shared, short_training_2=short)
  rows = read(tmp_path / "out" / "table.csv")
  assert len(rows) == 6
  assert float(rows[0]["shared_s"]) > float(rows[0]["cell_s"]) > 0
  assert all(math.isfinite(float(row["total_s"])) for row in rows)
