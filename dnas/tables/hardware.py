# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy against latency on NAS-Bench-201: fronts that searches find, against the true front.

Every search may look at the same number of cells: their 12-epoch validation accuracy and their
latency on the device. Its front is that of all cells that it has looked at.
"""

import functools
import itertools
import pathlib
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from dnas import figures, files
from dnas.cost import objective
from dnas.cost.model import CostModel
from dnas.estimate import devices, tabular
from dnas.estimate.tabular import Table
from dnas.progress import say
from dnas.space import cells
from dnas.strategy import ask_tell, bilevel, optimizer, pricing, relaxation
from dnas.strategy.front import front, hypervolume
from dnas.strategy.nsga2 import nsga2
from dnas.strategy.problem import Problem
from dnas.strategy.random_search import random_search
from dnas.tables import table

LATENCIES = "nasbench201_latency_ms.csv.gz"
DEVICES = ("pixel3", "raspi4", "fpga", "eyeriss")
METHODS = ("random", "nsga2", "gradient")
# Of the gradient-based search: a sweep of the strength of `objective.linear`, whose unit is the
# accuracy in [0, 1]; measured cells for the additive model of the latency; the learning rate. These
# were chosen among six on pixel3 with seeds 100 to 103.
STRENGTHS = (0.0, 0.1, 0.3, 1.0)
FITTED, LR = 20, 0.1
CHANCE = 10.0  # accuracy of the reference point, percent


def make(
  out: pathlib.Path,
  *,
  data: pathlib.Path,
  command: str,
  seeds: int = 20,
  budgets: Sequence[int] = (100, 300),
) -> list[table.Row]:
  """Makes the table, `fronts.csv` with the fronts of the first seed, and `fronts.svg`.

  Args:
    out: folder of the table.
    data: folder with `table.NASBENCH201` and LATENCIES.
    command: goes into the provenance.
    seeds: independent searches.
    budgets: cells that each may look at.

  Raises:
    TableError: a file is missing or malformed.
  """
  start = time.monotonic()
  bench = devices.with_devices(tabular.nasbench201(data / table.NASBENCH201), data / LATENCIES)
  rows, shown = [], []
  for device in DEVICES:
    points = _Points(bench, device)
    for budget, method in itertools.product(budgets, METHODS):
      if method == "gradient":
        looked = _by_gradient(points, range(seeds), budget)
      else:
        looked = [_search(points, method, seed, budget) for seed in range(seeds)]
      rows.append(_row(points, device, method, budget, looked))
      say(rows[-1])
      if budget == budgets[-1]:
        shown += _front_rows(points, device, method, looked[0])
    shown += _front_rows(points, device, "true", np.arange(len(bench.rows)))
  files.atomic_write(out / "fronts.csv", table.csv_text(shown))
  figures.save(_plot(shown), out / "fronts.svg")
  provenance = {
    "command": command,
    "data": table.digests(data, (table.NASBENCH201, LATENCIES)),
    "seeds": f"0 to {seeds - 1}",
    "cells_looked_at": list(budgets),
    "strengths": STRENGTHS,
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  table.write(out, _title(seeds), rows, provenance)
  return rows


class _Points:
  """What a search on one device may look at, and what it is judged by.

  Attributes:
    bench: the benchmark.
    device: name of the latency's column.
    score: `[N]`, 12-epoch validation accuracy, percent.
    test: `[N]`, 200-epoch test accuracy, percent.
    ms: `[N]`, latency.
    rows: `[5, 5, 5, 5, 5, 5]`, the benchmark's row of each choice of operations.
  """

  def __init__(self, bench: Table, device: str):
    self.bench, self.device = bench, device
    self.score = bench.accuracy(dataset="cifar10", split="valid", epochs=12)
    self.test = bench.accuracy(dataset="cifar10", split="test", epochs=200)
    self.ms = bench.column(device)
    self.rows = _rows(bench)

  def row(self, choices: ask_tell.PlainChoices) -> int:
    return int(self.rows[tuple(map(cells.NASBENCH201_OPS.index, map(str, choices["cell"])))])

  def ratio(self, looked: np.ndarray) -> float:
    """Hypervolume of what a search has looked at, as a share of that of all cells."""
    area = lambda rows: hypervolume(self.score[rows], self.ms[rows], CHANCE, float(self.ms.max()))
    return area(looked) / area(np.arange(len(self.ms)))

  def ratio_test(self, looked: np.ndarray) -> float:
    """The same by test accuracy: of the cells on the front that the search sees."""
    most, on = float(self.ms.max()), looked[front(self.score[looked], self.ms[looked])]
    area = hypervolume(self.test[on], self.ms[on], CHANCE, most)
    return area / hypervolume(self.test, self.ms, CHANCE, most)


@functools.lru_cache(maxsize=2)
def _rows(bench: Table) -> np.ndarray:
  """Row of each choice, from the names |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""
  rows = np.zeros((len(cells.NASBENCH201_OPS),) * 6, np.int32)
  for name, row in bench.rows.items():
    ops = [part.split("~")[0] for part in name.replace("+", "").split("|") if part]
    rows[tuple(map(cells.NASBENCH201_OPS.index, ops))] = row
  return rows


