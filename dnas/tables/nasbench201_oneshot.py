# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable methods on CIFAR-10 at CPU scale, judged by NAS-Bench-201's table.

Each method is what its config in configs/methods changes of configs/digits.py, put on
configs/nasbench201_cifar10.py. The table is looked at when all searches are done.
"""

import functools
import math
import operator
import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dnas import config as configs
from dnas import files
from dnas.config import Config
from dnas.errors import DnasError, choose_from
from dnas.estimate import tabular
from dnas.estimate.tabular import DATASETS
from dnas.fields import plain
from dnas.report.progress import read_watch, stages
from dnas.search import search
from dnas.settings import settings_of
from dnas.space import cells as spaces
from dnas.space import genotypes
from dnas.space.genotypes import to_nasbench201
from dnas.space.space import SearchSpace
from dnas.tables import plot, published, table
from dnas.tables.once import FILE, all_of, once
from dnas.tables.transfer import transfer
from dnas.watch import observed

SEEDS, FRESH, BEST = 3, 5, 3  # of every method; of the best methods anew; how many these are
# Rules that need no search: the best of 100 random cells by a column of the table.
CHEAP = {
  "best_of_100_params": "c10_params_M",
  "best_of_100_synflow": "c10_synflow",
  "best_of_100_naswot": "c10_naswot",
  "best_of_100_12_epochs": "c10_val_acc_12ep",
}
DRAWS = 2000
LIMITS = (70, 95)  # of the picture, in percent


class Run(NamedTuple):
  """A search that is done.

  Attributes:
    genotype: what it decided, as NAS-Bench-201 writes it.
    curve: (step of its stage, what it would have decided then), as it was watched.
    skip_share, edge_entropy, gap_accuracy: of the last observation.
    seconds: of all of it; NaN where it was interrupted.
  """

  genotype: str
  curve: list[tuple[int, str]]
  skip_share: float
  edge_entropy: float
  gap_accuracy: float
  seconds: float


def make(
  root: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  data: pathlib.Path,
  command: str,
  seeds: int = SEEDS,
  methods: Sequence[str] = (),
  overrides: Mapping[str, Any] | None = None,
) -> list[table.Row]:
  """Makes the table; searches that are in `workdir` already are not run again.

  Every method is searched with `seeds` seeds, and the best ones then with FRESH others, which alone
  count for them: a mean by which a method was picked would flatter it. So they do for a method that
  has them from when fewer methods stood beside it.

  Args:
    root: of the repository, for `configs`.
    out: folder of the table, `anytime.csv` and `anytime.svg`.
    workdir: folder of the runs, METHOD/SEED.
    data: folder with `table.NASBENCH201`.
    command: goes into the provenance.
    seeds: of each method.
    methods: names in configs/methods; none: all.
    overrides: of configs/nasbench201_cifar10.py.

  Raises:
    DnasError: the benchmark, the data, a method or an override is wrong.
  """
  start = time.monotonic()
  benchmark = tabular.nasbench201(data / table.NASBENCH201)
  folder = root / "configs" / "methods"
  there = sorted(path.stem for path in folder.glob("*.py"))
  if unknown := [name for name in methods if name not in there]:
    raise DnasError(choose_from("method:", unknown[0], there))
  base = configs.load(root / "configs" / "nasbench201_cifar10.py", overrides or {})
  digits = configs.load(root / "configs" / "digits.py")
  given = {
    name: transfer(configs.load(folder / f"{name}.py"), digits, base) for name in methods or there
  }
  first = _searched(given, workdir, range(seeds))
  score = {n: statistics.mean(_official(benchmark, runs, DATASETS[0])) for n, runs in first.items()}
  best = sorted(score, key=lambda name: -score[name])[:BEST]
  fresh = range(seeds, seeds + FRESH)
  judged = [n for n in given if n in best or _all_there(workdir / n, fresh)]
  counted = first | _searched({n: given[n] for n in judged}, workdir, fresh)
  ranked = {name: counted[name] for name in sorted(counted, key=lambda name: -score[name])}
  rows = [
    _row(benchmark, name, runs, dataset, score[name])
    for name, runs in ranked.items()
    for dataset in DATASETS
  ]
  rows += _cheap(benchmark)
  curves = _anytime(benchmark, ranked, given)
  files.atomic_write(out / "anytime.csv", table.csv_text(curves))
  labels = ("step; line: mean, band: its 95 % interval", "200-epoch CIFAR-10 test accuracy, %")
  plot.panels(out / "anytime.svg", curves, x="step", labels=labels, limits=LIMITS)
  provenance = {
    "command": command,
    "data": table.digests(data, [table.NASBENCH201]),
    "settings": plain(base),
    "seeds": list(range(seeds)),
    "fresh_seeds_of_the_best": list(fresh),
    "best": best,
    "with_fresh_seeds": judged,
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  title = _title(base, seeds, rows, judged, set(there) - set(given))
  table.write(out, title, rows, provenance)
  return rows


def _searched(
  given: Mapping[str, Config], workdir: pathlib.Path, seeds: Sequence[int]
) -> dict[str, list[Run]]:
  """The searches of all methods; a seed of each, then the next one."""
  jobs = [(name, seed) for seed in seeds for name in given]
  runs = all_of([functools.partial(one, given[n], workdir / n, seed) for n, seed in jobs])
  return {n: [run for run, job in zip(runs, jobs, strict=True) if job[0] == n] for n in given}


def _all_there(folder: pathlib.Path, seeds: Sequence[int]) -> bool:
  return all((folder / str(seed) / FILE).exists() for seed in seeds)


def one(config: Config, folder: pathlib.Path, seed: int) -> Run:
  """The search of one seed; what was kept of it, if it is done."""
  config, folder = configs.changed(config, {"seed": seed}), folder / str(seed)
  is_new, start = not folder.exists(), time.monotonic()

  def run() -> dict[str, Any]:
    found = search(config, folder)
    curve, metrics = [], {}
    for stage in stages(folder):
      watched = read_watch(stage)
      for step, metrics in watched.items():
        seen = SearchSpace.from_dict(metrics["genotype"])
        curve.append((step, to_nasbench201(cell_of(seen))))
    return Run(
      to_nasbench201(cell_of(found)),
      curve,
      metrics["skip_share"],
      float(np.mean(metrics["edge_entropy/cell"])),
      metrics["gap/accuracy"],
      time.monotonic() - start if is_new else float("nan"),
    )._asdict()

  return Run(**once(folder, config, run))


def cell_of(genotype: SearchSpace) -> SearchSpace:
  """The genotype as one of NAS-Bench-201: an edge that it leaves out (FairDARTS) is a `none`."""
  space = spaces.nasbench201()
  there = {(edge.src, edge.dst): edge.ops[0] for edge in genotype.cells["cell"].edges}
  edges = space.cells["cell"].edges
  return space.decide({"cell": [there.get((edge.src, edge.dst), "none") for edge in edges]})


def _official(benchmark: tabular.Table, runs: Sequence[Run], dataset: str) -> list[float]:
  return [_look_up(benchmark, run.genotype, dataset) for run in runs]


def _look_up(benchmark: tabular.Table, genotype: str, dataset: str) -> float:
  cell = genotypes.from_nasbench201(genotype)
  return benchmark.query(cell, dataset=dataset, split="test", epochs=200)


def _row(
  benchmark: tabular.Table, method: str, runs: Sequence[Run], dataset: str, first: float
) -> table.Row:
  values = _official(benchmark, runs, dataset)
  median = lambda of: statistics.median(of(run) for run in runs)
  whole = [run.seconds for run in runs if not math.isnan(run.seconds)]
  return {
    **_known(method, dataset, values),
    "worst": min(values),
    "first_seeds": first if dataset == DATASETS[0] else "",
    "skip_share": median(lambda run: run.skip_share),
    "edge_entropy": median(lambda run: run.edge_entropy),
    "gap_accuracy": median(lambda run: run.gap_accuracy),
    "seconds": statistics.median(whole) if whole else "",
  }


def _known(method: str, dataset: str, values: Sequence[float]) -> dict[str, Any]:
  """The columns that all tables share, of the accuracies of several cells."""
  mean, deviation, _ = table.interval(values)
  row: dict[str, Any] = {"method": method, "dataset": dataset, "mean": mean}
  row |= {"std": deviation if len(values) > 1 else "", "seeds": len(values)}
  return row | published.columns(published.NASBENCH201_ONESHOT.get((method, dataset)))


def _cheap(benchmark: tabular.Table) -> list[table.Row]:
  """What needs no search: the mean over many draws of 100 cells, and two fixed rules."""
  rng = np.random.default_rng(0)
  draws = np.stack([rng.choice(benchmark.space.size, 100, replace=False) for _ in range(DRAWS)])
  at = {}
  for name, column in CHEAP.items():
    values = benchmark.column(column)[draws]
    at[name] = draws[np.arange(DRAWS), np.nanargmax(values, axis=1)]
  at["random_cell"] = np.arange(benchmark.space.size)
  convolutions = benchmark.space.decide({"cell": ["nor_conv_3x3"] * 6})
  at["all_conv_3x3"] = np.array([benchmark.row(convolutions)])
  rows = []
  for name, winners in at.items():
    for dataset in DATASETS:
      values = benchmark.accuracy(dataset=dataset, split="test", epochs=200)[winners]
      blank = dict.fromkeys(
        ("first_seeds", "skip_share", "edge_entropy", "gap_accuracy", "seconds"), ""
      )
      rows.append({**_known(name, dataset, values.tolist()), "worst": float(values.min()), **blank})
  return rows


def _anytime(
  benchmark: tabular.Table, counted: Mapping[str, Sequence[Run]], given: Mapping[str, Config]
) -> list[table.Row]:
  """CIFAR-10 accuracy of what would have been decided at each observed step, over the seeds."""
  rows = []
  for method, runs in counted.items():
    steps = observed(settings_of(given[method].search))
    for step, *points in zip(steps, *(run.curve for run in runs)):  # to the shortest (DARTS-ES)
      values = [_look_up(benchmark, genotype, DATASETS[0]) for _, genotype in points]
      mean, deviation, half = table.interval(values)
      shown = {"mean": mean, "std": deviation, "half_width": half}
      rows.append({"method": method, "step": step, **shown})
  return rows


def _title(
  base: Config, seeds: int, rows: Sequence[table.Row], judged: Sequence[str], missing: set[str]
) -> str:
  mine = [r for r in rows if r["method"] in judged and r["dataset"] == DATASETS[0]]
  best = max(mine, key=operator.itemgetter("mean"))
  part = f"Not searched here: {', '.join(sorted(missing))}.\n" if missing else ""
  network, search_ = base.search.network, base.search
  return f"""NAS-Bench-201: differentiable search on CIFAR-10 at CPU scale
