# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What tuning a training is worth: the test split before and after, with the same seeds.

The trials see a part of the training split and are judged on the rest; their seed is the config's.
The seeds here are others, and train on all of the training split.
"""

import functools
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from dnas import config as configs
from dnas import figures, files
from dnas.config import Config
from dnas.evaluate import evaluate
from dnas.fields import leaves
from dnas.space.space import SearchSpace
from dnas.tables import plot, table
from dnas.tables.once import FILE, all_of, once
from dnas.train import train
from dnas.tune import held_out, tune

UNTUNED, TUNED = "as it is", "tuned"


def make(
  config_file: pathlib.Path,
  space_file: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  command: str,
  seeds: int = 5,
  trials: int = 12,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Tunes, then trains both configs with each seed; what is finished is not repeated.

  Besides the table: `trials.csv`, `best.json` (the tuned config) and `plot.svg`.

  Args:
    config_file: of a search and its training.
    space_file: what may change, see `dnas.tune.ranges`; nothing of the search.
    out: folder of the table.
    workdir: of the runs: `tuned`, where `scripts/tune.py` may have begun, and SEED/CONFIG.
    command: goes into the provenance.
    seeds: how many trainings of each config.
    trials: of the tuning.
    overrides: of the config.
  """
  start = time.monotonic()
  config, space = configs.load(config_file, overrides or {}), configs.load(space_file)
  best, genotype, record = _tuned(config, space, workdir / "tuned", trials)
  name = held_out.headline(config)
  seeded = range(config.seed + 1, config.seed + 1 + seeds)
  jobs = [
    functools.partial(_run, configs.changed(one, {"seed": seed}), genotype, workdir, kind)
    for seed in seeded
    for kind, one in ((UNTUNED, config), (TUNED, best))
  ]

  def write(runs: Sequence[Mapping[str, Any]]) -> None:
    by_seed = {seed: {r["config"]: r for r in runs if r["seed"] == seed} for seed in seeded}
    both = {seed: pair for seed, pair in by_seed.items() if len(pair) == 2}
    if not both:
      return
    provenance = {
      "command": command,
      "config": config_file.name,
      "space": space_file.name,
      "overrides": dict(overrides or {}),
      "trials": trials,
      "seeds": list(both),
      "wall_s_of_this_call": round(time.monotonic() - start),
    }
    paired = [run for pair in both.values() for run in pair.values()]
    files.atomic_write(out / "runs.json", json.dumps(paired, indent=1) + "\n")
    files.atomic_write(out / "best.json", configs.to_json(best))
    files.atomic_write(out / "trials.csv", table.csv_text(_trials(record)))
    points = {s: {kind: run[name] for kind, run in pair.items()} for s, pair in both.items()}
    figures.save(plot.paired(points, f"{name}, {config.evaluate.split} split"), out / "plot.svg")
    title = _title(config_file, space_file, config, best, record, name)
    table.write(out, title, _rows(paired, name), provenance)

  return _rows(all_of(jobs, write), name)


def _tuned(
  config: Config, space: Config, folder: pathlib.Path, trials: int
) -> tuple[Config, SearchSpace, dict[str, Any]]:
  """The best config, the genotype that all trials trained, and what `tuning.json` holds."""
  if not (folder / FILE).exists():  # Several processes share the trials, so not within `once`.
    tune(config, space, folder, trials=trials)

  def read() -> dict[str, Any]:
    return {
      "best": files.json_of(folder / "best.json"),
      "genotype": files.json_of(folder / "search" / "genotype.json"),
      "tuning": files.json_of(folder / "tuning.json"),
    }

  about = ConfigDict({"config": config, "space": space, "trials": trials})
  (found,) = all_of([functools.partial(once, folder, about, read)])
  best = configs.from_json(json.dumps(found["best"]), source=f"{folder}/best.json").lock()
  return best, SearchSpace.from_dict(found["genotype"]), found["tuning"]


def _run(config: Config, genotype: SearchSpace, workdir: pathlib.Path, kind: str) -> dict[str, Any]:
  """Which config and seed, and the numbers of its training on the test split."""
  folder = workdir / str(config.seed) / kind.replace(" ", "_")

  def run() -> dict[str, Any]:
    train(config, genotype, folder)
    numbers = evaluate(config, folder)
    return {k: v for k, v in numbers.items() if isinstance(v, float)}

  return {"config": kind, "seed": config.seed, **once(folder, config, run)}


def _rows(runs: Sequence[Mapping[str, Any]], name: str) -> list[table.Row]:
  return [_row(runs, kind, name) for kind in (UNTUNED, TUNED)]


def _row(runs: Sequence[Mapping[str, Any]], kind: str, name: str) -> table.Row:
  values = {k: [run[name] for run in runs if run["config"] == k] for k in (UNTUNED, TUNED)}
  mean, deviation, half = table.interval(values[kind])
  row: dict[str, Any] = {"config": kind, "seeds": len(values[kind]), name: mean}
  row |= {f"{name} std": deviation, f"{name} ±": half}
  gain = table.paired(values[TUNED], values[UNTUNED]) if kind == TUNED else ("",) * 3
  return row | dict(zip(("gain", "gain ±", "p"), gain, strict=True))


def _trials(record: Mapping[str, Any]) -> list[table.Row]:
  """The trials of `tuning.json`, a column for each field."""
  named = dict.fromkeys(name for trial in record["trials"] for name in trial["fields"])
  return [
    {
      **{"number": trial["number"], "state": trial["state"]},
      "score": "" if trial["score"] is None else float(trial["score"]),
      **{name: trial["fields"].get(name, "") for name in named},
    }
    for trial in record["trials"]
  ]


def _title(config_file, space_file, config: Config, best: Config, record, name: str) -> str:
  before = dict(leaves(config))
  changed = [
    f"`{field}` {before[field]:.3g} to {value:.3g}"
    if isinstance(value, float)
    else f"`{field}` {before.get(field)} to {value}"
    for field, value in leaves(best)
    if before.get(field) != value
  ]
  states = [trial["state"] for trial in record["trials"]]
  pruned = f", {states.count('pruned')} of them pruned" if "pruned" in states else ""
  importance = [f"{field} {share:.2f}" for field, share in record["importance"].items()]
  weighed = f" Importance (fANOVA): {', '.join(importance)}." if importance else ""
  return f"""Tuning configs/{config_file.name} within configs/tuning/{space_file.name}
{len(states)} trials{pruned}, judged by {record["score"]}: {", ".join(changed) or "nothing"}
changed.{weighed} Then both configs are trained with seeds that the trials have not seen, the same
genotype and all training images, and measured on the split `{config.evaluate.split}`; `gain`: the
mean difference in {name} of the same seed, its 95 % t-interval, and p of a paired t-test
(two-sided; of n seeds a test that does not assume a normal distribution cannot give less than
2^(1 - n)).

![{name} of each run](plot.svg)

The trials are in `trials.csv`, the tuned config is `best.json`, the single runs are in
`runs.json`."""
