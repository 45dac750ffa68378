# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cells by their shape: a chain, and one in which every node sees every earlier node.

>>> from dnas.space import shapes
>>> str(shapes.chain([("conv",), ("conv", "skip_connect")]))
'1: conv(0) | 2: conv/skip_connect(1)'
>>> str(shapes.dense(("conv",), nodes=2))
'1: conv(0) | 2: conv(0) + conv(1)'
"""

from collections.abc import Sequence
from typing import Any

from dnas.space.cell import Cell, Edge
from dnas.space.checks import SpaceError, as_tuple, is_int


def chain(ops: Sequence[Sequence[str]]) -> Cell:
  """The cell 0 -> 1 -> ... -> n with the given candidates on each edge."""
  return Cell(1, tuple(Edge(i, i + 1, tuple(names)) for i, names in enumerate(ops)), (len(ops),))


def dense(
  ops: Sequence[str] | Sequence[Sequence[str]],
  nodes: int,
  inputs: int = 1,
  output: Sequence[int] | None = None,
  keep: int | None = None,
) -> Cell:
  """A cell in which every node sees every earlier node.

  Args:
    ops: the candidates of every edge, or one such sequence per edge, edges ordered by (dst, src).
    nodes: number of nodes that are computed.
    inputs: number of input nodes.
    output: nodes to concatenate; by default the last for one input, all computed ones for several.
    keep: edges that a genotype keeps per node (see `Cell`).
  """
  for name, value in (("nodes", nodes), ("inputs", inputs)):
    if not is_int(value) or value < 1:
      raise SpaceError(f"{name}: must be 1 or more, got {value!r}")
  ops = as_tuple(ops, "ops", "names of operations")
  pairs = [(src, dst) for dst in range(inputs, inputs + nodes) for src in range(dst)]
  alike = all(isinstance(op, str) for op in ops)
  per_edge: list[Any] = [ops] * len(pairs) if alike else list(ops)
  if len(per_edge) != len(pairs):
    raise SpaceError(f"ops: this cell has {len(pairs)} edges, got candidates for {len(per_edge)}")
  if output is None:
    output = (inputs + nodes - 1,) if inputs == 1 else tuple(range(inputs, inputs + nodes))
  edges = tuple(Edge(src, dst, tuple(o)) for (src, dst), o in zip(pairs, per_edge, strict=True))
  return Cell(inputs, edges, tuple(output), keep)
