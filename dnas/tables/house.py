# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The floors of the house: what may import what, what does, and a picture of it."""

import ast
import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from scipy import optimize

# From the top; an import may only point down, or stay on its floor.
FLOORS = (
  ("nas",),
  ("tables",),
  ("experiment",),
  (
    *("estimate", "search", "explore", "train", "finetune", "evaluate", "validate"),
    *("predict", "counted"),
    *("tune", "report", "export", "info"),
  ),
  ("watch", "projected", "method", "settings", "detectors", "loaded", "apart"),
  ("runs", "task", "trained", "hardware", "budgeted", "models"),
  ("strategy",),
  ("nn",),
  ("cost",),
  ("detection",),
  ("data",),
  ("space",),
  (
    *("checkpoint", "retention", "seal", "trees", "lock", "memory", "mesh", "finite", "jaxprs"),
    *(
      "preemption",
      "process",
      "log",
      "progress",
      "config",
      "naming",
      "fields",
      "schema",
      "files",
      "terminal",
    ),
    *("cache", "figures", "errors"),
  ),
)
HEIGHT = {name: len(FLOORS) - row for row, names in enumerate(FLOORS) for name in names}
# dnas itself is empty or holds the version; importing it is importing nothing.
HEIGHT["__init__"] = 0

# What stands beside them in the picture.
_SAYS = (
  *("a detector in five lines", "the tables of paper_results", "read this first", "one verb each"),
  *("config.search, as functions", "what the verbs share", "relaxation, bilevel, ..."),
  *("the network of a space", "parameters, MACs, latency", "boxes, losses, metrics"),
  *("sources, augmentation", "what may be chosen", "all stand on these"),
)
# Of the picture: a folder, a module; the ground between floors; lines. In inches.
_FOLDER, _MODULE, _BAND, _LINE, _TEXT = "#dde8f3", "#ffffff", "#f1f3f5", "#59626d", "#1b1f24"
_ROW, _BOX, _GAP, _SWEEPS = 0.62, 0.3, 0.16, 24

Arrows = dict[str, set[str]]


@functools.cache
def imported(source: str, package: tuple[str, ...]) -> frozenset[str]:
  """The modules of dnas that a file imports, anywhere in it, as dotted paths without `dnas.`."""
  found = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      base = package[: len(package) + 1 - node.level] if node.level else ()
      path = ".".join([*base, *filter(None, [node.module])])
      # In `from dnas import log` the module is the name; below that the path is enough.
      found |= {f"{path}.{alias.name}" for alias in node.names} if path == "dnas" else {path}
  return frozenset(name.removeprefix("dnas.") for name in found if name.startswith("dnas."))


def imports(folder: pathlib.Path) -> dict[str, frozenset[str]]:
  """Each file below `folder` -> the modules of dnas that it imports."""
  return {
    str(path.relative_to(folder)): imported(
      path.read_text(encoding="utf-8"), ("dnas", *path.relative_to(folder).parts[:-1])
    )
    for path in sorted(folder.rglob("*.py"))
  }


def faults(folder: pathlib.Path) -> list[str]:
  """What is wrong with the modules in `folder`, one line each."""
  lines = []
  for name, modules in imports(folder).items():
    here = _top(name)
    if here not in HEIGHT:
      lines.append(f"{name}: no floor for {here!r} in FLOORS")
      continue
    for module in sorted(modules):
      there = module.split(".")[0]
      if there not in HEIGHT:
        lines.append(f"{name} imports dnas.{module}, which no floor has")
      elif here != "__init__" and HEIGHT[there] > HEIGHT[here]:
        lines.append(f"{name} imports dnas.{module}, which is above it")
  return lines


def arrows(folder: pathlib.Path) -> Arrows:
  """Each box of the picture -> those to which an arrow leads.

  Of the imports between the folders and modules at the top of `folder` those are left out that
  follow (a -> c from a -> b -> c), and those of the lowest floor, on which all others stand.
  """
  direct: Arrows = {name: set() for floor in FLOORS[:-1] for name in floor}
  for name, modules in imports(folder).items():
    if _top(name) in direct:
      direct[_top(name)] |= {module.split(".")[0] for module in modules} & {*direct} - {_top(name)}
  return {
    a: {b for b in bs if not any(b in _below(direct, c) for c in bs - {b})}
    for a, bs in direct.items()
  }


def draw(folder: pathlib.Path) -> Figure:
  """The house: a band for each floor, a box for each folder and module, an arrow for imports."""
  lead = arrows(folder)
  rows, bands = _rows(lead)
  chains, layers, at = _places(lead, rows)
  low, high = min(at.values()) - 3.0, max(at.values()) + 0.8
  ground = _ground(low + 2.0, high - 0.15)
  height = (len(rows) + len(ground)) * _ROW
  figure = Figure(figsize=(high - low, height), layout="constrained")
  axes = figure.subplots()
  axes.set_axis_off()
  axes.set(xlim=(low, high), ylim=(-height + _ROW / 2, _ROW / 2), aspect="equal")
  bands = [*bands, (len(rows), len(rows) + len(ground) - 1)]
  for (first, last), says in zip(bands, _SAYS, strict=True):
    size = high - low, (last - first + 1) * _ROW - 0.06
    corner = low, -(last + 0.5) * _ROW
    axes.add_patch(patches.Rectangle(corner, *size, color=_BAND, linewidth=0))
    axes.text(low + 0.15, -first * _ROW, says, va="center", fontsize=9, color=_LINE)
  y = {name: -row * _ROW for row, names in enumerate(layers) for name in names}
  for (a, b), chain in chains.items():
    _arrow(axes, [(at[name], y[name]) for name in chain], f"arrow:{a}:{b}")
  for name in lead:
    _box(axes, name, at[name], y[name], (folder / name).is_dir())
  for row, places in enumerate(ground):
    for name, x in places.items():
      _box(axes, name, x, -(len(rows) + row) * _ROW, (folder / name).is_dir())
  return figure


