# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the course of a search or a training: losses, alpha over time, diagnostics."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dnas import figures, log
from dnas.files import json_of

Record = Mapping[str, Any]
POINTS = 300  # of a curve; more steps than that are averaged in groups
_LOSSES = ("loss", "weight_loss", "alpha_loss")


def stages(folder: pathlib.Path) -> list[pathlib.Path]:
  """The folders of a search's stages; the run's own where it has none."""
  return sorted(folder.glob("stage*")) or [folder]


def read_watch(folder: pathlib.Path) -> dict[int, Record]:
  """step -> what was observed there, of the folder's `watch/`."""
  files = sorted((folder / "watch").glob("*.json"))
  return {int(path.stem): json_of(path) for path in files}


def grouped(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
  """(steps, values) of a metric, at most POINTS of each: means of equal groups; NaN is left out."""
  rows = [(r["step"], r[name]) for r in records if isinstance(r.get(name), (int, float))]
  rows = np.asarray([row for row in rows if np.isfinite(row[1])], np.float64).reshape(-1, 2)
  parts = np.array_split(rows, min(POINTS, max(len(rows), 1)))
  means = np.array([part.mean(0) for part in parts if len(part)]).reshape(-1, 2)
  return means[:, 0], means[:, 1]


def draw_metrics(records: Sequence[Record], ignore: Sequence[str] = ()) -> Figure | None:
  """The losses in one panel and every other metric in one of its own; None where there is none.

  Args:
    records: of a metrics.jsonl.
    ignore: metrics that are shown elsewhere.
  """
  found = dict.fromkeys(n for r in records for n, v in r.items() if isinstance(v, (int, float)))
  hidden = {"step", *ignore} | {n for n in found if n.startswith("seeds/")}
  if not any(record.get("skipped") for record in records):
    hidden.add("skipped")
  names = [name for name in found if name not in hidden]
  losses = [name for name in names if name in _LOSSES]
  panels = ([losses] if losses else []) + [[name] for name in names if name not in _LOSSES]
  if not panels:
    return None
  figure, axes = _panels(len(panels))
  for axis, shown in zip(axes, panels):
    for n, name in enumerate(shown):
      x, y = grouped(records, name)
      axis.plot(x, y, color=figures.colour(n), linewidth=1.3, label=name, marker=_mark(x))
      if "norm" in name and len(y) and y.min() > 0:
        axis.set_yscale("log")
    axis.set_title(shown[0] if len(shown) == 1 else "loss", loc="left", fontsize=9)
    if len(shown) > 1:
      axis.legend(fontsize=8)
  return figure


def draw_search(watched: Mapping[int, Record]) -> Figure:
  """One panel for each number that was observed, over the steps; entropies edge by edge.

  Args:
    watched: see `read_watch`.
  """
  steps, records = list(watched), list(watched.values())
  names = [name for name in records[0] if name not in ("genotype", "alpha")]
  figure, axes = _panels(len(names))
  for axis, name in zip(axes, names):
    values = [record[name] for record in records]
    axis.set_prop_cycle(color=figures.COLOURS)
    axis.plot(steps, values, marker="o", markersize=3, linewidth=1.3)
    axis.set_title(name, loc="left", fontsize=9)
  return figure


def alpha_over_time(
  watched: Mapping[int, Record],
) -> dict[str, tuple[list[int], list[str], list[tuple[str, ...]], list[np.ndarray]]]:
  """cell -> (steps, edges, operations of each edge, softmax(alpha) [steps, ops] of each edge).

  Runs that began with more operations, in an earlier stage, have folders of their own; so here
  every observation has the edges of the last.
  """
  found = {}
  seen = {step: record["alpha"] for step, record in watched.items() if "alpha" in record}
  for cell in seen[max(seen)] if seen else ():
    last = seen[max(seen)][cell]
    steps = list(seen)
    shares = []
    for e in range(len(last)):
      logits = np.array([list(seen[step][cell][e]["logits"].values()) for step in steps])
      powers = np.exp(logits - logits.max(1, keepdims=True))
      shares.append(powers / powers.sum(1, keepdims=True))
    edges = [f"{edge['src']} to {edge['dst']}" for edge in last]
    found[cell] = steps, edges, [tuple(edge["logits"]) for edge in last], shares
  return found


def draw_alpha_heat(steps, edges, ops, shares) -> Figure:
  """softmax(alpha) over the steps: a row for each operation of each edge, bright where it is large.

  Arguments: of one cell, see `alpha_over_time`.
  """
  rows = [f"{edge}: {op}" for edge, names in zip(edges, ops) for op in names]
  values = np.concatenate([share.T for share in shares])
  figure = Figure(figsize=(7.2, 0.9 + 0.17 * len(rows)), layout="constrained")
  axes = figure.subplots()
  at = [steps[0] - (steps[1] - steps[0] if len(steps) > 1 else 1), *steps]
  image = axes.pcolormesh(at, np.arange(len(rows) + 1), values, cmap="cividis", rasterized=True)
  axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=7)
  axes.invert_yaxis()
  for border in np.cumsum([len(names) for names in ops])[:-1]:
    axes.axhline(border, color="#fefefe", linewidth=1.2)
  axes.set_xlabel("step", fontsize=8)
  figure.colorbar(image, ax=axes, shrink=min(1.0, 20 / len(rows)), label="softmax(alpha)")
  return figure


