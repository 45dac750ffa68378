# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Is a network's latency the sum of its operations'? Predicted against measured, on this device."""

import os
import pathlib
import random
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from dnas import data, figures
from dnas import task as tasks
from dnas.cost.latency import LatencyTable, Protocol, clock_here
from dnas.cost.model import CostModel, computes
from dnas.nn import places
from dnas.progress import say
from dnas.space import cells, mbconv
from dnas.space.space import SearchSpace
from dnas.tables import table
from dnas.task import timing

# Name -> (space in its network, side of the image in px).
SPACES = {
  "nasbench201": (lambda: cells.nasbench201(16, 5), 32),
  # A small one: ProxylessNAS' candidates in two stages of three blocks.
  "mbconv": (lambda: mbconv.mbconv((16, 24), (3, 3), (1, 2)), 64),
}
SPEARMAN, ERROR = 0.95, 0.15  # what is wanted


def make(
  out: pathlib.Path,
  *,
  command: str,
  space: str = "nasbench201",
  genotypes: int = 40,
  calibration: int = 6,
  rounds: int = 7,
  calls: int = 5,
  copies: int = 8,
) -> list[table.Row]:
  """Makes the table, the scatter plot, and `latency.json` with all times; goes on where it stopped.

  Two samples are predicted and measured: *random* ones, and *spread* ones (see `spread`). Each
  network is compiled and measured twice: how well the second time ranks like the first is what a
  prediction can reach at most. The genotypes are others than those that calibrate the overhead.

  Args:
    out: folder of the table.
    command: goes into the provenance.
    space: one of SPACES.
    genotypes: how many of each sample.
    calibration: how many calibrate the overhead.
    rounds, calls, copies: of the protocol; its clock is processor time on one core of a CPU, else
      wall time.
  """
  start, load = time.monotonic(), os.getloadavg()
  given = Protocol(rounds=rounds, calls=calls, copies=copies, clock=clock_here())
  build, side = SPACES[space]
  searched = build()
  task = tasks.classification(data.load("digits", "train"), (side, side))
  times = LatencyTable(out / "latency.json", given)
  model = timing.latency_model(task, searched, times, calibration)
  macs = places.counts(searched, timing.places_of(task, searched))["macs"]
  samples = {
    "random": timing.sampled(searched, genotypes, seed=1),
    "spread": dict(enumerate(spread(searched, macs, genotypes, seed=2))),
  }
  for again in ("", " again"):
    for sample, drawn in samples.items():
      named = {f"{sample} {i}{again}": genotype for i, genotype in drawn.items()}
      timing.measure_networks(task, named, times)
  rows: list[table.Row] = []
  for sample, drawn in samples.items():
    own = [_row(searched, model, times, f"{sample} {i}", g) for i, g in drawn.items()]
    rows += sorted(own, key=lambda row: row["measured_ms"])
  for sample in samples:
    say(f"{space}, {_Quality.of(rows, sample).words(sample)}")
  figures.save(_scatter(rows), out / "scatter.svg")
  provenance = {
    "command": command,
    "device": times.about["device"],
    "measured_on": times.about["date"],
    "protocol": vars(given),
    "load_average_at_start": load,
    "seeds": "calibration: 0; random genotypes: 1; spread: 2",
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  table.write(out, _title(space, rows, given, calibration), rows, provenance)
  return rows


def spread(space: SearchSpace, macs: CostModel, count: int, seed: int) -> list[SearchSpace]:
  """Genotypes from the cheapest to the dearest that can be drawn, evenly spaced in MACs.

  Uniform genotypes crowd around the mean cost, where ranks hang on little. Here each edge takes the
  cheapest, or the dearest, of one to five random operations, one way for all edges of a genotype;
  of 50 times as many as are wanted those nearest to evenly spaced MACs stay.

  Args:
    space: whose cells keep all their edges.
    macs: of its genotypes.
    count, seed: how many, and by which random numbers.
  """
  rng, drawn = random.Random(seed), {}
  for _ in range(50 * count):
    sign, tries = rng.choice((-1, 1)), rng.randint(1, 5)
    choices = {}
    for name in space.searched:
      best = [
        min(rng.choices(range(len(row)), k=tries), key=lambda o, row=row: sign * row[o])
        for row in macs.ops[name]
      ]
      edges = space.cells[name].edges
      choices[name] = tuple(edge.ops[o] for edge, o in zip(edges, best, strict=True))
    if all(computes(space.cells[name], choices[name]) for name in space.searched):
      genotype = space.decide(choices)
      drawn[genotype] = macs.of(genotype)
  found: list[SearchSpace] = []
  for target in np.linspace(min(drawn.values()), max(drawn.values()), count):
    found.append(min(drawn, key=lambda genotype: abs(drawn[genotype] - target)))
    del drawn[found[-1]]
  return found


def _row(space: SearchSpace, model: CostModel, times: LatencyTable, name: str, genotype) -> dict:
  predicted, measured = model.of(genotype), times.ms(name)
  return {
    "sample": name.split()[0],
    "genotype": "; ".join(str(genotype.cells[cell]) for cell in space.searched),
    "predicted_ms": predicted,
    "measured_ms": measured,
    "spread_ms": times.entries[name].spread_ms,
    "measured_again_ms": times.ms(f"{name} again"),
    "error": predicted / measured - 1,
  }


class _Quality(NamedTuple):
  """How well the latencies of a sample are predicted, and how well they repeat."""

  size: int
  rank: float
  error: float
  rank_again: float
  error_again: float

  @classmethod
  def of(cls, rows: Sequence[table.Row], sample: str) -> "_Quality":
    own = [row for row in rows if row["sample"] == sample]
    column = lambda key: np.array([row[f"{key}_ms"] for row in own])
    measured, others = column("measured"), (column("predicted"), column("measured_again"))
    ranks = [table.spearman(other, measured) for other in others]
    errors = [float(np.mean(np.abs(other / measured - 1))) for other in others]
    return cls(len(own), ranks[0], errors[0], ranks[1], errors[1])

  def words(self, sample: str) -> str:
    verdict = lambda fine: "met" if fine else "MISSED"
    return (
      f"{self.size} {sample} genotypes: Spearman {self.rank:.3f} (wanted: {SPEARMAN} or more, "
      f"{verdict(self.rank >= SPEARMAN)}), mean absolute error {self.error:.1%} (wanted: "
      f"{ERROR:.0%} or less, {verdict(self.error <= ERROR)}); measured again: Spearman "
      f"{self.rank_again:.3f}, mean difference {self.error_again:.1%}"
    )


def _scatter(rows: Sequence[table.Row]) -> Figure:
  figure = Figure(figsize=(4.2, 4.2), layout="constrained")
  axes = figure.subplots()
  both = [row[key] for row in rows for key in ("predicted_ms", "measured_ms")]
  ends = [0.95 * min(both), 1.05 * max(both)]
  axes.plot(ends, ends, color=figures.colour(-1), linewidth=1)
  for n, sample in enumerate(dict.fromkeys(row["sample"] for row in rows)):
    own = [row for row in rows if row["sample"] == sample]
    measured, predicted = ([row[key] for row in own] for key in ("measured_ms", "predicted_ms"))
    axes.plot(measured, predicted, "os"[n], color=figures.colour(n), markersize=4, label=sample)
  axes.set(xlabel="measured, ms", ylabel="predicted, ms", xlim=ends, ylim=ends)
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  return figure


def _title(space: str, rows: Sequence[table.Row], given: Protocol, few: int) -> str:
  clock = {
    "cpu": "Times are processor time of one core, which stands still while other jobs run.",
    "wall": "Times are wall time.",
  }[given.clock]
  samples = dict.fromkeys(row["sample"] for row in rows)
  verdicts = "\n".join(f"- {_Quality.of(rows, sample).words(sample)}." for sample in samples)
  return f"""Latency predicted and measured: {space}
{verdicts}

*random*: drawn uniformly, which crowds them around the mean; *spread*: evenly spaced in MACs from
the cheapest to the dearest. *measured again*: each network compiled and measured a second time; a
prediction cannot be expected to rank better than a measurement ranks itself.

Predicted: the measured times of the operations that lead to the output, each at its size, and an
overhead, the one that suits the networks of {few} other genotypes best. Weights are constants of
the programs; times are scaled by those of a reference program that runs beside each group. Batch
{given.batch}, {given.dtype}; median of {given.rounds} rounds in turn, of each the fastest of
{given.calls} calls, outliers left out. `spread_ms`: the median absolute deviation of these rounds.
`error`: predicted / measured - 1, below 0 where less was predicted than measured; the list at the
top has the mean of its absolute value. {clock} Genotypes whose output depends on no input are not
drawn: they have no latency to speak of, and no search decides for one. All times are in
`latency.json`; how busy the machine was at the start is in `provenance.json`.

![Predicted against measured](scatter.svg)"""
