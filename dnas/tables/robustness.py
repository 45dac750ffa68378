# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""RobustDARTS' spaces S1 to S4 on a part of CIFAR-10: how far each method collapses, and its cells.

Each method is what its config in configs/methods changes of configs/digits.py, put on
configs/robustness_cifar10.py.
"""

import collections
import functools
import hashlib
import itertools
import json
import pathlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dnas import config as configs
from dnas import figures, files, naming
from dnas.config import Config
from dnas.errors import DnasError, choose_from
from dnas.evaluate import evaluate
from dnas.method import space_of
from dnas.report.progress import read_watch
from dnas.search import search
from dnas.settings import settings_of
from dnas.space.space import SearchSpace
from dnas.strategy import diagnostics
from dnas.tables import published, table
from dnas.tables.once import all_of, once
from dnas.tables.transfer import transfer
from dnas.train import train

# The operation of each space that a collapsed search picks.
SPACES = {"s1": "skip_connect", "s2": "skip_connect", "s3": "skip_connect", "s4": "noise"}
BASE, EARLY, RANDOM = "darts_first_order", "darts_es", "random"
METHODS = (BASE, EARLY, "robust_darts", "darts_minus", "sdarts_rs")
CHANCE = 500  # genotypes drawn for the share that chance gives
TRAINED = {"data.train_split": "train[:4000]"}  # What a found cell is trained on.
SEEN = {"share": "share of the edges", "eigenvalue": "|dominant eigenvalue|", "gap": "gap"}
_CONFIG = "robustness_cifar10.py"


def make(
  root: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  command: str,
  seeds: int = 3,
  methods: Sequence[str] = METHODS,
  spaces: Sequence[str] = tuple(SPACES),
  overrides: Mapping[str, Any] | None = None,
  trained: Mapping[str, Any] = TRAINED,
) -> list[table.Row]:
  """Makes the table, `runs.json`, `curves.csv` and `curves.svg`; finished runs are not repeated.

  Written anew after each seed of a space: cut short, the table has what was done. Started several
  times, the processes share those.

  Args:
    root: of the repository, for `configs`.
    out: folder of the table.
    workdir: folder of the runs.
    command: goes into the provenance.
    seeds: of each method.
    methods: names in configs/methods, BASE among them.
    spaces: of SPACES.
    overrides: of configs/robustness_cifar10.py.
    trained: what changes of it when a found cell is trained.

  Raises:
    DnasError: the data, a method, a space or an override is wrong.
  """
  start, folder = time.monotonic(), root / "configs"
  there = sorted(path.stem for path in (folder / "methods").glob("*.py"))
  for kind, names, valid in (("method", methods, there), ("space", spaces, SPACES)):
    if unknown := [name for name in names if name not in valid]:
      raise DnasError(choose_from(f"{kind}:", unknown[0], valid))
  if BASE not in methods:
    raise DnasError(f"methods: {BASE} must be among them: the others are compared with it")
  methods = sorted(methods, key=lambda name: name != BASE)  # EARLY is read off its runs.
  digits = configs.load(folder / "digits.py")
  bases = {s: configs.load(f"{folder / _CONFIG}:{s}", overrides or {}) for s in spaces}
  given = {name: configs.load(folder / "methods" / f"{name}.py") for name in methods}
  in_full = {s: configs.changed(base, trained) for s, base in bases.items()}
  chance = {space: _chance(space, base) for space, base in bases.items()}
  of_space = {
    s: {name: transfer(config, digits, base) for name, config in given.items()}
    for s, base in bases.items()
  }

  def job(seed: int, space: str) -> list[dict[str, Any]]:
    folder = workdir / space / f"seed{seed}"
    return _of_a_space(space, in_full[space], of_space[space], folder, seed)

  def write(done: Sequence[Sequence[dict[str, Any]]]) -> None:
    runs = list(itertools.chain.from_iterable(done))
    provenance = {
      "command": command,
      "config": _CONFIG,
      "overrides": dict(overrides or {}),
      "seeds": sorted({run["seed"] for run in runs}),
      "wall_s_of_this_call": round(time.monotonic() - start),
    }
    shown = _curves(runs)
    kept = [{k: v for k, v in run.items() if k != "curve"} for run in runs]
    files.atomic_write(out / "runs.json", json.dumps(kept, indent=1) + "\n")
    files.atomic_write(out / "curves.csv", table.csv_text(shown))
    figures.save(_draw(shown, chance), out / "curves.svg")
    table.write(out, _title(bases[spaces[0]], in_full[spaces[0]]), _rows(runs, chance), provenance)

  jobs = [functools.partial(job, *which) for which in itertools.product(range(seeds), spaces)]
  return _rows(list(itertools.chain.from_iterable(all_of(jobs, write))), chance)


def _of_a_space(
  space: str, trained: Config, searched: Mapping[str, Config], folder: pathlib.Path, seed: int
) -> list[dict[str, Any]]:
  """All methods, and a random genotype, on one space with one seed."""
  seeded = lambda config: configs.changed(config, {"seed": seed})
  random_one = space_of(trained).sample(random.Random(seed))
  found = {RANDOM: {"genotype": random_one.to_dict(), "curve": []}}
  for name, config in searched.items():
    if name == EARLY:  # Read off the run of BASE, which it is until it stops.
      found[name] = _stopped_early(settings_of(config.search), found[BASE])
    else:
      found[name] = _searched(seeded(config), folder / name, SPACES[space])
  rows = []
  for name, one in found.items():
    genotype = SearchSpace.from_dict(one["genotype"])
    accuracy = _trained(seeded(trained), genotype, folder)
    share = diagnostics.skip_share(genotype, SPACES[space])
    about = {"space": space, "method": name, "seed": seed, "share": share, "accuracy": accuracy}
    cells = {name: str(cell) for name, cell in genotype.cells.items()}
    about |= {key: one.get(key) for key in ("gap", "stopped", "curve")}
    rows.append({**about, "cells": cells})
  return rows


def _searched(config: Config, folder: pathlib.Path, op: str) -> dict[str, Any]:
  """One search: its genotype, and what was seen on the way."""

  def run() -> dict[str, Any]:
    genotype = search(config, folder)
    watched = read_watch(folder)
    points = []
    for step, record in watched.items():
      now = SearchSpace.from_dict(record["genotype"])
      point = {"step": step, "share": diagnostics.skip_share(now, op)}
      point |= {"eigenvalue": abs(record["hessian/dominant"]), "gap": record["gap/loss"]}
      points.append(point)
    seen = [record["genotype"] for record in watched.values()]
    found = {"genotype": genotype.to_dict(), "gap": points[-1]["gap"]}
    return {**found, "curve": points, "seen": seen}

  return once(folder, config, run)


def _stopped_early(settings: Config, base: Mapping[str, Any]) -> dict[str, Any]:
  """DARTS-ES of a finished search by BASE: the same, if its eigenvalues never say stop."""
  stop = naming.resolve(settings.stop, diagnostics, given=1)
  values = [point["eigenvalue"] for point in base["curve"]]
  steps = [point["step"] for point in base["curve"]]
  for i in range(len(values)):
    seen = steps[: i + 1], values[: i + 1]
    if (index := diagnostics.stopped_at(stop, *seen, settings.warmup_steps)) is not None:
      record = {"genotype": base["seen"][index], "gap": base["curve"][index]["gap"]}
      return {**record, "curve": base["curve"][: i + 1], "stopped": steps[i]}
  return {name: base[name] for name in ("genotype", "gap", "curve")}


def _trained(config: Config, genotype: SearchSpace, folder: pathlib.Path) -> float:
  """Test accuracy of a genotype trained from scratch; of equal ones one training serves all."""
  text = genotype.to_json()
  own = folder / "trained" / hashlib.sha256(text.encode()).hexdigest()[:12]

  def run() -> dict[str, Any]:
    train(config, genotype, own)
    return {"accuracy": evaluate(config, own)["accuracy"], "genotype": text}

  return once(own, config, run)["accuracy"]


def _rows(runs: Sequence[Mapping[str, Any]], chance: Mapping[str, float]) -> list[table.Row]:
  done = {(run["space"], run["method"]) for run in runs}
  return [_row(runs, space, method, chance[space]) for space, method in sorted(done, key=_order)]


def _order(pair: tuple[str, str]) -> tuple[str, int]:
  """Spaces in turn, in each the random genotype last and the others as in METHODS."""
  space, method = pair
  known = [*METHODS, method]
  return space, len(known) if method == RANDOM else known.index(method)


def _chance(space: str, base: Config) -> float:
  """The mean share of genotypes that are drawn uniformly."""
  rng, whole = random.Random(0), space_of(base)
  drawn = (whole.sample(rng) for _ in range(CHANCE))
  return float(np.mean([diagnostics.skip_share(genotype, SPACES[space]) for genotype in drawn]))


def _row(
  runs: Sequence[Mapping[str, Any]], space: str, method: str, chance: float
) -> dict[str, Any]:
  mine = {r["seed"]: r for r in runs if (r["space"], r["method"]) == (space, method)}
  base = {r["seed"]: r for r in runs if (r["space"], r["method"]) == (space, BASE)}
  value = lambda group, name: [100 * group[seed][name] for seed in sorted(mine.keys() & base)]
  share, _, share_half = table.interval(value(mine, "share"))
  mean, _, half = table.interval(value(mine, "accuracy"))
  row: dict[str, Any] = {"space": space, "method": method, "seeds": len(mine)}
  row |= {"share": share, "share ±": share_half, "by chance": 100 * chance}
  row |= {"accuracy": mean, "accuracy ±": half}
  pair = value(mine, "accuracy"), value(base, "accuracy")
  gain = ("",) * 3 if method == BASE else table.paired(*pair)
  row |= dict(zip(("over DARTS", "over DARTS ±", "p"), gain, strict=True))
  eigenvalues = [[p["eigenvalue"] for p in run["curve"]] for run in mine.values() if run["curve"]]
  row["gap"] = _mean([run["gap"] for run in mine.values() if run["gap"] is not None])
  row["eigenvalue first"] = _mean([e[0] for e in eigenvalues])
  row["eigenvalue last"] = _mean([e[-1] for e in eigenvalues])
  row["eigenvalue largest"] = _mean([max(e) for e in eigenvalues])
  row["stopped"] = sum(run["stopped"] is not None for run in mine.values())
  error = published.ROBUST_DARTS.get(space) if method == BASE else None
  known = ("",) * 3 if error is None else (error.mean, error.status, error.source)
  return row | dict(zip(("published error", "status", "source"), known, strict=True))


def _mean(values: Sequence[float]) -> float | str:
  return float(np.mean(values)) if values else ""


def _curves(runs: Sequence[Mapping[str, Any]]) -> list[table.Row]:
  """Means over the seeds of what was seen at each step."""
  points = collections.defaultdict(list)
  for run in runs:
    for point in run["curve"]:
      points[run["space"], run["method"], point["step"]].append(point)
  return [
    {
      **{"space": space, "method": method, "step": step, "seeds": len(seen)},
      **{name: float(np.mean([p[name] for p in seen])) for name in SEEN},
    }
    for (space, method, step), seen in points.items()
  ]


def _draw(rows: Sequence[table.Row], chance: Mapping[str, float]) -> Figure:
  """What was seen over the steps, a row for each of SEEN; a column for each space."""
  figure = Figure(figsize=(1.5 + 2.6 * len(chance), 7.2), layout="constrained")
  axes = figure.subplots(len(SEEN), len(chance), squeeze=False, sharex=True, sharey="row")
  methods = list(dict.fromkeys(row["method"] for row in rows))
  for column, space in zip(axes.T, chance, strict=True):
    for axis, name in zip(column, SEEN, strict=True):
      for n, method in enumerate(methods):
        mine = [r for r in rows if (r["space"], r["method"]) == (space, method)]
        steps, values = ([row[field] for row in mine] for field in ("step", name))
        # DARTS-ES lies on DARTS until it stops: dashed, both are seen.
        style: dict[str, Any] = dict(linestyle="--" if method == EARLY else "-", linewidth=1.3)
        axis.plot(steps, values, **style, color=figures.colour(n - 1), label=method)
      axis.grid(alpha=0.3)
    column[0].axhline(chance[space], color="black", linewidth=0.8, linestyle=":")
    column[0].set(title=f"{space}: {SPACES[space]}", ylim=(-0.05, 1.05))
    column[1].set(yscale="log")
    column[-1].set(xlabel="step")
  for axis, label in zip(axes[:, 0], SEEN.values(), strict=True):
    axis.set_ylabel(label)
  figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
  return figure


def _title(base: Config, trained: Config) -> str:
  network, looked, half = base.search.network, base.search.watch, base.search.weight_share
  return f"""The spaces S1 to S4 of RobustDARTS on a part of CIFAR-10: who collapses
