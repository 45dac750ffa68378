# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The same detection search without and with a budget of latency: AP and measured milliseconds."""

import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dnas import config as configs
from dnas import data, hardware, log
from dnas.config import Config
from dnas.cost.latency import LatencyTable, Protocol
from dnas.evaluate import evaluate
from dnas.method import space_of, task_of
from dnas.search import search
from dnas.strategy import budgets
from dnas.tables import table
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
  """Makes the table; runs that are there already are not run again.

  budget = 1.05 cheapest + share (free - cheapest): the predicted latency of the cheapest genotype,
  and of the one that seed 0 finds without a budget.

  Args:
    config_file: of a detection search.
    out: folder of the table.
    workdir: folder of the runs, and of the table of measured operations.
    command: goes into the provenance.
    seeds: how many.
    shares: of the budgets.
    given: how latency is measured; None: the default protocol.
    overrides: of the config.
  """
  start, protocol = time.monotonic(), given or Protocol()
  load = lambda seed, more: configs.load(config_file, {**(overrides or {}), "seed": seed, **more})
  first = load(0, {})
  task = task_of(first, data.labelled(first.data.spec, first.data.train_split))
  space = hardware.trained(first, space_of(first))
  times = LatencyTable(workdir / "latency.json", protocol)
  model = hardware.latency_model(task, space, times)
  free = model.of(search(first, workdir / "free" / "seed0" / "search"))
  least = budgets.cheapest(space, {"latency_ms": model}, "latency_ms", {})
  assert least is not None
  limits: dict[str, float | None] = {"free": None}
  for share in shares:
    limits[f"share {share}"] = round(MARGIN * least + share * max(free - least, 0.0), 4)
  runs = []
  for name, limit in limits.items():
    for seed in range(seeds):
      more = {} if limit is None else _cost(limit, times)
      config = load(seed, more)
      runs.append({"budget": name, "budget_ms": limit, "seed": seed})
      runs[-1] |= _run(config, task, model, protocol, workdir / name.replace(" ", "_"))
      log.atomic_write(out / "runs.json", json.dumps(runs, indent=1) + "\n")
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
  table.write(out, _title(config_file), rows, provenance)
  return rows


def _cost(limit: float, times: LatencyTable) -> dict[str, Any]:
  return {
    "cost.latency_ms": limit,
    "cost.table": str(times.path),
    "cost.latency": vars(times.protocol),
  }


def _run(config: Config, task, model, protocol: Protocol, folder: pathlib.Path) -> dict[str, Any]:
  """One search, training and evaluation; and the latency of what was found, measured once."""
  base = folder / f"seed{config.seed}"
  genotype = search(config, base / "search")
  network = hardware.trained(config, genotype)
  train(config, genotype, base / "train")
  result = evaluate(config, base / "train")
  done = base / "measured_ms.json"
  if not done.exists():
    log.atomic_write(done, json.dumps(hardware.measured_ms(task, network, protocol)) + "\n")
  return {
    "AP": result["AP"],
    "predicted_ms": model.of(genotype),
    "measured_ms": json.loads(done.read_text(encoding="utf-8")),
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
  return row


def _title(config_file: pathlib.Path) -> str:
  return f"""configs/{config_file.name}: the same search without and with a budget of latency
Test split; mean over the seeds, with the 95 % t-interval as ±. `budget_ms` is what the genotype of
each search had to keep when measured; `measured_ms` was measured once more after training. The
single runs are in `runs.json`."""