The accuracy of the found cell after 200 epochs, from the benchmark's table, in percent. Searched on
{base.data.size[0]} x {base.data.size[1]} pictures of CIFAR-10 in a supernet of {network.channels}
channels and N = {network.cells}, batch {search_.batch_size}, {search_.steps} steps in all, the
first {search_.warmup_steps} without alpha (`pc_darts` and methods in stages: as their configs have
it); the mean of alpha over the last {search_.average:.0%} of the others decides (not `darts_pt`,
which is decided by perturbation, nor `darts_es` where it stops before). All of that stands in
`configs/nasbench201_cifar10.py` and was fixed before the seeds were run; the table is looked at
after the searches. `seeds` is {seeds}, and {FRESH} fresh ones for the {BEST} methods that were
best on the first ones (`first_seeds`: their mean on CIFAR-10), or once were with fewer beside them;
the rows of {", ".join(f"`{name}`" for name in judged)} hold the fresh ones only.
{part}
Best of these: {best["method"]}, {best["mean"]:.2f} on CIFAR-10, worst seed {best["worst"]:.2f}.
`worst`: the worst seed. Diagnostics at the end of the search, medians over the seeds: `skip_share`
of the cell's edges, `edge_entropy` in nats (ln 5 = 1.61 is undecided), `gap_accuracy` of the
decided supernet less the relaxed one on a batch. `seconds`: the median of the searches that were
not interrupted, each on one core, beside whatever else ran.

`published` are searches at the papers' scale: N = 5 and 16 channels, 32 x 32 pictures, 50 epochs
and more (`configs/nasbench201_cifar10.py:paper`). That has **not been run here**.

What a search has to beat (`best_of_100_...`: the best of 100 random cells by that column, over
{DRAWS} draws; `random_cell`: the mean of all): {_beat(rows)}

The picture: what alpha, in the last {search_.average:.0%} its mean so far, would have decided when
it was observed. `darts_pt` and `darts_es` were decided otherwise, `darts_es` is drawn as far as its
shortest search, `p_darts` to its last observation; elsewhere a line ends at the `mean` of the
table. What is below {LIMITS[0]} % is cut off.

![What alpha would have decided while it was searched](anytime.svg)"""


def _beat(rows: Sequence[table.Row]) -> str:
  rules = [r for r in rows if r["first_seeds"] == "" and r["dataset"] == DATASETS[0]]
  return ", ".join(f"{row['method']} {row['mean']:.2f}" for row in rules) + "."