`{base.data.train_split}` of {base.data.spec.removeprefix("tfds:")} on {base.data.size[0]} x \
{base.data.size[1]} px; {half:.0%} of the images for the weights, the others for alpha;
{network.layers} cells of {base.space.get("nodes", 4)} nodes, {network.channels} channels,
{base.search.steps} steps. All of that stands in `configs/{_CONFIG}`, which says how it was chosen.

`share`: of the found cells' edges, in percent, those with the operation that a collapsed search
picks (skip_connect; in s4 noise), and what chance gives. `accuracy`: of the found cell, trained
from scratch for {trained.train.steps} steps on `{trained.data.train_split}`, on \
{trained.evaluate.split}, in percent; `over DARTS`: the mean difference to first-order DARTS' with
the same seed, its 95 % t-interval, and p of a paired t-test (two-sided, none corrected; of n seeds
a test that does not assume a normal distribution cannot give less than 2^(1 - n)). `gap`: the loss
of the supernet with the found cell alone, less that with all operations mixed, on one batch of
alpha's images. `eigenvalue`: the largest by magnitude of the Hessian of alpha's loss on such a
batch, by {looked.hessian_steps} Lanczos steps, every {looked.every_steps} steps. `darts_es` is \
first-order DARTS until it stops, so it is
read off those runs; `stopped`: on so many seeds. `random`: a genotype drawn from the space.
`published error`: of DARTS at the paper's scale, percent. The single runs are in `runs.json`.

![Share, eigenvalue and gap over the steps](curves.svg)"""