def _search(points: _Points, method: str, seed: int, budget: int) -> np.ndarray:
  """The rows of the cells that a search has looked at, at most `budget` different ones."""
  space = points.bench.space
  strategy = {
    "random": lambda: random_search(space),
    "nsga2": lambda: nsga2(space, costs=("ms",), population=20),
  }[method]()

  def evaluate(choices: ask_tell.PlainChoices, number: int) -> ask_tell.Metrics:
    del number
    row = points.row(choices)
    return {"score": float(points.score[row]), "ms": float(points.ms[row]), "row": row}

  run = ask_tell.explore(strategy, ask_tell.at_once(evaluate), budget=budget, seed=seed)
  return np.array([int(query.metrics["row"]) for query in run])


def _by_gradient(points: _Points, seeds: Sequence[int], budget: int) -> list[np.ndarray]:
  """DSNAS' estimator on the benchmark: alpha descends 1 - accuracy + strength * E[ms] / mean.

  A step samples one cell, looks it up, and moves alpha by the score function; the expected latency
  has an exact gradient, by an additive model of FITTED random cells, which count as looked at. The
  rest of the budget is spread over the strengths of the sweep, each a search of its own. All
  searches of all seeds are one program.
  """
  steps = (budget - FITTED) // len(STRENGTHS)
  known, priced, baselines, keys = [], [], [], []
  for seed in seeds:
    drawn = np.random.default_rng(seed).choice(len(points.ms), FITTED, replace=False)
    model = devices.cost_model(points.bench, points.device, drawn.tolist())
    known.append(drawn)
    for n, strength in enumerate(STRENGTHS):
      priced.append(strength / points.ms[drawn].mean() * np.stack(model.ops["cell"]))
      baselines.append(points.score[drawn].mean() / 100)
      keys.append(jax.random.fold_in(jax.random.key(seed), n))
  sampled = _descend(
    steps,
    jnp.asarray(points.rows),
    jnp.asarray(points.score / 100, jnp.float32),
    jnp.asarray(np.stack(priced), jnp.float32),
    jnp.asarray(baselines, jnp.float32),
    jnp.stack(keys),
  )
  each = np.asarray(sampled).reshape(len(seeds), -1)
  return [np.concatenate([drawn, rows]) for drawn, rows in zip(known, each, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.vmap, in_axes=(None, None, None, 0, 0, 0))
def _descend(steps, rows, score, priced, baseline, key) -> jax.Array:
  """The rows [steps] of the cells that one search, by the package's own loop, samples.

  Args:
    steps: of the search.
    rows: `[5, 5, 5, 5, 5, 5]`, the row of each choice.
    score: `[N]`, accuracies in [0, 1].
    priced: `[6, 5]`, what each operation adds to the loss.
    baseline: an accuracy that is taken off, so that samples pull up or down.
    key: of the search.
  """
  space = cells.nasbench201()

  def loss(params, stats, weights, batch, key, train, progress=0.0):
    """(baseline - accuracy) * the product of the sampled weights, which are 1."""
    chosen = tuple(jnp.argmax(w) for w in weights["cell"])
    gates = jnp.stack([w[o] for w, o in zip(weights["cell"], chosen, strict=True)])
    return (baseline - score[rows[chosen]]) * jnp.prod(gates), (stats, {"row": rows[chosen]})

  model = CostModel("priced", space, 0.0, {"cell": tuple(priced)})
  machine = bilevel.bilevel(
    Problem(space, lambda key: ({"none": jnp.zeros(())}, {}), loss),
    relaxation.score_function(),
    None,
    optimizer.sgd(steps=steps, lr=1e-3),
    optimizer.adam(lr=LR, weight_decay=0.0),
    steps=steps,
    # The strength and the unit are in the prices.
    pricing=pricing.pricing({"priced": model}, {}, objective.linear(1.0, 1.0), "priced"),
  )
  step = lambda state, _: machine.step(state, (), None)
  return jax.lax.scan(step, machine.init(key), length=steps)[1]["row"]


def _row(
  points: _Points, device: str, method: str, budget: int, looked: Sequence[np.ndarray]
) -> table.Row:
  found: dict[str, float | str | int] = {"device": device, "looks": budget, "method": method}
  for name, ratio in (("hv_ratio", points.ratio), ("hv_ratio_test", points.ratio_test)):
    mean, deviation, half = table.interval([ratio(rows) for rows in looked])
    found |= {name: mean, f"{name} std": deviation, f"{name} ±": half}
  found["cells"] = float(np.mean([len(np.unique(rows)) for rows in looked]))
  return found | {"seeds": len(looked)}


def _front_rows(points: _Points, device: str, method: str, looked: np.ndarray) -> list[table.Row]:
  on = looked[front(points.score[looked], points.ms[looked])]
  return [
    {
      "device": device,
      "method": method,
      "latency_ms": float(points.ms[row]),
      "valid_12": float(points.score[row]),
      "test_200": float(points.test[row]),
    }
    for row in on
  ]


def _plot(rows: Sequence[table.Row]) -> Figure:
  """The fronts of one seed, as staircases, one picture a device."""
  figure = Figure(figsize=(9, 6.4), layout="constrained")
  colours = (*map(figures.colour, (-1, 1, 0)), "black")
  for axes, device in zip(figure.subplots(2, 2).flat, DEVICES, strict=True):
    for method, colour in zip((*METHODS, "true"), colours, strict=True):
      mine = [r for r in rows if r["device"] == device and r["method"] == method]
      x, y = ([r[k] for r in mine] for k in ("latency_ms", "valid_12"))
      width = 0.9 if method == "true" else 1.4
      axes.step(x, y, where="post", color=colour, label=method, linewidth=width)
    best = max(r["valid_12"] for r in rows if r["device"] == device)
    axes.set(title=device, xlabel="latency, ms", ylabel="12-epoch validation, %")
    axes.set_ylim(best - 30, best + 1)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
  return figure


def _title(seeds: int) -> str:
  strengths = ", ".join(map(str, STRENGTHS))
  return f"""Accuracy against latency on NAS-Bench-201
{seeds} seeds; each search may look at `looks` cells (12-epoch CIFAR-10 validation accuracy, and the
latency on the device: HW-NAS-Bench's columns). `hv_ratio`: the hypervolume of the cells that a
search has looked at, as a share of the true front's, both by what is looked at; `hv_ratio_test`:
the cells on that front, judged by their 200-epoch test accuracy, against the front of all cells by
that accuracy. Reference point: 10 % accuracy and the device's largest latency. `±`: half of the
95 % t-interval; `cells`: different ones looked at.

`random`: random search. `nsga2`: evolution, population 20. `gradient`: `bilevel` with DSNAS'
score-function relaxation and `objective.linear`, a sweep of the strengths {strengths}; the
expected latency is of an additive model, fitted to {FITTED} random cells that count as looked at.
Strengths, learning rate and number of fitted cells were chosen among six settings on pixel3, with
other seeds (100 to 103), so that its rows on pixel3 may flatter it.
(No supernet is trained here: the accuracy of each sampled cell is looked up, as for the others.)

![Fronts of the first seed](fronts.svg)"""
