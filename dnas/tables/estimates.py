# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How well an estimate ranks NAS-Bench-201's cells, and what it costs in seconds.

One-shot, short training and zero-cost estimates of the same cells, by `dnas.estimate.estimates` on
configs/nasbench201_cifar10.py, as a search with a black-box strategy would have them.
"""

import functools
import pathlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dnas import config as configs
from dnas import files, naming
from dnas.config import Config
from dnas.errors import DnasError, choose_from
from dnas.estimate import estimates, tabular
from dnas.estimate.tabular import DATASETS
from dnas.fields import plain
from dnas.method import space_of
from dnas.progress import Count, say
from dnas.space import genotypes
from dnas.space.space import SearchSpace
from dnas.strategy import history
from dnas.tables import plot, published, table
from dnas.tables.nasbench201_zero_cost import listed
from dnas.tables.once import FILE, all_of, once

PROXIES = ("naswot", "synflow", "logsynflow", "snip", "grasp", "jacob_cov", "grad_norm", "zen")
# Name -> the entry of a config. One-shot and short training: so many steps.
ENTRIES: dict[str, dict[str, Any]] = {
  "zero_cost": dict(name="zero_cost", proxies=PROXIES, batch_size=32),
  "one_shot_500": dict(name="one_shot", steps=500),
  "one_shot_2000": dict(name="one_shot", steps=2000),
  "short_training_50": dict(name="short_training", steps=50),
  "short_training_200": dict(name="short_training", steps=200),
  "short_training_800": dict(name="short_training", steps=800),
}
# A shortly trained network is as wide and deep as the one-shot and zero-cost ones.
NETWORK = {"train.network": dict(name="nasbench201", channels=8, cells=1), "train.ema": 0.0}


def make(
  root: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  data: pathlib.Path,
  command: str,
  cells: int = 100,
  methods: Sequence[str] = (),
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table; estimates that are in `workdir` already are not made again.

  Args:
    root: of the repository, for `configs`.
    out: folder of the table and of `plot.svg`.
    workdir: a folder for each of ENTRIES, with `history.jsonl`.
    data: folder with `table.NASBENCH201`.
    command: goes into the provenance.
    cells: how many, drawn at random without repetition.
    methods: some of ENTRIES; none: all.
    overrides: of configs/nasbench201_cifar10.py.

  Raises:
    DnasError: the benchmark, the data, a method or an override is wrong.
  """
  start = time.monotonic()
  if unknown := [name for name in methods if name not in ENTRIES]:
    raise DnasError(choose_from("method:", unknown[0], ENTRIES))
  benchmark = tabular.nasbench201(data / table.NASBENCH201)
  file = root / "configs" / "nasbench201_cifar10.py"
  config = configs.load(file, {**NETWORK, **(overrides or {})})
  rows = random.Random(config.seed).sample(range(benchmark.space.size), cells)
  names = list(benchmark.rows)
  chosen = [genotypes.from_nasbench201(names[row]) for row in rows]
  jobs = [
    functools.partial(estimate, config, ENTRIES[name], chosen, workdir / name)
    for name in methods or ENTRIES
  ]
  found: list[table.Row] = []
  for name, (metrics, shared_s) in zip(methods or ENTRIES, all_of(jobs), strict=True):
    found += _rows(name, metrics, shared_s, benchmark, rows)
    say(f"{name}: tau {found[-len(DATASETS)]['mean']:.3f}")
  provenance = {
    "command": command,
    "data": table.digests(data, [table.NASBENCH201]),
    "settings": plain(config),
    "estimates": {name: ENTRIES[name] for name in methods or ENTRIES},
    "cells": cells,
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  machines = _machines(workdir, list(methods or ENTRIES))
  title = _title(config, cells, set(ENTRIES) - set(methods or ENTRIES), machines)
  table.write(out, title, found, provenance)
  plot.scatter(
    out / "plot.svg",
    [row for row in found if row["dataset"] == DATASETS[0]],
    x="total_s",
    labels=(f"seconds for {cells} cells, with what they share", "Kendall's tau, CIFAR-10"),
  )
  return found


def estimate(
  config: Config, entry: Mapping[str, Any], chosen: Sequence[SearchSpace], folder: pathlib.Path
) -> tuple[list[Mapping[str, float]], float]:
  """The metrics of cells, with `wall_s` each; and the seconds of what they share (a supernet).

  What they share is timed when it is made, and NaN where that was interrupted.
  """
  is_new, space = not folder.exists(), space_of(config)
  cells = [genotypes.to_nasbench201(genotype) for genotype in chosen]

  def run() -> dict[str, Any]:
    start = time.perf_counter()
    evaluator = naming.bind(dict(entry), estimates, config, space, folder)
    seconds = time.perf_counter() - start if is_new else float("nan")

    def timed(genotype: SearchSpace, key: jax.Array) -> dict[str, float]:
      begun = time.perf_counter()
      metrics = evaluator(genotype, key)
      return {**metrics, "wall_s": time.perf_counter() - begun}

    count = Count(f"{folder.name}: cell", len(chosen))
    queries = history.run(
      space,
      listed(space, chosen),
      timed,
      folder / "history.jsonl",
      budget=len(chosen),
      seed=config.seed,
      about={"config": plain(config), "estimate": dict(entry)},
      watch=lambda query: count(query.number, f"score {query.metrics['score']:.3f}"),
    )
    return {"metrics": [query.metrics for query in queries], "shared_s": seconds}

  found = once(folder, ConfigDict({**config, "estimate": entry, "cells": cells}), run)
  return found["metrics"], found["shared_s"]


def _rows(
  name: str,
  cells: Sequence[Mapping[str, float]],
  shared_s: float,
  benchmark: tabular.Table,
  rows: Sequence[int],
) -> list[table.Row]:
  """One row for each data set; zero-cost proxies are computed together and are a method each."""
  lines = []
  proxies = PROXIES if name == "zero_cost" else ("score",)
  of = lambda key: np.array([metrics[key] for metrics in cells])
  if name == "zero_cost":  # With the first cell all are compiled, which only `wall_s` counts.
    shared_s = float(of("wall_s").sum() - sum(of(f"{proxy}_s").sum() for proxy in proxies))
  for metric in proxies:
    scores = of(metric)
    seconds = of(f"{metric}_s" if name == "zero_cost" else "wall_s")
    for dataset in DATASETS:
      accuracy = benchmark.accuracy(dataset=dataset, split="test", epochs=200)[rows]
      mean, deviation = table.bootstrapped(table.kendall, scores, accuracy)
      line = {"method": metric if name == "zero_cost" else name, "dataset": dataset}
      line |= {"mean": mean, "std": deviation, "seeds": 1, **published.columns(None)}
      line |= {"shared_s": shared_s, "cells_s": float(seconds.sum())}
      line |= {"cell_s": float(np.median(seconds)), "total_s": shared_s + float(seconds.sum())}
      lines.append(line)
  return lines


def _machines(workdir: pathlib.Path, names: Sequence[str]) -> str:
  """Where the estimates were made, as their records have it."""
  at: dict[str, list[str]] = {}
  for name in names:
    origin = files.json_of(workdir / name / FILE).get("origin", {})
    at.setdefault(origin.get("hardware", "an unknown machine"), []).append(f"`{name}`")
  if len(at) == 1:
    return f"All on {next(iter(at))}."
  where = "; ".join(f"{', '.join(made)} on {hardware}" for hardware, made in at.items())
  return f"Not all on one kind of machine, which their seconds show, too: {where}."


def _title(config: Config, cells: int, missing: set[str], machines: str) -> str:
  network, size = config.search.network, config.data.size
  part = f"\nNot estimated here: {', '.join(sorted(missing))}." if missing else ""
  return f"""NAS-Bench-201: how well do cheap estimates rank, and at what cost?
Kendall's tau between an estimate and the 200-epoch test accuracy, over the same {cells} random
cells for all, with the standard deviation over bootstrap samples of the cells. Estimated on
CIFAR-10 at {size[0]} x {size[1]}, {network.channels} channels, N = {network.cells}, seed
{config.seed}: zero-cost proxies from one batch; `one_shot_S` with the weights of a supernet that
was trained for S steps on uniform paths (statistics recalibrated for each cell);
`short_training_S` by training each cell for S steps, its schedule included. These two are measured
on up to 1,000 held-out images, so that an accuracy has a standard error of up to 1.6 points; after
so few steps that is about as much as most cells differ by.

Seconds as they were measured, beside whatever else ran: `shared_s` for what all cells share (data,
the supernet's training; of the zero-cost proxies, for all {len(PROXIES)} together, compiling them),
`cells_s` the sum over the cells (of `short_training_S` each cell is compiled in it), `cell_s` the
median of a cell, `total_s` = `shared_s` + `cells_s`.

{machines}{part}

![Tau against seconds](plot.svg)"""
