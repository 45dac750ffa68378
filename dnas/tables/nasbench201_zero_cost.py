# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How well zero-cost proxies rank NAS-Bench-201's cells, and whether ours are as published."""

import pathlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dnas import config as configs
from dnas import data as sources
from dnas import naming
from dnas.config import Config
from dnas.data.pipeline import Pipeline
from dnas.estimate import subject, tabular, training_free, zero_cost
from dnas.fields import plain
from dnas.progress import Count
from dnas.space import cells as spaces
from dnas.space import genotypes, macro
from dnas.space.space import SearchSpace
from dnas.strategy import history
from dnas.strategy.ask_tell import Proposal, Query, Strategy
from dnas.tables import plot, published, table

_COLUMNS = ("naswot", "synflow", "logsynflow")  # The proxies that the merged table holds itself.
_COMPUTED = (
  "computed here from the published scores",
  "FreeREA's CIFAR-10 scores of all 15,625 cells",
)
_OF_DEPTH = ("snip", "grad_norm", "grasp")  # What gradients say changes with the network's depth.
LEAST_AGREEMENT = 0.9  # Of our ranks with those of a column: less is a fault of the implementation.


def get_config() -> Config:
  """What is scored with what; the network is smaller than the benchmark's (16 channels, N = 5)."""
  return ConfigDict(
    dict(
      seed=0,
      data=dict(spec="tfds:cifar10:3.0.2", split="train", size=(32, 32)),
      network=dict(name="nasbench201", channels=8, cells=1),
      batch_size=32,
      # Names in dnas/estimate/zero_cost.py.
      proxies=(
        "naswot",
        "synflow",
        "logsynflow",
        "snip",
        "grasp",
        "jacob_cov",
        "grad_norm",
        "zen",
      ),
      # The benchmark's network, and one cell a stage of it, for what depends on depth.
      deep=dict(cells=60, channels=16, depths=(5, 1), batch_size=64),
    )
  )


