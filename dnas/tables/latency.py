# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Is a network's latency the sum of its operations'? Predicted against measured, on this device."""

import os
import pathlib
import time

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from dnas import data, hardware
from dnas import task as tasks
from dnas.cost.latency import LatencyTable, Protocol, clock_here
from dnas.space import cells, mbconv
from dnas.tables import plot, table

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

  The genotypes are others than those by which the overhead is calibrated.

  Args:
    out: folder of the table.
    command: goes into the provenance.
    space: one of SPACES.
    genotypes: how many are predicted and measured.
    calibration: how many calibrate the overhead.
    rounds, calls, copies: of the protocol; its clock is processor time on one core of a CPU, else
      wall time.
  """
  start = time.monotonic()
  given = Protocol(rounds=rounds, calls=calls, copies=copies, clock=clock_here())
  build, side = SPACES[space]
  searched = build()
  task = tasks.classification(data.load("digits", "train"), (side, side))
  times = LatencyTable(out / "latency.json", given)
  load = os.getloadavg()
  model = hardware.latency_model(task, searched, times, calibration)
  drawn = {f"genotype {i}": g for i, g in hardware.sampled(searched, genotypes, seed=1).items()}
  hardware.measure_networks(task, drawn, times)
  rows: list[table.Row] = [
    {
      "genotype": "; ".join(str(genotype.cells[cell]) for cell in searched.searched),
      "predicted_ms": model.of(genotype),
      "measured_ms": times.ms(name),
      "spread_ms": times.entries[name].spread_ms,
      "error": model.of(genotype) / times.ms(name) - 1,
    }
    for name, genotype in drawn.items()
  ]
  rows.sort(key=lambda row: row["measured_ms"])
  predicted, measured = (np.array([r[k] for r in rows]) for k in ("predicted_ms", "measured_ms"))
  rank = float(np.asarray(stats.spearmanr(predicted, measured))[0])
  error = float(np.mean(np.abs(predicted / measured - 1)))
  print(f"{space}: Spearman {rank:.3f}, mean error {error:.1%} on {len(rows)} genotypes")
  plot.save(_scatter(predicted, measured), out / "scatter.svg")
  provenance = {
    "command": command,
    "device": times.about["device"],
    "measured_on": times.about["date"],
    "protocol": vars(given),
    "load_average_at_start": load,
    "machine": "shared with other jobs while measuring; see load_average_at_start",
    "seeds": "calibration: 0; genotypes: 1",
    "wall_s_of_this_call": round(time.monotonic() - start),
  }
  table.write(out, _title(space, rank, error, len(rows), given, calibration), rows, provenance)
  return rows


def _scatter(predicted: np.ndarray, measured: np.ndarray) -> Figure:
  figure = Figure(figsize=(4.2, 4.2), layout="constrained")
  axes = figure.subplots()
  ends = [0.95 * min(predicted.min(), measured.min()), 1.05 * max(predicted.max(), measured.max())]
  axes.plot(ends, ends, color="#999999", linewidth=1)
  axes.plot(measured, predicted, "o", color="#0072B2", markersize=4)
  axes.set(xlabel="measured, ms", ylabel="predicted, ms", xlim=ends, ylim=ends)
  axes.grid(alpha=0.3)
  return figure


def _title(space: str, rank: float, error: float, count: int, given: Protocol, few: int) -> str:
  verdict = lambda fine: "met" if fine else "MISSED"
  by_rank, by_error = verdict(rank >= SPEARMAN), verdict(error <= ERROR)
  clock = {
    "cpu": "Times are processor time of one core, which stands still while other jobs run.",
    "wall": "Times are wall time.",
  }[given.clock]
  return f"""Latency predicted and measured: {space}
{count} random genotypes: Spearman {rank:.3f} (wanted: {SPEARMAN} or more, {by_rank}), mean
absolute error {error:.1%} (wanted: {ERROR:.0%} or less, {by_error}).

Predicted: the measured times of the operations that lead to the output, each at its size, and an
overhead, the median of what {few} other genotypes' networks took beyond their operations. Batch
{given.batch}, {given.dtype}; median of {given.rounds} rounds in turn, of each the fastest of
{given.calls} calls, outliers left out. {clock} The machine was shared with other jobs. Genotypes
whose output depends on no input are not drawn: they have no latency to speak of, and no search
decides for one. All times are in `latency.json`.

![Predicted against measured](scatter.svg)"""
