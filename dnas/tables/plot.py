# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Plots beside the tables."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dnas import figures
from dnas.figures import colour
from dnas.tables.table import Row


def bars(path: pathlib.Path, rows: Sequence[Row], label: str) -> None:
  """`mean` with `std` as a bar per method, grouped by data set; published values as crosses."""
  methods = list(dict.fromkeys(row["method"] for row in rows))
  datasets = list(dict.fromkeys(row["dataset"] for row in rows))
  figure = Figure(figsize=(1.5 + 1.1 * len(methods), 3.6))
  axes = figure.subplots()
  width = 0.8 / len(datasets)
  for n, dataset in enumerate(datasets):
    mine = {row["method"]: row for row in rows if row["dataset"] == dataset}
    at = np.arange(len(methods)) + (n - (len(datasets) - 1) / 2) * width
    means, stds = ([float(mine[m][field]) for m in methods] for field in ("mean", "std"))
    style: dict[str, Any] = dict(color=colour(n), yerr=stds, error_kw=dict(lw=0.8))
    axes.bar(at, means, width, label=dataset, **style)
    known = [(x, float(mine[m]["published"])) for x, m in zip(at, methods) if mine[m]["published"]]
    if known:
      axes.plot(*zip(*known), "kx", markersize=5, label="published" if n == 0 else None)
  axes.set_xticks(range(len(methods)), methods, rotation=20)
  axes.set_ylabel(label, fontsize=8)
  axes.axhline(0, color="black", linewidth=0.8)
  axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15))
  figure.tight_layout()
  figures.save(figure, path)


def curves(
  path: pathlib.Path,
  rows: Sequence[Row],
  *,
  x: str,
  labels: tuple[str, str],
  legend: str = "mean ± 95 %",
  below: float = 2.5,
) -> None:
  """`mean` with `half_width` around it over the column `x`, a line per method.

  Args:
    path: of the picture.
    rows: `method`, x, `mean`, `half_width` (NaN: one seed).
    x: the column.
    labels: of the axes.
    legend: its title.
    below: how far below the best last mean the picture goes: what is far worse at first is cut off.
  """
  figure = Figure(figsize=(7, 4.2), layout="constrained")
  axes = figure.subplots()
  lines = _lines(rows, x)
  for n, (method, (at, mean, half)) in enumerate(lines.items()):
    axes.plot(at, mean, color=colour(n - 1), label=method)
    axes.fill_between(at, mean - half, mean + half, color=colour(n - 1), alpha=0.2, linewidth=0)
  last = max(mean[-1] for _, mean, _ in lines.values())
  axes.set(xlabel=labels[0], ylabel=labels[1], ylim=(last - below, last + 0.3))
  axes.grid(alpha=0.3)
  axes.legend(title=legend)
  figures.save(figure, path)


def _lines(rows: Sequence[Row], x: str) -> dict[str, tuple[np.ndarray, ...]]:
  """Method -> its values of x, `mean` and `half_width`."""
  found: dict[str, tuple[np.ndarray, ...]] = {}
  for method in dict.fromkeys(row["method"] for row in rows):
    points = [row for row in rows if row["method"] == method]
    found[method] = tuple(np.array([p[key] for p in points]) for key in (x, "mean", "half_width"))
  return found


