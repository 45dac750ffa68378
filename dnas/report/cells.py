# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of cells."""

import numpy as np
from matplotlib.figure import Figure

from dnas.cost.model import idle
from dnas.figures import colour, words
from dnas.space.space import Cell, SearchSpace

# One colour per kind of operation.
_COLOURS = (
  ("skip", colour(0)),
  ("none", colour(-1)),
  ("noise", colour(-1)),
  ("pool", colour(2)),
  ("sep", colour(1)),
  ("dil", colour(3)),
  ("", colour(4)),
)


def searched_cells(genotype: SearchSpace) -> dict[str, Cell]:
  """Those worth a picture: a cell of one operation (a down-sampling) was never searched."""
  return {name: cell for name, cell in genotype.cells.items() if len(cell.edges) > 1}


def draw_cell(cell: Cell, title: str) -> Figure:
  """A cell as a graph from left to right; the operations stand on the edges.

  Edges that pass over nodes, and parallel ones, are bent; each label slides along its curve to a
  place where it covers neither another label nor a node.
  """
  places = _places(cell)
  curves = [
    _curve(places[edge.src], places[edge.dst], bend)
    for edge, bend in zip(cell.edges, _bends(cell), strict=True)
  ]
  every = np.concatenate([np.asarray(places), *curves])
  low, high = every.min(0) - (0.7, 0.6), every.max(0) + (0.7, 0.35)
  figure = Figure(figsize=(1.2 * (high - low)[0], 1.2 * (high - low)[1] + 0.4))
  axes = figure.subplots()
  axes.set_axis_off()
  axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
  axes.set_title(words(title), loc="left", fontsize=13, fontweight="bold")
  taken = [(x, y, 0.25) for x, y in places]
  for edge, curve in zip(cell.edges, curves, strict=True):
    op = "/".join(edge.ops)
    own = next(c for key, c in _COLOURS if key in op)
    ends = np.linalg.norm(curve[:, None] - curve[[0, -1]], axis=-1).min(1)
    seen = curve[ends > 0.27]  # the rest lies under the nodes
    axes.plot(*seen[:-2].T, "--" if op == "none" else "-", color=own, linewidth=1.8)
    axes.annotate(
      "",
      seen[-1],
      seen[-4],
      arrowprops=dict(arrowstyle="-|>", color=own, linewidth=1.8, mutation_scale=14),
    )
    x, y = _free_place(curve, 0.055 * len(op), taken)
    taken.append((x, y, 0.055 * len(op)))
    box = dict(boxstyle="round,pad=0.1", fc="white", ec="none", alpha=0.9)
    axes.text(x, y, words(op), ha="center", va="center", fontsize=8.5, color=own, bbox=box)
  for node, (x, y) in enumerate(places):
    kind = "input" if node < cell.inputs else "output" if node in cell.output else "node"
    face = {"input": "#DDE8F3", "output": "#F6DFC9", "node": "#EEEEEE"}[kind]
    circle = dict(boxstyle="circle,pad=0.45", fc=face, ec="#444444")
    axes.text(x, y, str(node), ha="center", va="center", fontsize=11, bbox=circle)
    if kind != "node":
      axes.text(x, y - 0.32, kind, ha="center", va="top", fontsize=8, color="#444444")
  figure.tight_layout()
  return figure


def caption(name: str, cell: Cell) -> str:
  """A decided cell in words, and which of its operations change nothing."""
  return "; ".join(filter(None, [f"{name}: {cell}", idle(cell)]))


def _places(cell: Cell) -> list[tuple[float, float]]:
  """Inputs above each other on the left; then the nodes in a row, alternately a little up, down."""
  n = cell.inputs
  inputs = [(0.0, 1.6 - 3.2 * i / (n - 1) if n > 1 else 0.0) for i in range(n)]
  step = 2.1 if n == 1 else 2.4
  return inputs + [(step * (i + 1), 0.3 if i % 2 else -0.3) for i in range(len(cell.nodes))]


def _bends(cell: Cell) -> list[float]:
  """How far each edge is bent: more the more nodes it passes and for each parallel edge before."""
  bends, seen = [], {}
  for edge in cell.edges:
    passed = edge.dst - max(edge.src, cell.inputs - 1) - 1
    if cell.inputs > 1 and edge.src < cell.inputs:
      side = -1 if edge.src == 0 else 1  # the upper input goes round above, the lower below
    else:
      # Away from the node it passes: every second one stands a little higher.
      side = 1 if (edge.src - cell.inputs + passed) % 2 else -1
    again = seen.get((edge.src, edge.dst), 0)
    seen[edge.src, edge.dst] = again + 1
    bends.append(side * (min(0.42 * passed**0.6, 0.8) + 0.3 * again))
  return bends


def _curve(start: tuple[float, float], end: tuple[float, float], bend: float) -> np.ndarray:
  """60 points [60, 2] of the quadratic curve whose middle lies bend / 2 of its length aside."""
  p, q = np.asarray(start), np.asarray(end)
  control = (p + q) / 2 + bend * np.array([q[1] - p[1], p[0] - q[0]]) * 0.6
  t = np.linspace(0, 1, 60)[:, None]
  return (1 - t) ** 2 * p + 2 * t * (1 - t) * control + t**2 * q


def _free_place(
  curve: np.ndarray, half_width: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float]:
  """The point of the curve nearest its middle where a label touches none of the taken ones."""
  room = lambda x, y: min(max(abs(x - a) - half_width - w, abs(y - b) - 0.22) for a, b, w in taken)
  order = sorted(range(10, 50), key=lambda i: abs(i - 30))
  free = [i for i in order if room(*curve[i]) > 0]
  best = free[0] if free else max(order, key=lambda i: room(*curve[i]))
  return float(curve[best][0]), float(curve[best][1])