def make(
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  data: pathlib.Path,
  command: str,
  cells: int = 500,
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table; scores that are in `workdir` already are not computed again.

  Args:
    out: folder of the table.
    workdir: folder of the scores, `scores.jsonl`.
    data: folder with `table.NASBENCH201`.
    command: goes into the provenance.
    cells: how many, drawn at random from all 15,625 without repetition.
    overrides: of `get_config`.
  """
  start = time.monotonic()
  config = configs.changed(get_config(), overrides or {})
  benchmark = tabular.nasbench201(data / table.NASBENCH201)
  space = naming.bind(config.network, spaces)
  rows = random.Random(config.seed).sample(range(space.size), cells)
  names = list(benchmark.rows)
  chosen = [genotypes.from_nasbench201(names[row]) for row in rows]
  queries = score(config, space, chosen, workdir / "scores.jsonl")
  found = summary(queries, benchmark, rows)
  for depth in config.deep.depths:
    path = workdir / f"scores_n{depth}.jsonl"
    deep = at_depth(config, depth, chosen[: config.deep.cells], path)
    found += summary(deep, benchmark, rows[: config.deep.cells], f"_n{depth}")
    queries = [*queries, *deep]
  provenance = {
    "command": command,
    "data": table.digests(data, [table.NASBENCH201]),
    "settings": plain(config),
    "cells": cells,
    "scoring_s": round(sum(_seconds(query) for query in queries)),
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  table.write(out, _title(config, cells, found), found, provenance)
  plot.bars(out / "plot.svg", found, "Spearman's correlation with 200-epoch test accuracy")
  return found


def at_depth(
  config: Config, depth: int, chosen: Sequence[SearchSpace], path: pathlib.Path
) -> list[Query]:
  """Scores of `_OF_DEPTH` with N = `depth`, each cell in a network of its own with its own weights.

  Not compiled as a whole: XLA takes minutes for the gradient of a supernet of 17 cells, and these
  networks are large enough for single operations.
  """
  source, batch = _batch(config, config.deep.batch_size)
  batch = jax.tree.map(jnp.asarray, subject.check(batch))

  def evaluate(genotype: SearchSpace, key: jax.Array) -> dict[str, float]:
    network = macro.nasbench201(genotype, config.deep.channels, depth)
    alone, scores = subject.subject(network, len(source.classes), key), {}
    for name in _OF_DEPTH:
      start = time.perf_counter()
      scores[name] = float(getattr(zero_cost, name)(alone, batch, key))
      scores[f"{name}_s"] = time.perf_counter() - start
    return {"score": scores[_OF_DEPTH[0]], **scores}

  space = spaces.nasbench201()
  about = {"data": plain(config.data), "deep": plain(config.deep), "depth": depth}
  return _kept(config, space, chosen, evaluate, path, about)


def score(
  config: Config, space: SearchSpace, chosen: Sequence[SearchSpace], path: pathlib.Path
) -> list[Query]:
  """The scores of cells, all with the same initial weights and batch; kept in a history file."""
  source, batch = _batch(config, config.batch_size)
  evaluator = training_free.TrainingFree(space, batch, len(source.classes), config.proxies)
  key = jax.random.key(config.seed)
  about = {name: value for name, value in plain(config).items() if name != "deep"}
  return _kept(config, space, chosen, lambda genotype, _: evaluator(genotype, key), path, about)


def _batch(config: Config, size: int) -> tuple[sources.Source, Any]:
  """The data set and its first batch."""
  source = sources.load(config.data.spec, config.data.split)
  pipeline = Pipeline(
    source=source,
    batch_size=size,
    size=tuple(config.data.size),
    seed=config.seed,
    train=True,
    threads=0,
  )
  return source, next(iter(pipeline))


def _kept(config: Config, space, chosen, evaluate, path: pathlib.Path, about) -> list[Query]:
  """The scores of the cells, from the history file as far as it goes."""
  path.parent.mkdir(parents=True, exist_ok=True)
  count = Count(f"{path.stem}: cell", len(chosen))
  return history.run(
    space,
    listed(space, chosen),
    evaluate,
    path,
    budget=len(chosen),
    seed=config.seed,
    about=about,
    watch=lambda query: count(query.number),
  )


def listed(space: SearchSpace, chosen: Sequence[SearchSpace]) -> Strategy:
  """The strategy that asks for these genotypes, in this order."""
  choices = [{k: list(v) for k, v in space.choices(genotype).items()} for genotype in chosen]

  def ask(state, rng) -> tuple[Proposal, dict[str, int]]:
    del rng
    return {"choices": choices[state["asked"]]}, {"asked": state["asked"] + 1}

  return Strategy(lambda: {"asked": 0}, ask, lambda state, proposal, metrics: state)


def summary(
  queries: Sequence[Query], benchmark: tabular.Table, rows: Sequence[int], suffix: str = ""
) -> list[table.Row]:
  """One row for each proxy and data set; the suffix is added to the proxies' names."""
  lines = []
  for name in [key.removesuffix("_s") for key in queries[0].metrics if key.endswith("_s")]:
    ours = np.array([query.metrics[name] for query in queries])
    seconds = float(np.median([query.metrics[f"{name}_s"] for query in queries]))
    column = benchmark.column(f"c10_{name}") if name in _COLUMNS else None
    for dataset in tabular.DATASETS:
      accuracy = benchmark.accuracy(dataset=dataset, split="test", epochs=200)
      mean, deviation = table.bootstrapped(table.spearman, ours, accuracy[rows])
      line = {"method": f"{name}{suffix}", "dataset": dataset, "mean": mean, "std": deviation}
      line |= {"seeds": 1, "cells": len(rows)}
      fact, theirs = published.ZERO_COST.get((name, dataset)), {"column": "", "agreement": ""}
      if column is not None:
        fact = published.Published(table.spearman(column, accuracy), None, *_COMPUTED)
        theirs = {
          "column": table.spearman(column[rows], accuracy[rows]),
          "agreement": table.spearman(ours, column[rows]),
        }
      lines.append({**line, **published.columns(fact), **theirs, "seconds": seconds})
  return lines


def _title(config: Config, cells: int, rows: Sequence[table.Row]) -> str:
  agreement = {row["method"]: row["agreement"] for row in rows if row["agreement"] != ""}
  bad = [name for name, value in agreement.items() if not value >= LEAST_AGREEMENT]
  verdict = (
    f"**{', '.join(bad)}: below {LEAST_AGREEMENT}, so not the published proxy.**"
    if bad
    else f"All are {LEAST_AGREEMENT} or more."
  )
  network, deep = config.network, _depths(config, rows)
  return f"""Zero-cost proxies on NAS-Bench-201
Spearman's rank correlation of a proxy's score with the 200-epoch test accuracy, over {cells} cells
drawn at random (the same for all). The scores come from one batch of {config.batch_size} CIFAR-10
images of {config.data.size[0]} x {config.data.size[1]} and a network of {network.channels} channels
and N = {network.cells} cell(s) a stage; all cells share the supernet's initial weights. `mean` is
the correlation, `std` its standard deviation over bootstrap samples of the cells, `seconds` the
median for one cell (without compiling, which is done once for all cells).

Is the implementation right? The merged table holds FreeREA's own scores of naswot, synflow and
logsynflow (16 channels, N = 5, 64 images). `column`: the correlation of theirs with accuracy on the
same cells. `agreement`: the rank correlation of ours with theirs. {verdict}

snip, grad_norm and grasp look at gradients, and these depend on the depth. {deep}Their equations
are tested against NumPy.

![Rank correlation with accuracy](plot.svg)"""


def _depths(config: Config, rows: Sequence[table.Row]) -> str:
  """What becomes of the proxies that depend on depth, on CIFAR-10."""
  found = {row["method"]: row["mean"] for row in rows if row["dataset"] == "cifar10"}
  parts = [
    f"{name} {found[f'{name}_n{depth}']:.2f} at N = {depth}"
    for name in _OF_DEPTH
    for depth in config.deep.depths
  ]
  size = f"{config.deep.channels} channels, {config.deep.batch_size} images"
  return (
    "Rows `_n1`, `_n5`: each cell in a network of its own with\nN = 1 and, as the benchmark, N = 5 "
    f"({size}, the first {config.deep.cells} of the cells):\n{', '.join(parts)}. "
  )


def _seconds(query: Query) -> float:
  return sum(value for name, value in query.metrics.items() if name.endswith("_s"))
