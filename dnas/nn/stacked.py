# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Weights and statistics of a cell's edges that are built alike, as one array each.

The supernet's modules have them edge by edge, thousands of small arrays. An optimiser, the copy
that is kept in case a step has to be skipped, a checkpoint: each pays by the array, above all to
compile. So a search keeps them stacked, `[edges, ...]`, and they are cut into rows where a module
wants its own (`rows`). A loop over edges stacks the rows again, and gets what they were cut from.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from dnas.nn import functional, mixed, rows

PyTree = Any
STACKED = "stacked"
"""The key of a packed cell's stacked edges, beside "edges" with those that stand alone."""


@dataclasses.dataclass(frozen=True)
class Layout:
  """Which edges of which cells are stacked; without any, trees stay as they are.

  Attributes:
    groups: (path of a cell, its groups of edges) for each cell that has such.
  """

  groups: tuple[tuple[tuple, tuple[tuple[int, ...], ...]], ...] = ()

  def pack(self, tree: PyTree) -> PyTree:
    """A tree of `functional.split`, or one like it, with the edges of each group stacked.

    The cell's `{"edges": {0: a, 1: b, 2: c}}` with the group (0, 2) becomes `{"edges": {1: b},
    "stacked": {0: stack(a, c)}}`.
    """

    def pack(cell: PyTree, groups) -> PyTree:
      edges, stacked = dict(cell.get("edges", {})), {}
      for n, members in enumerate(groups):
        if members[0] in edges:  # An edge without arrays is not in the tree.
          stacked[n] = jax.tree.map(lambda *parts: rows.stack(parts), *map(edges.pop, members))
      return _with(cell, edges=edges, **{STACKED: stacked})

    return self._each_cell(tree, pack)

  def unpack(self, tree: PyTree) -> PyTree:
    """The tree that `pack` made this of."""

    def unpack(cell: PyTree, groups) -> PyTree:
      edges = dict(cell.get("edges", {}))
      for n, part in cell.get(STACKED, {}).items():
        leaves, structure = jax.tree.flatten(part)
        for edge, own in zip(groups[n], zip(*map(rows.cut, leaves), strict=True), strict=True):
          edges[edge] = jax.tree.unflatten(structure, own)
      return _with(cell, edges=edges, **{STACKED: {}})

    return self._each_cell(tree, unpack)

  def _each_cell(self, tree: PyTree, change: Callable[[PyTree, Any], PyTree]) -> PyTree:
    for path, groups in self.groups:
      tree = _changed(tree, path, lambda cell, groups=groups: change(cell, groups))
    return tree


def layout(module: nnx.Module) -> Layout:
  """Which edges of a supernet are built alike: equal operations, sizes and strides.

  A group has its edges in the order in which a loop takes them (`looped.groups`).
  """
  found = []
  for path, cell in nnx.iter_graph(module):
    if isinstance(cell, mixed.Cell) and not cell.cell.is_decided:
      kinds: dict[Any, list[int]] = {}
      for node in cell.cell.nodes:
        for edge in cell.cell.incoming(node):
          kinds.setdefault(functional.split(cell.edges[edge])[0], []).append(edge)
      groups = tuple(tuple(members) for members in kinds.values() if len(members) > 1)
      found += [(tuple(path), groups)] if groups else []
  return Layout(tuple(found))


def is_kernel(path: Sequence[Any], leaf: jax.Array) -> bool:
  """Whether a leaf of packed weights has two axes or more, a stack's own not counted."""
  keys = [getattr(key, "key", None) for key in path]
  return leaf.ndim > (2 if STACKED in keys else 1)


def _changed(tree: PyTree, path: Sequence[Any], change: Callable[[PyTree], PyTree]) -> PyTree:
  """A tree of dicts with the subtree at a path replaced, if there is one."""
  if not path:
    return change(tree)
  if path[0] not in tree:
    return tree
  return {**tree, path[0]: _changed(tree[path[0]], path[1:], change)}


def _with(cell: PyTree, **parts: PyTree) -> PyTree:
  """A cell's tree with these parts; empty ones are left out, as Flax does."""
  rest = {key: value for key, value in cell.items() if key not in parts}
  return {**rest, **{key: value for key, value in parts.items() if value}}