def _top(name: str) -> str:
  """The folder or module at the top of the package that a file belongs to."""
  return pathlib.PurePath(name).with_suffix("").parts[0]


def _below(lead: Mapping[str, set[str]], name: str) -> set[str]:
  """All that can be reached from a name."""
  found, new = set(), set(lead[name])
  while new:
    found |= new
    new = {b for a in new for b in lead[a]} - found
  return found


def _rows(lead: Arrows) -> tuple[list[list[str]], list[tuple[int, int]]]:
  """Boxes row by row, so that each arrow leads down; first and last row of each floor."""
  rows, bands = [], []
  for floor in FLOORS[:-1]:
    first, left = len(rows), set(floor)
    while left:
      free = {name for name in left if not any(name in lead[other] for other in left)}
      # A circle has no first; it stands in one row.
      rows.append(sorted(free or left))
      left -= {*rows[-1]}
    bands.append((first, len(rows) - 1))
  return rows, bands


def _places(
  lead: Arrows, rows: list[list[str]]
) -> tuple[dict[tuple[str, str], list[str]], list[list[str]], dict[str, float]]:
  """(arrow -> the points that it passes; boxes and points row by row; x of each).

  Where an arrow passes a row it gets a place of its own there. Each thing moves to the mean of
  those above and below that it is connected with, as far as its neighbours let it
  (Sugiyama et al. 1981, with an isotonic regression for the distances).
  """
  row_of = {name: row for row, names in enumerate(rows) for name in names}
  chains, layers = {}, [list(names) for names in rows]
  for a, b in sorted((a, b) for a, bs in lead.items() for b in bs):
    between = [f"{a}:{b}:{row}" for row in range(row_of[a] + 1, row_of[b])]
    chains[a, b] = [a, *between, b]
    for name in between:
      layers[int(name.rsplit(":")[-1])].append(name)
  near: Arrows = {name: set() for layer in layers for name in layer}
  for chain in chains.values():
    for a, b in itertools.pairwise(chain):
      near[a].add(b)
      near[b].add(a)
  beside = {name: sorted(names) for name, names in near.items()}  # Sums in one order.
  at = {name: 1.2 * i for layer in layers for i, name in enumerate(layer)}
  for sweep in range(_SWEEPS):
    for layer in layers if sweep % 2 else reversed(layers):
      wish = {n: float(np.mean([at[o] for o in beside[n]])) if near[n] else at[n] for n in layer}
      layer.sort(key=lambda name: (wish[name], name))
      half = np.array([_width(name) / 2 for name in layer])
      offset = np.concatenate([[0.0], np.cumsum(half[1:] + half[:-1] + _GAP)])
      x = optimize.isotonic_regression(np.array([wish[n] for n in layer]) - offset).x + offset
      at |= dict(zip(layer, map(float, x)))
  return chains, layers, at


def _ground(left: float, right: float) -> list[dict[str, float]]:
  """The boxes of the lowest floor row by row, each with its middle; none passes `right`."""
  rows, x = [{}], left
  for name in sorted(FLOORS[-1]):
    if x + _width(name) > right:
      rows.append({})
      x = left
    rows[-1][name] = x + _width(name) / 2
    x += _width(name) + 0.08
  return rows


def _width(name: str) -> float:
  return 0.0 if ":" in name else 0.3 + 0.088 * len(name)


def _box(axes: Axes, name: str, x: float, y: float, folder: bool) -> None:
  box = patches.FancyBboxPatch(
    (x - _width(name) / 2, y - _BOX / 2),
    _width(name),
    _BOX,
    boxstyle="round,pad=0,rounding_size=0.06",
    facecolor=_FOLDER if folder else _MODULE,
    edgecolor=_LINE,
    linewidth=0.9,
    zorder=3,
  )
  box.set_gid(f"box:{name}")
  axes.add_patch(box)
  text = f"{name}/" if folder else name
  axes.text(x, y, text, ha="center", va="center", fontsize=10, color=_TEXT, zorder=4)


def _arrow(axes: Axes, points: Sequence[tuple[float, float]], gid: str) -> None:
  """A curve through the points, upright in each."""
  points = [(points[0][0], points[0][1] - _BOX / 2), *points[1:-1], points[-1]]
  points[-1] = (points[-1][0], points[-1][1] + _BOX / 2 + 0.02)
  path, codes = [points[0]], [Path.MOVETO]
  for (x, y), (to_x, to_y) in itertools.pairwise(points):
    path += [(x, (y + to_y) / 2), (to_x, (y + to_y) / 2), (to_x, to_y)]
    codes += [Path.CURVE4] * 3
  arrow = patches.FancyArrowPatch(
    path=Path(path, codes), arrowstyle="-|>", mutation_scale=9, color=_LINE, linewidth=0.9, zorder=2
  )
  arrow.set_gid(gid)
  axes.add_patch(arrow)
