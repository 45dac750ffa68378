# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The zero-cost table: from scores that are there, and the one in the repository."""

import csv
import functools
import json

import jax
import numpy as np
import pytest

from dnas import config as configs
from dnas import log
from dnas.data import load
from dnas.estimate import subject, tabular, zero_cost
from dnas.space import cells, genotypes, macro
from dnas.strategy import history
from dnas.tables import nasbench201_zero_cost as zero
from dnas.tables import published, table


@pytest.fixture(scope="module")
def scored(made_up_benchmark, tmp_path_factory):
  """The table of scores that are accuracies with noise, and its rows; no network is computed."""
  folder = tmp_path_factory.mktemp("zero")
  benchmark = tabular.nasbench201(made_up_benchmark / table.NASBENCH201)
  accuracy = benchmark.accuracy(dataset="cifar10", split="test", epochs=200)
  sign = {"grasp": -1.0}

  rng = np.random.default_rng(0)

  def score(config, space, chosen, path, names=None):
    names = names or config.proxies

    def scores(genotype, key):
      value = accuracy[benchmark.row(genotype)]
      found = {name: sign.get(name, 1.0) * value + 0.5 * rng.normal() for name in names}
      return {"score": 0.0, **found, **{f"{name}_s": 0.5 for name in names}}

    return zero._kept(config, space, chosen, scores, path, {})

  def at_depth(config, depth, chosen, path):
    return score(config, cells.nasbench201(), chosen, path, zero._OF_DEPTH)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(zero, "score", score)
    patch.setattr(zero, "at_depth", at_depth)
    patch.setattr(table, "bootstrapped", functools.partial(table.bootstrapped, draws=3))
    rows = zero.make(
      folder / "out",
      folder / "run",
      data=made_up_benchmark,
      command="the command",
      cells=30,
      overrides={"deep.cells": 20},
    )
  return folder, rows


def read(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def test_what_is_made(scored):
  folder, rows = scored
  written = read(folder / "out" / "table.csv")
  assert len(written) == len(rows) == 3 * (len(zero.get_config().proxies) + 2 * 3)
  found = {(row["method"], row["dataset"]): row for row in rows}
  assert found["naswot", "cifar10"]["mean"] > 0.9
  assert found["grasp", "cifar100"]["mean"] < -0.9
  assert (found["snip", "cifar10"]["cells"], found["snip_n5", "cifar10"]["cells"]) == (30, 20)
  assert found["synflow", "cifar10"]["agreement"] > zero.LEAST_AGREEMENT
  assert found["snip_n5", "cifar10"]["published"] == found["snip", "cifar10"]["published"] == 0.58
  assert found["snip", "cifar100"]["published"] == 0.63
  assert {row["status"] for row in rows} == {published.UNVERIFIED, zero._COMPUTED[0], ""}
  text = (folder / "out" / "README.md").read_text()
  assert "All are 0.9 or more." in text
  assert f"grasp {found['grasp_n5', 'cifar10']['mean']:.2f} at N = 5" in text
  assert (folder / "out" / "plot.svg").stat().st_size > 1000
  record = json.loads((folder / "out" / "provenance.json").read_text())
  assert len(record["data"][table.NASBENCH201]) == 64
  assert record["scoring_s"] == 30 * 8 * 0.5 + 2 * 20 * 3 * 0.5
  assert len(history.read(folder / "run" / "scores_n5.jsonl")) == 20


def test_an_implementation_that_disagrees_is_named(scored):
  rows = [{"method": "naswot", "agreement": 0.5, "dataset": "cifar10", "mean": 0.1}]
  deep = [dict(rows[0], method=f"{n}_n{d}", agreement="") for n in zero._OF_DEPTH for d in (1, 5)]
  text = zero._title(zero.get_config(), 10, [*rows, *deep])
  assert "**naswot: below 0.9, so not the published proxy.**" in text


@pytest.mark.slow  # computes gradients of small networks, one operation at a time
def test_scores_at_a_depth_are_those_of_the_cell_s_own_network(tmp_path):
  config = configs.changed(
    zero.get_config(), {"deep.channels": 2, "deep.batch_size": 4, "data.size": (8, 8)}
  )
  config = configs.changed(config, {"data.spec": "digits"})
  names = ["|nor_conv_1x1~0|+|skip_connect~0|none~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|"]
  chosen = [genotypes.from_nasbench201(name) for name in names]
  (query,) = zero.at_depth(config, 2, chosen, tmp_path / "scores.jsonl")
  network = macro.nasbench201(chosen[0], 2, 2)
  key = jax.random.fold_in(jax.random.key(config.seed), 1)
  _, batch = zero._batch(config, 4)
  batch = jax.tree.map(jax.numpy.asarray, subject.check(batch))
  alone = subject.subject(network, len(load("digits", "train").classes), key)
  for name in zero._OF_DEPTH:
    expected = float(jax.jit(getattr(zero_cost, name))(alone, batch, key))
    np.testing.assert_allclose(query.metrics[name], expected, rtol=1e-3)
  assert log.read(tmp_path / "scores.jsonl")[0]["about"]["depth"] == 2


def test_the_table_in_the_repository(root):
  """The right implementation, by the table's own columns; Markdown and CSV agree."""
  folder = root / "paper_results" / "nasbench201_zero_cost"
  text = (folder / "table.csv").read_text()
  assert table.markdown(text) in (folder / "README.md").read_text()
  rows = {(row["method"], row["dataset"]): row for row in read(folder / "table.csv")}
  for name in ("naswot", "synflow", "logsynflow"):
    assert float(rows[name, "cifar10"]["agreement"]) >= zero.LEAST_AGREEMENT
    assert abs(float(rows[name, "cifar10"]["mean"]) - float(rows[name, "cifar10"]["column"])) < 0.05
  assert {method for method, _ in rows} >= set(zero.get_config().proxies)
