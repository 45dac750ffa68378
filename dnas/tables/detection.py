# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a detection search is worth: searched against random, hand-made and EfficientNet's cells.

Each seed searches anew; the others get the width at which they cost what the searched cell does
(within 5 %), and all are trained alike. So the seeds are pairs.
"""

import functools
import json
import pathlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from dnas import config as configs
from dnas import figures, files
from dnas.config import Config
from dnas.errors import DnasError, choose_from
from dnas.evaluate import evaluate
from dnas.method import space_of
from dnas.nn.efficientdet import without_head
from dnas.search import search
from dnas.space import genotypes, mbconv
from dnas.space.space import SearchSpace
from dnas.tables import plot, table
from dnas.tables.once import all_of, once
from dnas.train import train

SEARCHED, RANDOM, MADE, EFFICIENTNET = "searched", "random", "hand-made", "EfficientNet-like"
METHODS = (SEARCHED, RANDOM, MADE, EFFICIENTNET)
_SAYS = {
  MADE: "a residual cell",
  EFFICIENTNET: "the stages of EfficientNet-B0 (chains of MBConv with squeeze-and-excitation)\n"
  "as far as the neck's coarsest stride, in the same detector",
}
NUMBERS = ("AP", "AP50", "AP75")


def compare(
  config_file: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  seeds: int,
  command: str,
  methods: Sequence[str] = METHODS,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table, `runs.json` and `plot.svg`; a finished run is not repeated.

  Written anew after each seed: cut short, the table has the seeds that all methods have. Started
  several times, the processes share the seeds.

  Args:
    config_file: of a detection search.
    out: folder of the table.
    workdir: folder of the runs.
    seeds: how many.
    command: goes into the provenance.
    methods: of METHODS; the searched cell is always there, for it sets the budget.
    overrides: of the config.

  Raises:
    DnasError: an unknown method; and what searches and trainings raise.
  """
  if unknown := [name for name in methods if name not in METHODS]:
    raise DnasError(choose_from("method:", unknown[0], METHODS))
  start = time.monotonic()
  config = configs.load(config_file, overrides or {})

  def write(seeded: Sequence[Sequence[dict[str, Any]]]) -> None:
    runs = [run for of_a_seed in seeded for run in of_a_seed]
    provenance = {
      "command": command,
      "config": config_file.name,
      "overrides": dict(overrides or {}),
      "seeds": _seeds(runs),
      "wall_s_of_this_call": round(time.monotonic() - start),
    }
    files.atomic_write(out / "runs.json", json.dumps(runs, indent=1) + "\n")
    figures.save(_draw(runs), out / "plot.svg")
    table.write(out, _title(config, methods), _summaries(runs), provenance)

  def job(seed: int) -> list[dict[str, Any]]:
    seeded = configs.changed(config, {"seed": seed})
    return _of_a_seed(seeded, workdir / f"seed{seed}", [SEARCHED, *methods])

  done = all_of([functools.partial(job, seed) for seed in range(seeds)], write)
  return _summaries([run for of_a_seed in done for run in of_a_seed])


def _of_a_seed(config: Config, base: pathlib.Path, methods: Sequence[str]) -> list[dict[str, Any]]:
  """The runs of one seed, the searched one first."""
  found = _search(config, base / "search")
  runs, macs = [], 0
  for method in dict.fromkeys(methods):
    own = config
    if method == SEARCHED:
      genotype = found
    else:
      # EfficientNet's stages are a network of their own.
      replaced = {"train.network": None} if method == EFFICIENTNET else {}
      own = configs.changed(config, {"train.macs": macs, **replaced})
      genotype = {RANDOM: _random, MADE: _made, EFFICIENTNET: _efficientnet}[method](config)
    run = _train(own, genotype, base / method)
    macs = run["macs"] if method == SEARCHED else macs
    runs.append({"method": method, "seed": config.seed, **run})
  return runs


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
  start = time.monotonic()
  config = configs.load(config_file, overrides or {})

  def job(i: int) -> table.Row:
    genotype = _random(config, i)
    run = _train(config, genotype, workdir / f"cell{i}")
    return {"cell": genotypes.to_nasbench201(genotype), **run}

  rows = all_of([functools.partial(job, i) for i in range(cells)])
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


def _random(config: Config, seed: int | None = None) -> SearchSpace:
  return space_of(config).sample(random.Random(config.seed if seed is None else seed))


