# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The same detection search without and with a budget of latency: AP and measured milliseconds."""

import functools
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from dnas import apart, data, figures, files, hardware
from dnas import config as configs
from dnas.config import Config
from dnas.cost.latency import LatencyTable, Protocol, clock_here
from dnas.cost.model import CostModel
from dnas.evaluate import evaluate
from dnas.method import space_of, task_of
from dnas.search import search
from dnas.space.space import SearchSpace
from dnas.strategy import budgets
from dnas.tables import plot, table
from dnas.task import timing
from dnas.train import train

SHARES = (0.75, 0.5, 0.25)
MARGIN = 1.05  # above the cheapest genotype, for what a measurement may be off


def make(
  config_file: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  command: str,
  seeds: int = 3,
  shares: Sequence[float] = SHARES,
  given: Protocol | None = None,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table and its plot; runs that are there already are not run again.

  At the end all that was found is measured together, in turns, so that it sees the same machine.

  budget = 1.05 cheapest + share (free - cheapest): the predicted latency of the cheapest genotype,
  and of the one that seed 0 finds without a budget.

  Args:
    config_file: of a detection search.
    out: folder of the table.
    workdir: folder of the runs, and of the table of measured operations.
    command: goes into the provenance.
    seeds: how many.
    shares: of the budgets.
    given: how latency is measured; None: the default protocol, with processor time for a clock on
      one core of a CPU.
    overrides: of the config.
  """
  start, protocol = time.monotonic(), given or Protocol(clock=clock_here())
  load = lambda seed, more: configs.load(config_file, {**(overrides or {}), "seed": seed, **more})
  first = load(0, {})
  task = task_of(first, data.labelled(first.data.spec, first.data.train_split))
  space = hardware.trained(first, space_of(first))
  times = LatencyTable(workdir / "latency.json", protocol)
  model = timing.latency_model(task, space, times, fill=functools.partial(apart.fill, first))
  free = model.of(search(first, workdir / "free" / "seed0" / "search"))
  least = budgets.cheapest(space, {"latency_ms": model}, "latency_ms", {})
  assert least is not None
  limits: dict[str, float | None] = {"free": None}
  for share in shares:
    limits[f"share {share}"] = round(MARGIN * least + share * max(free - least, 0.0), 4)
  runs: list[dict[str, Any]] = []
  networks: dict[str, SearchSpace] = {}
  for seed in range(seeds):
    for name, limit in limits.items():
      more = {} if limit is None else _cost(limit, times)
      config = load(seed, more)
      genotype, numbers = _run(config, model, workdir / name.replace(" ", "_"))
      network = hardware.trained(config, genotype)
      networks[str(len(runs))] = network
      runs.append({"budget": name, "budget_ms": limit, "seed": seed, **numbers})
  for n, ms in apart.measured_ms(first, networks, protocol).items():
    runs[int(n)]["measured_ms"] = ms
  files.atomic_write(out / "runs.json", json.dumps(runs, indent=1) + "\n")
  rows = [_summary([run for run in runs if run["budget"] == name]) for name in limits]
  provenance = {
    "command": command,
    "config": config_file.name,
    "overrides": dict(overrides or {}),
    "seeds": list(range(seeds)),
    "device": times.about["device"],
    "protocol": vars(protocol),
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  figures.save(_scatter(runs, limits), out / "plot.svg")
  table.write(out, _title(config_file, first, protocol), rows, provenance)
  return rows


def _cost(limit: float, times: LatencyTable) -> dict[str, Any]:
  return {
    "cost.latency_ms": limit,
    "cost.table": str(times.path),
    "cost.latency": vars(times.protocol),
  }


def _run(
  config: Config, model: CostModel, folder: pathlib.Path
) -> tuple[SearchSpace, dict[str, Any]]:
  """One search, training and evaluation: what was found, and its numbers."""
  base = folder / f"seed{config.seed}"
  genotype = search(config, base / "search")
  train(config, genotype, base / "train")
  result = evaluate(config, base / "train")
  kept = base / "search" / "cost.json"  # Of a search within a budget.
  record = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
  return genotype, {
    "AP": result["AP"],
    "predicted_ms": model.of(genotype),
    "accepted_ms": record.get("latency_ms_measured"),
    "macs": result["macs"],
    "genotype": str(genotype.cells["cell"]),
  }


def _summary(runs: Sequence[Mapping[str, Any]]) -> table.Row:
  limit = runs[0]["budget_ms"]
  row: dict[str, Any] = {"budget": runs[0]["budget"], "budget_ms": "" if limit is None else limit}
  row["seeds"] = len(runs)
  for name in ("AP", "predicted_ms", "measured_ms"):
    mean, deviation, half = table.interval([run[name] for run in runs])
    row |= {name: mean, f"{name} std": deviation, f"{name} ±": half}
  accepted = [run["accepted_ms"] for run in runs if run["accepted_ms"] is not None]
  return row | {"largest accepted_ms": max(accepted, default="")}


def _scatter(runs: Sequence[Mapping[str, Any]], limits: Mapping[str, float | None]) -> Figure:
  """AP against measured latency, a point a run; a line for each budget."""
  figure = Figure(figsize=(5.2, 3.6), layout="constrained")
  axes = figure.subplots()
  for n, (name, limit) in enumerate(limits.items()):
    own = [run for run in runs if run["budget"] == name]
    label = "no budget" if limit is None else f"budget {limit:.3g} ms"
    times, found = ([run[key] for run in own] for key in ("measured_ms", "AP"))
    axes.plot(times, found, "osD^v"[n % 5], color=plot.colour(n), markersize=5, label=label)
    if limit is not None:
      axes.axvline(limit, color=plot.colour(n), linewidth=0.8, linestyle="--")
  axes.set(xlabel="measured latency, ms", ylabel="AP, test split")
  axes.grid(alpha=0.3)
  axes.legend(fontsize=7)
  return figure


def _title(config_file: pathlib.Path, config: Config, protocol: Protocol) -> str:
  clock = {"cpu": "processor time of one core", "wall": "wall time"}[protocol.clock]
  return f"""configs/{config_file.name}: the same search without and with a budget of latency
{config.search.steps} steps of search, {config.train.steps} of training; test split; mean over the
seeds, with the 95 % t-interval as ±. `budget_ms` is what the genotype of each search had to keep
when measured, and `largest accepted_ms` the largest of these measurements, each made when its
search ended, beside whatever else ran; `measured_ms` is of all networks together, in
turns, when all were trained. Latency: batch {protocol.batch}, {clock}. Budgets: {MARGIN} times the
predicted latency of the cheapest genotype, and that *share* of the way from there to what seed 0
finds without a budget. The single runs, with what each found, are in `runs.json`.

![AP against measured latency](plot.svg)"""
