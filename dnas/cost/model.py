# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What every genotype of a space costs, as one table: a sum over edges, so that it has a gradient.

    cost(x) = fixed + sum over the edges e of x of c[cell][e][op(e)]
    E[cost] = fixed + sum over all edges e of q_e <w_e, c_e>

A `CostModel` is that table for one kind of cost (MACs, parameters, milliseconds, millijoules); its
name holds the unit.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from dnas.errors import DnasError
from dnas.space.cell import Cell, Choice
from dnas.space.space import Choices, SearchSpace

KINDS = ("macs", "params", "latency_ms", "energy_mj")


@dataclasses.dataclass(frozen=True, eq=False)
class CostModel:
  """The cost of a space's genotypes.

  Attributes:
    name: what it is, one of KINDS or a column of a device table.
    space: the search space.
    fixed: the cost of what every genotype has (stem, head, decided cells).
    ops: cell -> one array `[O]` an edge, the cost of each operation summed over the places where
      the cell stands.
    dead_is_free: whether edges that are not `live` cost nothing in `of`. A compiler leaves them
      out; MACs, as papers count them, do not. `expected` and budgets count them always: an upper
      bound.
  """

  name: str
  space: SearchSpace
  fixed: float
  ops: Mapping[str, tuple[np.ndarray, ...]]
  dead_is_free: bool = False

  def __post_init__(self):
    for name in self.space.searched:
      sizes = [len(edge.ops) for edge in self.space.cells[name].edges]
      given = [np.shape(row) for row in self.ops.get(name, ())]
      if given != [(size,) for size in sizes]:
        raise DnasError(f"cost {self.name}: cell {name} needs edges of {sizes} costs, got {given}")

  def of(self, genotype: SearchSpace) -> float:
    """The cost of a genotype; SpaceError if it is not in the space."""
    return self.of_choices(self.space.choices(genotype))

  def of_choices(self, choices: Choices) -> float:
    """The cost of the genotype that `choices` picks."""
    total = self.fixed
    for name in self.space.searched:
      cell, choice = self.space.cells[name], choices[name]
      counted = live(cell, choice) if self.dead_is_free else range(len(choice))
      for e in counted:
        op = choice[e]
        if op is not None:
          total += float(self.ops[name][e][cell.edges[e].ops.index(op)])
    return total

  def expected(self, weights: Mapping[str, Sequence[jax.Array]]) -> jax.Array:
    """E[cost], a scalar with a gradient; `cost(x)` exactly at the one-hot weights of x.

    Where every edge is kept, q_e = 1. Where a node keeps k of its edges, an edge's share of them
    is q_e = min(1, k s_e / sum of s over the node's edges), s_e = sum_o w_eo (1 but for logits of
    edges), and its operations other than `none` share the whole weight, because `none` cannot be
    chosen there.

    Args:
      weights: mixing weights of the searched cells, `[O]` per edge; without edge weights in cells
        that keep every edge (`levels.Levels.priced`), for q_e = 1 there.
    """
    total = jnp.asarray(self.fixed, jnp.float32)
    for name in self.space.searched:
      cell, costs = self.space.cells[name], self.ops[name]
      for node in cell.nodes:
        incoming = cell.incoming(node)
        rows = [weights[name][e] for e in incoming]
        if cell.keep is None:
          terms = [jnp.vdot(w, _float(costs[e])) for e, w in zip(incoming, rows, strict=True)]
        else:
          strengths, kept = jnp.stack([w.sum() for w in rows]), cell.kept(node)
          if kept == len(incoming):
            shares = jnp.ones_like(strengths)
          else:
            shares = jnp.minimum(1.0, kept * strengths / strengths.sum())
          terms = [
            share * _mean(w, costs[e], cell.edges[e].ops)
            for e, w, share in zip(incoming, rows, shares, strict=True)
          ]
        total += sum(terms)
    return total


def _mean(weights: jax.Array, costs: np.ndarray, ops: Sequence[str]) -> jax.Array:
  """<w, c> / sum(w) over the operations that can be chosen; 0 where all weight is on `none`."""
  can = np.array([op != "none" for op in ops], np.float32)
  total = jnp.vdot(weights, can)
  return jnp.vdot(weights, can * _float(costs)) / jnp.where(total > 0, total, 1.0)


def _float(costs: Any) -> jax.Array:
  return jnp.asarray(costs, jnp.float32)