def _made(config: Config) -> SearchSpace:
  """The residual cell in the stages of the search."""
  return space_of(
    configs.changed(config, {"space": dict(name="genotype", source=genotypes.RESIDUAL)})
  )


def _efficientnet(config: Config) -> SearchSpace:
  """EfficientNet-B0's stages as far as the neck's coarsest stride; `train.macs` sets the widths."""
  whole, stages, stride = without_head(mbconv.efficientnet_b0()), [], 2  # The stem's.
  for stage in whole.stages:
    stride *= stage.stride
    if stride > max(config.task.strides):
      break
    stages.append(stage)
  used = {stage.cell: whole.cells[stage.cell] for stage in stages}
  return whole.replace(cells=used, stages=tuple(stages))


def _search(config: Config, folder: pathlib.Path) -> SearchSpace:
  """The genotype that a search finds in `folder`."""

  def run() -> dict[str, Any]:
    return {"genotype": search(config, folder).to_dict()}

  return SearchSpace.from_dict(once(folder, config, run)["genotype"])


def _train(config: Config, genotype: SearchSpace, folder: pathlib.Path) -> dict[str, Any]:
  """AP, cost and cells of a genotype that is trained and evaluated in `folder`."""

  def run() -> dict[str, Any]:
    train(config, genotype, folder)
    result = evaluate(config, folder)
    cells = [f"{name}: {cell}" for name, cell in genotype.cells.items() if name != "down"]
    return {key: result[key] for key in (*NUMBERS, "params", "macs")} | {
      "genotype": "; ".join(cells).removeprefix("cell: ")
    }

  return once(folder, config, run)


def _summaries(runs: Sequence[Mapping[str, Any]]) -> list[table.Row]:
  """A row for each method, with its differences to the searched cell of the same seed."""
  of = lambda name: [run for run in runs if run["method"] == name]
  rows: list[table.Row] = []
  for method in dict.fromkeys(run["method"] for run in runs):
    mine, best = of(method), of(SEARCHED)
    row: dict[str, Any] = {"method": method, "seeds": len(mine)}
    for name in NUMBERS:
      mean, deviation, half = table.interval([run[name] for run in mine])
      row |= {name: mean, f"{name} std": deviation, f"{name} ±": half}
    columns = ("searched - this", "searched - this ±", "p")
    gain = ("", "", "")
    if method != SEARCHED:
      gain = table.paired([run["AP"] for run in best], [run["AP"] for run in mine])
    row |= dict(zip(columns, gain, strict=True))
    wins = sum(a["AP"] > b["AP"] for a, b in zip(best, mine, strict=True))
    row["searched is better"] = "" if method == SEARCHED else f"{wins} of {len(mine)}"
    for name in ("macs", "params"):
      row[f"mean {name}"] = round(sum(run[name] for run in mine) / len(mine))
    rows.append(row)
  return rows


def _draw(runs: Sequence[Mapping[str, Any]]) -> Figure:
  """AP of each run, a line for each seed."""
  return plot.paired(
    {seed: {r["method"]: r["AP"] for r in runs if r["seed"] == seed} for seed in _seeds(runs)},
    "AP, test split",
  )


def _seeds(runs: Sequence[Mapping[str, Any]]) -> list[int]:
  return list(dict.fromkeys(run["seed"] for run in runs))


def _title(config: Config, methods: Sequence[str]) -> str:
  said = "".join(f"\n`{name}`: {text}." for name, text in _SAYS.items() if name in methods)
  spec = config.data.spec.partition("@")[0].rpartition("/annotations")[0] or config.data.spec
  name = spec.rpartition("/")[2]
  return f"""Detection on {name}: is the searched cell better than others of equal MACs?
Split `{config.evaluate.split}`; {config.search.steps} steps of search, {config.train.steps} of
training; mean over the seeds, with the 95 % t-interval as ±. Each seed searches, draws and trains
anew, and all that have one seed see the same images in the same order; MACs of the others are
within 5 % of the searched one's.{said}

`searched - this`: the mean over the seeds of the difference in AP, its 95 % t-interval, and p of a
paired t-test (scipy.stats.ttest_rel; two-sided, none corrected for the number of comparisons). It
assumes that the differences are normal. Of n seeds, a test without that assumption (of signs,
Wilcoxon's) cannot give a p below 2^(1 - n): 0.25 of three, 0.0625 of five.

![AP of each run](plot.svg)

The single runs are in `runs.json`."""
