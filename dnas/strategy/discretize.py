# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Discretisation: from logits to a genotype, `(space, alpha) -> SearchSpace`.

Every public function returns such a function, so that a config can name it. All follow `Cell.keep`:
where a cell keeps k edges per node, `none` cannot be chosen and the k strongest edges stay.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dnas.errors import DnasError
from dnas.space.space import Cell, SearchSpace

AlphaLike = Mapping[str, Sequence[Any]]
Discretize = Callable[[SearchSpace, AlphaLike], SearchSpace]


def argmax() -> Discretize:
  """op(e) = argmax over o of alpha[e][o]; a cell with `keep` = k keeps each node's k strongest
  edges.

  In a cell without `keep` every edge stays and `none` is a choice like any other. With `keep` it is
  DARTS' rule, see `top_k_edges`. So it serves every space, also one that mixes both kinds of cell.
  On equal logits the operation or edge that comes first wins.

  Raises:
    DnasError: when called: alpha does not fit the space, or holds NaN.
  """
  return _discretize


def top_k_edges(k: int = 2) -> Discretize:
  """DARTS' rule: strength(e) = max over o != none of softmax(alpha[e])[o]; k edges per node stay.

  An edge that stays gets the operation that attains its strength. The softmax runs over all
  operations, `none` included: an edge that prefers `none` is weak. Nodes with fewer than k edges
  keep them all.

  Args:
    k: 1 or more.

  Raises:
    DnasError: `k` below 1; when called: a searched cell has another `keep`, alpha does not fit the
      space, or holds NaN.

  Source: DARTS (Liu et al. 2019, arXiv:1806.09055), section 2.4.
  """
  if not isinstance(k, int) or isinstance(k, bool) or k < 1:
    raise DnasError(f"top_k_edges: k must be a whole number, 1 or more, got {k!r}")

  def discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
    for name in space.searched:
      keep = space.cells[name].keep
      if keep != k:
        raise DnasError(
          f"top_k_edges: k = {k}, but cells.{name}.keep = {keep}. Valid: argmax(), which follows "
          f"each cell's keep, or a space with keep = {k}"
        )
    return _discretize(space, alpha)

  return discretize


def _discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
  logits = _check(space, alpha)
  return space.decide({name: _decide(space.cells[name], logits[name]) for name in space.searched})


def _decide(cell: Cell, logits: Sequence[np.ndarray]) -> list[str | None]:
  choice: list[str | None] = [None] * len(cell.edges)
  strength = np.zeros(len(cell.edges))
  for i, (edge, values) in enumerate(zip(cell.edges, logits, strict=True)):
    candidates = [edge.ops.index(op) for op in cell.candidates(edge)]
    best = max(candidates, key=lambda o: values[o])
    choice[i] = edge.ops[best]
    strength[i] = _softmax(values)[best]
  for node in cell.nodes:
    incoming = cell.incoming(node)
    by_strength = sorted(incoming, key=lambda i: -strength[i])  # stable: the first of equals wins
    for i in by_strength[cell.kept(node) :]:
      choice[i] = None
  return choice


def _softmax(logits: np.ndarray) -> np.ndarray:
  weights = np.exp(logits - logits.max())
  return weights / weights.sum()


def _check(space: SearchSpace, alpha: AlphaLike) -> dict[str, list[np.ndarray]]:
  """The logits as float64 arrays, or an error that names the cell and edge."""
  if set(alpha) != set(space.searched):
    raise DnasError(
      f"alpha: has logits for the cells {sorted(alpha)}, must have them for {list(space.searched)}"
    )
  checked = {}
  for name in space.searched:
    edges = space.cells[name].edges
    if len(alpha[name]) != len(edges):
      raise DnasError(f"alpha.{name}: has {len(alpha[name])} edges, the cell has {len(edges)}")
    checked[name] = [np.asarray(values, np.float64) for values in alpha[name]]
    for i, (edge, values) in enumerate(zip(edges, checked[name], strict=True)):
      at = f"alpha.{name}[{i}]"
      if values.shape != (len(edge.ops),):
        raise DnasError(f"{at}: has shape {values.shape}, must be ({len(edge.ops)},): {edge.ops}")
      # -inf is a pruned operation; an edge has to have one that is not.
      if np.isnan(values).any() or np.isposinf(values).any() or not np.isfinite(values).any():
        raise DnasError(f"{at}: logits must be finite, got {values.tolist()}: the search diverged")
  return checked
