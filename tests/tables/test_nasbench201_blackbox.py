# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The black-box table: made from a benchmark of our own, and the one in the repository."""

import csv
import itertools
import json

import numpy as np
import pytest

from dnas.estimate.tabular import DATASETS, TableError
from dnas.strategy import ask_tell, black_box
from dnas.tables import nasbench201_blackbox as blackbox
from dnas.tables import published, table


@pytest.fixture(scope="module")
def data(made_up_benchmark):
  """A benchmark whose accuracies are a digit sum."""
  return made_up_benchmark


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
  out = tmp_path_factory.mktemp("out")
  rows = blackbox.make(out, data=data, command="the command", seeds=2, budget=40, workers=0)
  return out, rows


def read(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def test_what_is_made(made):
  out, rows = made
  assert (out / "anytime.svg").read_bytes().startswith(b"<?xml")
  assert len(read(out / "table.csv")) == len(rows)
  main = [row for row in rows if row["method"] in blackbox.METHODS]
  assert {(row["method"], row["dataset"]) for row in main} == {
    *itertools.product(blackbox.METHODS, DATASETS)
  }
  assert all(row["seeds"] == 2 and row["mean"] > 12 for row in main)  # 12 is a random cell's
  record = json.loads((out / "provenance.json").read_text())
  assert record["command"] == "the command"
  assert len(record["data"][table.NASBENCH201]) == 64
  optimal = [row["mean"] for row in rows if row["method"] == "optimal"]
  assert optimal == pytest.approx([24 + 15_624e-5] * 3)


def test_a_curve_is_the_best_so_far_of_the_same_strategy(made, data):
  """Recomputed from the queries themselves, one seed after the other."""
  curve = [float(row["mean"]) for row in read(made[0] / "anytime.csv") if row["method"] == "rea"]
  benchmark, evaluate = blackbox._evaluation(str(data / table.NASBENCH201), "cifar10")
  test = benchmark.accuracy(dataset="cifar10", split="test", epochs=200)
  best = np.empty((2, 40))
  for seed in range(2):
    strategy = black_box.evolution(benchmark.space, population=10, sample=3)
    submit = ask_tell.at_once(evaluate)
    queries = list(ask_tell.explore(strategy, submit, budget=40, seed=seed))
    for i in range(40):
      best[seed, i] = test[int(ask_tell.best(queries[: i + 1]).metrics["row"])]
  np.testing.assert_allclose(curve, best.mean(0), rtol=1e-5)
  assert curve == sorted(curve)


def test_gaps_are_named(made):
  """The made-up accuracies are nowhere near the published ones."""
  text = (made[0] / "README.md").read_text()
  assert "Outside: rs on cifar10, rea on cifar10, reinforce on cifar10." in text


def test_a_missing_benchmark(tmp_path):
  with pytest.raises(TableError, match="is missing"):
    blackbox.make(tmp_path / "out", data=tmp_path, command="")
  assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def committed(root):
  return root / "paper_results" / "nasbench201_blackbox"


def test_the_table_in_the_repository(committed):
  """500 seeds each; within the tolerance of the published means; Markdown and CSV agree."""
  text = (committed / "table.csv").read_text()
  assert table.markdown(text) in (committed / "README.md").read_text()
  rows = read(committed / "table.csv")
  columns = "method,dataset,mean,std,seeds,published,published_std,status,source"
  assert list(rows[0])[:9] == columns.split(",")
  found = {(r["method"], r["dataset"], r["searched_on"]): r for r in rows}
  assert len(found) == len(rows)
  for method in blackbox.METHODS:
    row = found[method, "cifar10", "cifar10"]
    assert row["seeds"] == "500"
    if method != "local_search":
      fact = published.NASBENCH201[method, "cifar10"]
      assert float(row["published"]) == fact.mean
      assert abs(float(row["mean"]) - fact.mean) <= blackbox.TOLERANCE


@pytest.mark.slow
def test_the_numbers_in_the_repository_come_out_again(committed, shared):
  file = str(shared / "data" / "nasbench201" / table.NASBENCH201)
  benchmark, _ = blackbox._evaluation(file, "cifar10")
  rows = {(r["method"], r["dataset"], r["searched_on"]): r for r in read(committed / "table.csv")}
  for method in ("rea", "local_search"):
    winners = blackbox._incumbents(file, 500, 100, (method, "cifar10"))[:, -1]
    for dataset in DATASETS:
      row = blackbox._row(benchmark, method, dataset, "cifar10", winners)
      expected = rows[method, dataset, "cifar10"]
      assert [f"{row[k]:.6g}" for k in ("mean", "std")] == [expected[k] for k in ("mean", "std")]


def test_published_numbers_are_those_of_the_facts(shared):
  facts = json.loads((shared / "facts" / "published_numbers.json").read_text())["nasbench201"]
  by_name = {fact["method"].lower(): fact for fact in facts}
  fields = dict(zip(DATASETS, ("c10_test", "c100_test", "in16_test")))
  for (method, dataset), ours in published.NASBENCH201.items():
    fact = by_name[method]
    mean, _, std = fact[fields[dataset]].partition("±")
    assert (ours.mean, ours.std) == (float(mean), float(std) if std else None)
    assert ("unverified" in ours.status) == fact["status"].startswith("from-memory")