def panels(
  path: pathlib.Path,
  rows: Sequence[Row],
  *,
  x: str,
  labels: tuple[str, str],
  limits: tuple[float, float],
) -> None:
  """As `curves`, a panel for each of many methods, the others in grey behind it.

  Args:
    path: of the picture.
    rows: `method`, x, `mean`, `half_width` (NaN: one seed).
    x: the column.
    labels: of the axes.
    limits: of the values shown.
  """
  lines = _lines(rows, x)
  wide = min(6, len(lines))
  high = -(-len(lines) // wide)
  figure = Figure(figsize=(1.6 * wide + 0.6, 1.5 * high + 0.6), layout="constrained")
  several = figure.subplots(high, wide, sharex=True, sharey=True, squeeze=False).ravel()
  for axes in several[len(lines) :]:
    axes.set_axis_off()
  for axes, method in zip(several, lines, strict=False):
    for other, (at, mean, half) in lines.items():
      if other == method:
        axes.plot(at, mean, color=colour(0), linewidth=1.6, zorder=3)
        axes.fill_between(at, mean - half, mean + half, color=colour(0), alpha=0.2, lw=0)
      else:
        axes.plot(at, mean, color="#bbbbbb", linewidth=0.5)
    axes.set_title(method, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
  several[0].set_ylim(*limits)
  figure.supxlabel(labels[0], fontsize=8)
  figure.supylabel(labels[1], fontsize=8)
  figures.save(figure, path)


def scatter(path: pathlib.Path, rows: Sequence[Row], *, x: str, labels: tuple[str, str]) -> None:
  """`mean` with `std` over the column `x` on a logarithmic axis, a named point per method.

  Args:
    path: of the picture.
    rows: `method`, x (NaN: left out), `mean`, `std`.
    x: the column.
    labels: of the axes.
  """
  figure = Figure(figsize=(7, 4.2), layout="constrained")
  axes = figure.subplots()
  shown = [row for row in rows if np.isfinite(row[x])]
  for n, row in enumerate(shown):
    axes.errorbar(row[x], row["mean"], yerr=row["std"], fmt="o", color=colour(n - 1), capsize=2)
  axes.set(xscale="log", xlabel=labels[0], ylabel=labels[1])
  axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.xaxis.set_major_formatter("{x:g}")
  axes.xaxis.set_minor_formatter(ticker.NullFormatter())  # Within a decade they would overlap.
  axes.margins(x=0.2)  # Names stand beside their points.
  axes.axhline(0, color="black", linewidth=0.8)
  axes.grid(alpha=0.3)
  _name(axes, {row["method"]: (row[x], row["mean"], row["std"]) for row in shown})
  figures.save(figure, path)


def _name(axes: Axes, points: Mapping[str, tuple[float, float, float]]) -> list[Text]:
  """Writes each name beside its point, at the nearest place where it covers none of the others.

  Args:
    axes: with all that they show but names.
    points: name -> x, y, and the half of its error bar, which is not covered either.
  """
  canvas = FigureCanvasAgg(axes.figure.figure)
  canvas.draw()  # Where things are is known then.
  at = axes.transData.transform
  taken = []
  for x, y, half in points.values():
    (middle, low), (_, centre), (_, high) = at([(x, y - half), (x, y), (x, y + half)])
    taken.append(Bbox.from_extents(middle - 1, low, middle + 1, high))
    taken.append(Bbox.from_extents(middle - 3, centre - 3, middle + 3, centre + 3))
  places = [(x, y) for y in (4, -10, 14, -20, 24, -30, 34, -40) for x in (5, -5)]
  written = []
  for name, point in points.items():
    text = axes.annotate(name, point[:2], xytext=(0, 0), textcoords="offset points", fontsize=7)
    box = Bbox.null()
    for x, y in places:
      text.set(position=(x, y), horizontalalignment="left" if x > 0 else "right")
      box = text.get_window_extent(canvas.get_renderer())
      inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
      if inside and not any(box.overlaps(other) for other in taken):
        break
    taken.append(box)
    written.append(text)
  return written


def paired(values: Mapping[int, Mapping[str, float]], label: str) -> Figure:
  """A point for each method and seed, those of a seed joined; a bar at the mean of each method.

  Args:
    values: seed -> method -> value.
    label: of the values.
  """
  methods = list(dict.fromkeys(name for of in values.values() for name in of))
  figure = Figure(figsize=(1.6 + 1.2 * len(methods), 3.6), layout="constrained")
  axes = figure.subplots()
  for n, (seed, of) in enumerate(values.items()):
    shown = [(x, of[name]) for x, name in enumerate(methods) if name in of]
    style: dict[str, Any] = dict(color=colour(n), linewidth=0.9, markersize=5)
    axes.plot(*zip(*shown, strict=True), "osD^vPX"[n % 7] + "-", **style, label=f"seed {seed}")
  for x, name in enumerate(methods):
    mean = float(np.mean([of[name] for of in values.values() if name in of]))
    axes.plot([x - 0.2, x + 0.2], [mean, mean], color="black", linewidth=2)
  axes.set_xticks(range(len(methods)), methods)
  axes.set(xlim=(-0.5, len(methods) - 0.5), ylabel=label)
  axes.grid(alpha=0.3, axis="y")
  axes.legend(fontsize=7)
  return figure
