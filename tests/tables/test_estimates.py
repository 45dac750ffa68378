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
    "def proxies(config, space, workdir):\n"
    "  names = ('score', 'naswot', 'naswot_s', 'zen', 'zen_s')\n"
    "  score = count(config, space, workdir)\n"
    "  return lambda *given: dict.fromkeys(names, score(*given)['score'])\n"
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
  assert all(row["total_s"] == row["shared_s"] + row["cells_s"] for row in rows)
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
  text = (tmp_path / "out" / "README.md").read_text()
  assert "Not estimated here: bad." in text
  assert f"All on {table.origin()['hardware']}." in text
  with pytest.raises(DnasError, match="unknown method: 'god'; did you mean 'good'"):
    make(("god",), good=good)


def test_seconds_are_those_measured_and_machines_those_recorded(make, tmp_path, monkeypatch):
  """Compiling, once with the first cell, is shared; a slow cell counts as it was."""
  proxies = ("naswot", "zen")
  monkeypatch.setattr(estimates, "PROXIES", proxies)
  entries = dict(zero_cost=dict(name="my_lab.proxies"), other=dict(name="my_lab.count"))
  make(**entries)
  path = tmp_path / "run" / "zero_cost" / "done.json"
  record = json.loads(path.read_text())
  record["result"]["metrics"] = [
    {"naswot": n, "naswot_s": 0.5, "zen": n, "zen_s": 20.0 if n == 7 else 0.25, "wall_s": wall}
    for n, wall in enumerate([91.0, *[1.0] * 6, 21.0, *[1.0] * 4])
  ]
  record["origin"]["hardware"] = "an abacus"
  path.write_text(json.dumps(record))
  rows = make(**entries)
  naswot, zen = (next(row for row in rows if row["method"] == name) for name in proxies)
  assert (naswot["cells_s"], naswot["cell_s"]) == (6.0, 0.5)
  assert (zen["cells_s"], zen["cell_s"]) == (11 * 0.25 + 20, 0.25)
  assert naswot["shared_s"] == zen["shared_s"] == 91 + 10 + 21 - 6 - zen["cells_s"]
  text = (tmp_path / "out" / "README.md").read_text()
  assert "Not all on one kind of machine" in text
  assert f"`zero_cost` on an abacus; `other` on {table.origin()['hardware']}." in text


@pytest.mark.slow  # compiles networks
def test_real_estimates(make, tmp_path):
  short = dict(name="short_training", steps=2, images=64)
  shared = dict(name="one_shot", steps=2, images=64, calibration=1)
  make(one_shot_2=shared, short_training_2=short)
  rows = read(tmp_path / "out" / "table.csv")
  assert len(rows) == 6
  assert float(rows[0]["shared_s"]) > float(rows[0]["cell_s"]) > 0
  assert all(math.isfinite(float(row["total_s"])) for row in rows)
