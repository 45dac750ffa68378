# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.cost`: budgets that a search keeps, and errors before anything is computed."""

import json
import random

import jax
import numpy as np
import pytest

from dnas import budgeted, data, hardware, log, method, search
from dnas import config as configs
from dnas import task as tasks
from dnas.cost.latency import LatencyTable, Protocol
from dnas.cost.model import CostModel
from dnas.errors import DnasError
from dnas.space.genotypes import RESIDUAL
from dnas.space.space import SearchSpace
from dnas.strategy import discretize, pricing
from dnas.task import timing

SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1", "nor_conv_3x3"), nodes=1),
  "search.network": dict(name="detector", channels=(4,), stem_channels=4),
  "train.network": None,
  "search.steps": 4,
  "search.warmup_steps": 1,
  "search.batch_size": 8,
  "search.watch.every_steps": 0,
  "data.threads": 1,
}


def small(root, **overrides):
  changes = {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}}
  return configs.load(root / "configs" / "digits.py", changes)


def task_and_space(config):
  source = data.labelled(config.data.spec, config.data.train_split)
  return method.task_of(config, source), method.space_of(config)


@pytest.mark.slow
def test_a_search_keeps_its_budget_and_reports_it(root, tmp_path):
  """4 -> 4 channels on 2 x 2: conv 3x3 has 576 MACs, 1x1 has 64, skip none."""
  config = small(root)
  task, space = task_and_space(config)
  price = hardware.pricer(small(root, cost__macs=10**9), task, tmp_path)
  priced = price(space)
  assert priced is not None
  fixed = priced.costs["macs"].fixed
  # Of two batches an update each moves the multipliers half as far.
  weights = {"cell": (np.array([1.0, 0.0, 0.0], np.float32),)}
  over = dict(priced.pricing.init(), macs=1.0 + np.zeros((), np.float32))
  moved = [price(space, k).pricing.update(weights, over)[0]["macs"] - 1 for k in (1, 2)]
  np.testing.assert_allclose(moved[0], 2 * moved[1], rtol=1e-5)
  assert moved[0] < 0
  budget = fixed + 100
  config = small(root, cost__macs=budget, search__alpha_optimizer__lr=0.5)
  genotype = search.search(config, tmp_path / "run")
  (edge,) = genotype.cells["cell"].edges
  assert edge.ops[0] in ("skip_connect", "nor_conv_1x1")
  assert tasks.cost(task, genotype).macs <= budget
  record = json.loads((tmp_path / "run" / "cost.json").read_text())
  assert record["budgets"] == {"macs": budget}
  assert record["macs"] == tasks.cost(task, genotype).macs
  steps = log.read(tmp_path / "run" / "metrics.jsonl")
  assert "expected/macs" not in steps[0]  # the warm-up
  assert fixed < steps[1]["expected/macs"] < fixed + 576
  # The expected cost was above the budget, so its multiplier has grown.
  assert 0 < steps[1]["multiplier/macs"] < steps[2]["multiplier/macs"]
  assert search.search(config, tmp_path / "run") == genotype


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(cost__macs=10.0), r"budget macs = 10 cannot be met: the cheapest .* Reachable: [\d,]+"),
    (dict(cost__params=-1), "budget params must be above 0, got -1"),
    (dict(cost__macs="many"), r"config.cost.macs must be a number, got 'many'"),
    (dict(cost__macs=1e6, train__macs=1000), "cannot be combined with train.macs"),
    (dict(cost__macs=1e6, space=dict(name="genotype", source=RESIDUAL)), "leaves no choice"),
    (dict(cost__macs=1e6, search__discretize=dict(name="threshold")), "needs search.discretize"),
    (dict(cost__macs=1e6, search__projection=dict(batches=1)), "cannot be combined with search.p"),
    (dict(cost__objective=dict(name="absolute", target=1.0)), "is a reward for black-box"),
    (dict(cost__objective="absolute"), "absolute is a reward for black-box"),
    (
      dict(
        cost__objective=dict(name="linear", reference=1.0),
        cost__priced="macs",
        search__projection={},
      ),
      "cannot be combined with search.projection",
    ),
    (dict(cost__macs=1e6, search__discretize="threshold"), "needs search.discretize"),
    (
      dict(cost__macs=1e6, search__stages=(dict(keep=2), dict(discretize="threshold"))),
      "needs search.discretize",
    ),
    (dict(cost__latency_ms=1.0, seeds=2), "latency_ms: one seed at a time"),
    (
      dict(cost__latency_ms=1.0, task__dtype="bfloat16"),
      "task.dtype = 'bfloat16': latency is meas",
    ),
  ],
)
def test_errors_come_first(root, tmp_path, changes, message):
  with pytest.raises(DnasError, match=message):
    search.search(small(root, **changes), tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_unknown_fields(root):
  config = small(root)
  with config.unlocked():
    config.cost = dict(latency=5.0, flops=3)
  with pytest.raises(DnasError, match=r"unknown field of config\.cost: 'flops'"):
    hardware.settings_of(config)


def planted(space, fixed=1.0):
  """A conv 3x3 costs 4 ms, a 1x1 2 ms, a skip nothing."""
  cost = {"skip_connect": 0.0, "nor_conv_1x1": 2.0, "nor_conv_3x3": 4.0}
  row = lambda edge: np.array([cost[op] for op in edge.ops])
  rows = {"cell": tuple(map(row, space.cells["cell"].edges))}
  return CostModel("latency_ms", space, fixed, rows)


def test_a_network_that_is_slower_than_predicted_is_decided_anew(root, tmp_path):
  config = small(root, cost__latency_ms=5.0)
  _, space = task_and_space(config)
  costs = {"latency_ms": planted(space)}
  priced = hardware.Priced(costs, {"latency_ms": 5.0}, pricing.pricing(costs))
  alpha = {"cell": ([0.0, 1.0, 2.0],)}
  real = {"nor_conv_3x3": 6.0, "nor_conv_1x1": 4.0, "skip_connect": 3.0}
  asked = []

  def measure(genotype):
    (edge,) = genotype.cells["cell"].edges
    asked.append(edge.ops[0])
    return real[edge.ops[0]]

  free = discretize.argmax()
  keep = lambda folder: budgeted.keep(config, priced, free, space, alpha, folder, measure)
  genotype = keep(tmp_path / "a")
  assert asked == ["nor_conv_3x3", "nor_conv_3x3", "nor_conv_1x1"]
  assert genotype.cells["cell"].edges[0].ops == ("nor_conv_1x1",)
  assert json.loads((tmp_path / "a" / "cost.json").read_text())["latency_ms_measured"] == 4.0
  assert keep(tmp_path / "a") == genotype  # without measuring again
  assert len(asked) == 3
  other = {"cell": ([0.0, 2.0, 1.0],)}  # The search has gone on since.
  found = budgeted.keep(config, priced, free, space, other, tmp_path / "a", measure)
  assert len(asked) == 4
  assert found.cells["cell"].edges[0].ops == (asked[-1],)
  real |= {"nor_conv_1x1": 5.5, "skip_connect": 5.2}
  with pytest.raises(DnasError, match=r"latency_ms = 5.0: 3 genotypes .* Reachable: 5.2 ms"):
    keep(tmp_path / "b")


def test_the_cheapest_genotype_is_measured_before_a_budget_is_given_up(root, tmp_path):
  config = small(root, cost__latency_ms=5.0)
  _, space = task_and_space(config)
  # The least prediction is nearly the budget: a budget smaller in proportion is out of reach.
  costs = {"latency_ms": planted(space, fixed=4.5)}
  priced = hardware.Priced(costs, {"latency_ms": 5.0}, pricing.pricing(costs))
  times = iter([7.0, 6.0, 4.9])
  measure = lambda genotype: next(times)
  alpha, free = {"cell": ([0.0, 1.0, 2.0],)}, discretize.argmax()
  with pytest.raises(DnasError, match=r"1 genotypes .* 6 ms. Reachable: 6 ms"):
    budgeted.keep(config, priced, free, space, alpha, tmp_path / "a", measure)
  costs = {"latency_ms": planted(space, fixed=2.5)}
  priced = hardware.Priced(costs, {"latency_ms": 5.0}, pricing.pricing(costs))
  times = iter([9.0, 9.5, 4.9])  # conv 1x1 (predicted: 4.5) twice, and then the skip
  genotype = budgeted.keep(config, priced, free, space, alpha, tmp_path / "b", measure)
  assert genotype.cells["cell"].edges[0].ops == ("skip_connect",)


def test_a_disturbed_measurement_is_taken_again(root, tmp_path):
  config = small(root, cost__latency_ms=5.0)
  _, space = task_and_space(config)
  costs = {"latency_ms": planted(space)}
  priced = hardware.Priced(costs, {"latency_ms": 5.0}, pricing.pricing(costs))
  times, alpha = iter([11.0, 4.8]), {"cell": ([0.0, 1.0, 2.0],)}
  measure, free = lambda genotype: next(times), discretize.argmax()
  genotype = budgeted.keep(config, priced, free, space, alpha, tmp_path / "a", measure)
  assert genotype.cells["cell"].edges[0].ops == ("nor_conv_3x3",)
  assert json.loads((tmp_path / "a" / "cost.json").read_text())["latency_ms_measured"] == 4.8


def test_several_processes_measure_no_table_and_ask_nobody_to(root, tmp_path, monkeypatch):
  config = small(root, cost__latency_ms=5.0)
  task, space = task_and_space(config)
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  asked = []
  fill = lambda network, table: asked.append(table)
  price = hardware.pricer(config, task, tmp_path, fill)
  with pytest.raises(DnasError, match=r"latency\.json: several processes cannot measure one table"):
    price(space)
  assert not asked


@pytest.mark.slow
def test_latency_is_measured_and_the_budget_holds(root, tmp_path):
  """End to end: the table, the prediction, a search and its measured genotype."""
  quick = dict(rounds=3, calls=3, copies=2)
  config = small(root)
  task, space = task_and_space(config)
  table = LatencyTable(tmp_path / "table.json", Protocol(**quick))
  model = timing.latency_model(task, space, table, calibration=2)
  assert len(table.entries) == 2 + 2
  genotype = space.sample(random.Random(1))
  assert model.of(genotype) >= model.fixed >= 0
  again = timing.latency_model(task, space, LatencyTable(table.path), calibration=2)
  assert again.of(genotype) == model.of(genotype)
  budget = 5 * max(model.of(genotype), table.ms("nor_conv_3x3 4->4 2x2 stride 1"), 1.0)
  config = small(
    root, cost__latency_ms=budget, cost__latency=quick, cost__table=str(tmp_path / "table.json")
  )
  found = search.search(config, tmp_path / "run")
  record = json.loads((tmp_path / "run" / "cost.json").read_text())
  assert record["latency_ms_measured"] <= budget
  assert SearchSpace.from_dict(record["genotype"]) == found
  assert {p.name for p in (tmp_path / "run").iterdir()}.isdisjoint({"latency.json"})
  config = configs.changed(config, {"cost.latency_ms": 1e-6})
  with pytest.raises(DnasError, match="cannot be met: the cheapest genotype of the space needs"):
    search.search(config, tmp_path / "none")