def draw_alpha_curves(steps, edges, ops, shares) -> Figure:
  """softmax(alpha) over the steps, a panel for each edge, a line for each operation."""
  figure, axes = _panels(len(edges), columns=2, sharey=True)
  every = list(dict.fromkeys(name for names in ops for name in names))
  styles = {op: figures.line(n) for n, op in enumerate(every)}
  for axis, edge, names, share in zip(axes, edges, ops, shares):
    for n, op in enumerate(names):
      axis.plot(steps, share[:, n], linewidth=1.3, marker=_mark(steps), **styles[op])
    axis.set_title(f"edge {edge}", loc="left", fontsize=9)
  lines = [Line2D([], [], **styles[op]) for op in every]
  figures.legend(figure, lines, every, loc="outside upper left", ncols=3, fontsize=8)
  return figure


def draw_compared(runs: Mapping[str, Sequence[Record]], name: str) -> Figure:
  """One metric over the steps, a line for each run."""
  figure = Figure(figsize=(7.2, 3.4), layout="constrained")
  axes = figure.subplots()
  for n, (run, records) in enumerate(runs.items()):
    x, y = grouped(records, name)
    if len(x):  # A run without the metric keeps its colour for those that it has.
      axes.plot(x, y, linewidth=1.3, label=run, marker=_mark(x), **figures.line(n))
  axes.set(xlabel="step", ylabel=name)
  axes.grid(alpha=0.3)
  if axes.lines:
    figures.legend(axes, axes.lines, [str(line.get_label()) for line in axes.lines], fontsize=8)
  return figure


def draw_candidates(records: Sequence[Record]) -> Figure | None:
  """The scores of a black-box search by query, a line for each rung: they are not comparable.

  None before the first of them.
  """
  lines: dict[int, list[Record]] = {}
  for record in records:
    if "metrics" in record:
      lines.setdefault(record.get("rung", 0), []).append({**record, **record["metrics"]})
  if not lines:
    return None
  several = len(lines) > 1
  named = {f"rung {r}" if several else "candidates": lines[r] for r in sorted(lines)}
  figure = draw_compared(named, "score")
  figure.axes[0].set_xlabel("query")
  return figure


def read_metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a folder's metrics.jsonl; [] where there is none."""
  return log.read(folder / "metrics.jsonl")


def read_stages(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a search; of one in stages those of all, their steps counted on."""
  records, before = [], 0
  for stage in stages(folder):
    own = read_metrics(stage)
    records += [{**record, "step": before + record["step"]} for record in own]
    before = records[-1]["step"] if records else 0
  return records


def _mark(steps: Sequence[float] | np.ndarray) -> str | None:
  """A dot for a line of one point, which would not be seen."""
  return "o" if len(steps) == 1 else None


def _panels(count: int, columns: int = 3, sharey: bool = False) -> tuple[Figure, list[Axes]]:
  """A figure with a grid of so many panels over `step`, so many side by side."""
  columns = min(columns, count)
  rows = -(-count // columns)
  # An offset ("+1.386") would stand where the title does.
  with matplotlib.rc_context({"axes.formatter.useoffset": False}):
    figure = Figure(figsize=(3.4 * columns, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
  for axis in axes.flat:
    axis.grid(alpha=0.3)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
  for axis in axes.flat[count:]:
    axis.set_axis_off()
  return figure, list(axes.flat[:count])