def live(cell: Cell, choice: Choice | Sequence[str | None]) -> list[int]:
  """The edges that matter: on a path from an input to the output, without a `none`.

  What has no path from an input is a constant, what has none to the output is not asked for.
  """
  there = [e for e in range(len(cell.edges)) if choice[e] not in (None, "none")]
  reached, used = _reached(cell, there), set(cell.output)
  for e in sorted(there, key=lambda e: -cell.edges[e].dst):
    if cell.edges[e].dst in used:
      used.add(cell.edges[e].src)
  return [e for e in there if cell.edges[e].src in reached and cell.edges[e].dst in used]


def idle(cell: Cell) -> str:
  """Which operations of a decided cell change nothing, in words; "" where each does.

  They are computed and counted all the same: what follows a `none` sees a constant.

  >>> from dnas.space import genotypes
  >>> text = "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
  >>> idle(genotypes.from_nasbench201(text).cells["cell"])
  '1 of 3 operations lie on no path from an input to the output: nor_conv_1x1(1) of node 2'
  """
  ops = [edge.ops[0] for edge in cell.edges]
  matter, some = live(cell, ops), [e for e, op in enumerate(ops) if op != "none"]
  idle = [cell.edges[e] for e in some if e not in matter]
  if not idle:
    return ""
  names = ", ".join(f"{edge.ops[0]}({edge.src}) of node {edge.dst}" for edge in idle)
  return (
    f"{len(idle)} of {len(some)} operations lie on no path from an input to the output: {names}"
  )


def computes(cell: Cell, choice: Choice | Sequence[str | None]) -> bool:
  """Whether the cell's output depends on an input; else nothing before it matters either."""
  there = [e for e in range(len(cell.edges)) if choice[e] not in (None, "none")]
  return bool(_reached(cell, there) & set(cell.output))


def check_computes(space: SearchSpace) -> None:
  """DnasError unless there is a genotype all of whose searched cells `computes` something."""
  for name in space.searched:
    cell = space.cells[name]
    open_ = [next((op for op in edge.ops if op != "none"), None) for edge in cell.edges]
    if not computes(cell, open_):
      raise DnasError(
        f"cells.{name}: no genotype computes anything: each path from an input to the output has "
        "an edge with `none` only; valid: a path whose edges have another operation"
      )


def _reached(cell: Cell, there: Sequence[int]) -> set[int]:
  """The inputs, and the nodes that depend on one through the edges `there`."""
  reached = set(range(cell.inputs))
  for e in sorted(there, key=lambda e: cell.edges[e].dst):
    if cell.edges[e].src in reached:
      reached.add(cell.edges[e].dst)
  return reached


def fit(
  name: str, space: SearchSpace, choices: Sequence[Choices], values: Sequence[float]
) -> CostModel:
  """The additive model nearest to measured genotypes: least squares with no cost below 0.

  For devices of which only whole networks were measured.

  Args:
    name: of the cost.
    space: the search space.
    choices: the genotypes, as `space.decide` takes them.
    values: what each costs.

  Raises:
    DnasError: no genotypes, not as many values, or a value that is not finite.
  """
  measured = np.asarray(values, np.float64)
  if not len(choices) or measured.shape != (len(choices),) or not np.isfinite(measured).all():
    raise DnasError(
      f"cost {name}: needs finite values, one for each of the genotypes; got {len(choices)} "
      f"genotypes and values of shape {measured.shape}"
    )
  places = [
    (cell, e, o)
    for cell in space.searched
    for e, edge in enumerate(space.cells[cell].edges)
    for o in range(len(edge.ops))
  ]
  column = {
    (cell, e, space.cells[cell].edges[e].ops[o]): n for n, (cell, e, o) in enumerate(places, 1)
  }
  rows = np.zeros((len(choices), len(places) + 1))
  rows[:, 0] = 1
  for row, chosen in zip(rows, choices, strict=True):
    for cell in space.searched:
      for e, op in enumerate(chosen[cell]):
        if op is not None:
          row[column[cell, e, op]] = 1
  solution, _ = optimize.nnls(rows, measured)
  ops: dict[str, Any] = {
    cell: tuple(np.zeros(len(edge.ops)) for edge in space.cells[cell].edges)
    for cell in space.searched
  }
  for (cell, e, o), value in zip(places, solution[1:], strict=True):
    ops[cell][e][o] = value
  return CostModel(name, space, float(solution[0]), ops)
