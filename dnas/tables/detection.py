# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a detection search is worth: searched, random and hand-made cells at equal MACs.

Each seed searches anew; the random and the hand-made cell get the width at which they cost what the
searched one does (within 5 %), and all are trained alike.
"""

import json
import pathlib
import random
import time
from collections.abc import Mapping
from typing import Any

from dnas import config as configs
from dnas import data, files
from dnas import task as tasks
from dnas.config import Config
from dnas.evaluate import evaluate
from dnas.method import space_of, task_of
from dnas.search import search
from dnas.space import genotypes
from dnas.space.space import SearchSpace
from dnas.tables import table
from dnas.train import derived, train

METHODS = ("searched", "random", "hand-made")


def compare(
  config_file: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  seeds: int,
  command: str,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table; runs that are there already are not run again.

  Args:
    config_file: of a detection search.
    out: folder of the table.
    workdir: folder of the runs.
    seeds: how many.
    command: goes into the provenance.
    overrides: of the config.
  """
  start, runs, found = time.monotonic(), [], {}
  for method in METHODS:  # The searched ones first: a table cut short has those of every seed.
    for seed in range(seeds):
      config = configs.load(config_file, {**(overrides or {}), "seed": seed})
      base = workdir / f"seed{seed}"
      if method == "searched":
        found[seed] = search(config, base / "search")
        genotype, budget = found[seed], None
      else:
        genotype = _random(config, seed) if method == "random" else _made(config)
        budget = _macs(config, found[seed])
      one = _train(config, genotype, base / method, budget)
      runs.append({"method": method, "seed": seed, **one})
    provenance = {
      "command": command,
      "config": config_file.name,
      "overrides": dict(overrides or {}),
      "seeds": list(range(seeds)),
      "wall_s_of_this_call": round(time.monotonic() - start),
    }
    _write(out, runs, provenance)
  return _summaries(runs)


def _write(out: pathlib.Path, runs: list[dict[str, Any]], provenance: table.Row) -> None:
  """The table of the runs so far."""
  title = (
    f"configs/{provenance['config']}: is the searched cell better than others of equal MACs?\n"
    "Test split; mean over the seeds, with the 95 % t-interval as ±. The single runs are in "
    "`runs.json`."
  )
  table.write(out, title, _summaries(runs), provenance)
  files.atomic_write(out / "runs.json", json.dumps(runs, indent=1) + "\n")


def spread(
  config_file: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  cells: int,
  command: str,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """AP of so many random cells, trained alike: does the cell matter at all?"""
  start, rows = time.monotonic(), []
  config = configs.load(config_file, overrides or {})
  for i in range(cells):
    genotype = _random(config, i)
    run = _train(config, genotype, workdir / f"cell{i}", None)
    rows.append({"cell": genotypes.to_nasbench201(genotype), **run})
  rows.sort(key=lambda row: -row["AP"])
  steps = config.train.steps
  title = f"Detection on {config.data.spec}: {cells} random cells of the space\n" + (
    f"Trained for {steps} steps each, same seed, test split. If the cell did not matter, a search "
    "could not help."
  )
  provenance = {
    "command": command,
    "config": config_file.name,
    "overrides": dict(overrides or {}),
    "seeds": {"cells": list(range(cells)), "training": config.seed},
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  shown = [{k: v for k, v in row.items() if k != "genotype"} for row in rows]
  table.write(out, title, shown, provenance)
  return rows


def _random(config: Config, seed: int) -> SearchSpace:
  return space_of(config).sample(random.Random(seed))


def _made(config: Config) -> SearchSpace:
  """The residual cell in the stages of the search."""
  return space_of(
    configs.changed(config, {"space": dict(name="genotype", source=genotypes.RESIDUAL)})
  )


def _train(config: Config, genotype: SearchSpace, folder: pathlib.Path, macs: int | None):
  with_budget = configs.changed(config, {"train.macs": macs})
  train(with_budget, genotype, folder)
  result = evaluate(with_budget, folder)
  keys = ("AP", "AP50", "AP75", "params", "macs")
  return {key: result[key] for key in keys} | {"genotype": str(genotype.cells["cell"])}


def _macs(config: Config, genotype: SearchSpace) -> int:
  """MACs of the network that the genotype is trained in."""
  task = task_of(config, data.labelled(config.data.spec, config.data.train_split))
  return tasks.cost(task, derived(config, task, genotype)).macs


def _summaries(runs: list[dict[str, Any]]) -> list[table.Row]:
  methods = dict.fromkeys(run["method"] for run in runs)
  return [_summary(name, [run for run in runs if run["method"] == name]) for name in methods]


def _summary(method: str, runs: list[dict[str, Any]]) -> table.Row:
  row: dict[str, Any] = {"method": method, "seeds": len(runs)}
  for name in ("AP", "AP50", "AP75"):
    mean, deviation, half = table.interval([run[name] for run in runs])
    row |= {name: mean, f"{name} std": deviation, f"{name} ±": half}
  row["mean macs"] = round(sum(run["macs"] for run in runs) / len(runs))
  return row
