# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The same detection search without and with a budget of latency: AP and measured milliseconds."""

import functools
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from dnas import apart, data, figures, files, hardware
from dnas import config as configs
from dnas.config import Config
from dnas.cost.latency import LatencyTable, Protocol, clock_here
from dnas.cost.model import CostModel
from dnas.errors import DnasError
from dnas.evaluate import evaluate
from dnas.method import space_of, task_of
from dnas.search import search
from dnas.space.space import SearchSpace
from dnas.strategy import budgets
from dnas.tables import table
from dnas.tables.once import FILE, all_of, once
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
  """Makes the table and its plot; what is finished is neither run nor measured again.

  At the end all that was found is measured together, in turns, so that it sees the same machine.
  Started several times, the processes share the runs.

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
  start, before = time.monotonic(), workdir / "budgets" / FILE
  if given is None and before.exists():
    given = Protocol(**files.json_of(before)["config"]["protocol"])
  protocol = given or Protocol(clock=clock_here())
  load = lambda seed: configs.load(config_file, {**(overrides or {}), "seed": seed})
  first, times = load(0), LatencyTable(workdir / "latency.json", protocol)
  space = hardware.trained(first, space_of(first))

  @functools.cache
  def model() -> CostModel:
    task = task_of(first, data.labelled(first.data.spec, first.data.train_split))
    return timing.latency_model(task, space, times, fill=functools.partial(apart.fill, first))

  def job(name: str, limit: float | None, seed: int, device: str) -> Callable[[], dict[str, Any]]:
    folder = workdir / name.replace(" ", "_") / f"seed{seed}"
    return functools.partial(_run, load(seed), limit, times, folder, device)

  free, *_ = all_of([job("free", None, seed, "") for seed in range(seeds)])

  def limited() -> dict[str, Any]:
    least = budgets.cheapest(space, {"latency_ms": model()}, "latency_ms", {})
    assert least is not None
    more = max(model().of(SearchSpace.from_dict(free["genotype"])) - least, 0.0)
    limits = {f"share {share}": round(MARGIN * least + share * more, 4) for share in shares}
    return {"limits": limits, "device": times.about["device"]}

  about = ConfigDict({**first, "shares": list(shares), "protocol": vars(protocol)})
  (found,) = all_of([functools.partial(once, workdir / "budgets", about, limited)])
  limits: dict[str, float | None] = {"free": None, **found["limits"]}
  runs = [
    {"budget": name, "budget_ms": limit, "seed": seed}
    for seed in range(seeds)
    for name, limit in limits.items()
  ]
  jobs = [job(run["budget"], run["budget_ms"], run["seed"], found["device"]) for run in runs]
  done = all_of(jobs)
  genotypes = [SearchSpace.from_dict(result.pop("genotype")) for result in done]

  def latencies() -> dict[str, Any]:
    networks = {str(n): hardware.trained(first, found) for n, found in enumerate(genotypes)}
    return {
      "measured_ms": apart.measured_ms(first, networks, protocol),
      "predicted_ms": {str(n): model().of(found) for n, found in enumerate(genotypes)},
      "device": times.about["device"],
    }

  (ms,) = all_of([functools.partial(once, workdir / f"latencies_{seeds}", about, latencies)])
  for n, (run, result, genotype) in enumerate(zip(runs, done, genotypes, strict=True)):
    run |= {**result, "genotype": str(genotype.cells["cell"])}
    run |= {name: ms[name][str(n)] for name in ("predicted_ms", "measured_ms")}
  files.atomic_write(out / "runs.json", json.dumps(runs, indent=1) + "\n")
  rows = [_summary([run for run in runs if run["budget"] == name]) for name in limits]
  provenance = {
    "command": command,
    "config": config_file.name,
    "overrides": dict(overrides or {}),
    "seeds": list(range(seeds)),
    "device": ms["device"],
    "protocol": vars(protocol),
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  figures.save(_scatter(runs, limits), out / "plot.svg")
  table.write(out, _title(config_file, first, protocol), rows, provenance)
  return rows


def _run(
  config: Config, limit: float | None, times: LatencyTable, folder: pathlib.Path, device: str
) -> dict[str, Any]:
  """One search within a budget, training and evaluation: what was found, and its numbers.

  Raises:
    DnasError: the budget is one for another device than this one.
  """
  about = ConfigDict({**config, "budget_ms": limit})
  if limit is not None:
    about.protocol = vars(times.protocol)
    cost = {"latency_ms": limit, "table": str(times.path), "latency": vars(times.protocol)}
    config = configs.changed(config, {f"cost.{name}": value for name, value in cost.items()})

  def run() -> dict[str, Any]:
    if limit is not None and times.about["device"] != device:
      raise DnasError(
        f"the budgets of this table are of {device}, and this is {times.about['device']}: choose "
        "another --out and --workdir"
      )
    genotype = search(config, folder / "search")
    train(config, genotype, folder / "train")
    result = evaluate(config, folder / "train")
    kept = folder / "search" / "cost.json"  # Of a search within a budget.
    record = files.json_of(kept) if kept.exists() else {}
    return {
      "AP": result["AP"],
      "accepted_ms": record.get("latency_ms_measured"),
      "macs": result["macs"],
      "genotype": genotype.to_dict(),
    }

  return once(folder, about, run)


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
    axes.plot(times, found, "osD^v"[n % 5], color=figures.colour(n - 1), markersize=5, label=label)
    if limit is not None:
      axes.axvline(limit, color=figures.colour(n - 1), linewidth=0.8, linestyle="--")
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
