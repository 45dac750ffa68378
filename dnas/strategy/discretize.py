# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Discretisation: from logits to a genotype, `(space, alpha) -> SearchSpace`.

Each function of `__all__` returns such a function, so that a config can name it. All follow
`Cell.keep`: where a cell keeps k edges per node, `none` cannot be chosen and the k strongest edges
stay (`threshold` may keep fewer). With logits of edges (PC-DARTS) an edge's strength is multiplied
by softmax(beta) over the edges that enter its node.

>>> from dnas.space import cells
>>> from dnas.strategy import discretize
>>> space = cells.dense(("skip_connect", "nor_conv_3x3"), nodes=1)
>>> genotype = discretize.argmax()(space, {"cell": [[0.1, 0.9]]})
>>> str(genotype.cells["cell"])
'1: nor_conv_3x3(0)'
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from dnas.errors import DnasError, check_count, check_number
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy.alpha import AlphaLike, edge_logits, operations

__all__ = ["argmax", "limit_skips", "threshold", "top_k_edges"]  # What a config may name.

Discretize = Callable[[SearchSpace, AlphaLike], SearchSpace]


def argmax() -> Discretize:
  """op(e) = argmax over o of alpha[e][o]; a cell with `keep` = k keeps each node's k strongest
  edges.

  In a cell without `keep` every edge stays and `none` is a choice like any other, except that the
  output must depend on an input: where every path would be cut by a `none`, the path that loses the
  least probability is opened (a cell that computes nothing cannot be trained). With `keep` it is
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
  check_count("top_k_edges: k", k, 1)

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


def threshold(value: float = 0.85) -> Discretize:
  """op(e) = argmax over o != none of sigmoid(alpha[e][o]); e stays if that is `value` or more.

  Of each node's incoming edges the `keep` strongest are looked at (all, where the cell has no
  `keep`); those below the threshold are left out, so that a node may have fewer edges than `keep`,
  but never none: the strongest stays. So the genotype may lie outside the space; it can be trained,
  but weights are not inherited. For the sigmoid relaxation.

  Args:
    value: in (0, 1).

  Raises:
    DnasError: `value` out of range; when called: alpha does not fit the space, or holds NaN.

  Source: FairDARTS (Chu et al. 2020, arXiv:1911.12126), section 4.3; value and rule as
  `threshold_sparse` in the authors' code (xiaomi-automl/FairDARTS, fairdarts/utils.py and
  train_search.py), where a node may even lose all its edges.
  """
  check_number("threshold: value", value, above=0, below=1)

  def discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
    cells = dict(space.cells)
    for name, choices in _weights(space, alpha, _sigmoid).items():
      cell = space.cells[name]
      best = [_best(cell, e, choices.operations[e], avoid="none") for e in range(len(cell.edges))]
      strength = [choices.edges[e] * choices.operations[e][o] for e, o in enumerate(best)]
      edges = []
      for node in cell.nodes:
        ranked = sorted(cell.incoming(node), key=lambda e: -strength[e])[: cell.kept(node)]
        on = [e for e in ranked if choices.operations[e][best[e]] >= value] or ranked[:1]
        edges += [(e, cell.edges[e].ops[best[e]]) for e in on]
      kept = [Edge(cell.edges[e].src, cell.edges[e].dst, (op,)) for e, op in sorted(edges)]
      cells[name] = dataclasses.replace(cell, edges=tuple(kept))
    return space.replace(cells=cells)

  return discretize


def limit_skips(
  at_most: int = 2,
  cells: Sequence[str] = ("normal", "cell"),
  skip: str = "skip_connect",
) -> Discretize:
  """`argmax`, but while a cell has more than M skips the weakest of them may not be chosen.

  Its weight is set to 0, its edge takes the next best operation, and edges are ranked anew.

  Args:
    at_most: M, 0 or more.
    cells: the cells that are limited (the paper's: the normal cell); others are decided as they
      are.
    skip: the operation that is limited.

  Raises:
    DnasError: `at_most` negative; when called: as `argmax`, the cell cannot do with M skips, or
      none of `cells` is searched and has the operation, so that nothing is limited.

  Source: P-DARTS (Chen et al. 2019, arXiv:1904.12760), section 3.3 (M = 2).
  """
  check_count("limit_skips: at_most", at_most, 0)

  def discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
    decided = {}
    has = lambda name: any(skip in edge.ops for edge in space.cells[name].edges)
    if not any(name in cells and has(name) for name in space.searched):
      raise DnasError(
        f"limit_skips: cells = {tuple(cells)} with skip = {skip!r} limits nothing: searched are "
        f"{space.searched}, with {skip!r} in {tuple(filter(has, space.searched))}"
      )
    for name, weights in _weights(space, alpha, _softmax).items():
      cell = space.cells[name]
      decided[name] = choice = _decide(cell, weights)
      while name in cells and choice.count(skip) > at_most:
        on = [
          e for e, op in enumerate(choice) if op == skip and len(cell.candidates(cell.edges[e])) > 1
        ]
        if not on:
          raise DnasError(f"limit_skips: cells.{name} cannot do with {at_most} {skip}: {choice}")
        at = lambda e, cell=cell: cell.edges[e].ops.index(skip)
        weakest = min(on, key=lambda e: weights.edges[e] * weights.operations[e][at(e)])
        weights.operations[weakest][at(weakest)] = -1.0  # below every weight, so chosen never
        decided[name] = choice = _decide(cell, weights)
    return space.decide(decided)

  return discretize


def log_strengths(space: SearchSpace, alpha: AlphaLike) -> dict[str, list[np.ndarray]]:
  """log(beta_e softmax(alpha[e])[o]) per edge, float64, -inf where an operation was pruned.

  `argmax` takes the genotype of the largest sum of them over its edges, of those that compute
  something.

  Raises:
    DnasError: alpha does not fit the space, or holds NaN.
  """
  found = {}
  for name, weights in _weights(space, alpha, _softmax).items():
    with np.errstate(divide="ignore"):
      rows = zip(weights.operations, weights.edges, strict=True)
      found[name] = [np.log(beta * row) for row, beta in rows]
  return found


@dataclasses.dataclass(frozen=True)
class _Weights:
  """A cell's weights: of the operations of each edge, and of the edges themselves."""

  operations: list[np.ndarray]
  edges: np.ndarray


def _discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
  weights = _weights(space, alpha, _softmax)
  return space.decide({name: _decide(space.cells[name], weights[name]) for name in space.searched})


def _weights(
  space: SearchSpace, alpha: AlphaLike, relax: Callable[[np.ndarray], np.ndarray]
) -> dict[str, _Weights]:
  """The weights of each searched cell; those of edges are 1 where alpha has no logits of them."""
  found = {}
  for name, logits in _check(space, alpha).items():
    cell = space.cells[name]
    edges = np.ones(len(cell.edges))
    for node, beta in zip(cell.nodes, edge_logits(cell, name, alpha)):
      edges[list(cell.incoming(node))] = _softmax(beta)
    found[name] = _Weights([relax(values) for values in logits], edges)
  return found


def _best(cell: Cell, e: int, weights: np.ndarray, avoid: str | None = None) -> int:
  """Index of the strongest operation that a genotype may have on edge e; the first of equals."""
  ops = cell.edges[e].ops
  names = [op for op in cell.candidates(cell.edges[e]) if op != avoid] or list(ops)
  return max((ops.index(op) for op in names), key=lambda o: weights[o])


def _decide(cell: Cell, weights: _Weights) -> list[str | None]:
  choice: list[str | None] = [None] * len(cell.edges)
  strength = np.zeros(len(cell.edges))
  for e, edge in enumerate(cell.edges):
    best = _best(cell, e, weights.operations[e])
    choice[e] = edge.ops[best]
    strength[e] = weights.edges[e] * weights.operations[e][best]
  for node in cell.nodes:
    incoming = cell.incoming(node)
    by_strength = sorted(incoming, key=lambda e: -strength[e])  # stable: the first of equals wins
    for e in by_strength[cell.kept(node) :]:
      choice[e] = None
  if cell.keep is None:
    _reach(cell, weights.operations, choice)
  return choice


def _reach(cell: Cell, weights: list[np.ndarray], choice: list[str | None]) -> None:
  """Changes a choice through which nothing flows as little as possible until something does.

  Of all paths from an input to the output it takes the one with the least sum, over its edges that
  were decided to be `none`, of log w[none] - log w[the best other operation], and gives those edges
  that operation: the most probable of the genotypes that compute something.
  """
  none = [op in (None, "none") for op in choice]
  best = [_best(cell, e, weights[e], avoid="none") for e in range(len(cell.edges))]
  costs, through = dict.fromkeys(range(cell.inputs), 0.0), {}
  for e in sorted(range(len(cell.edges)), key=lambda e: cell.edges[e].dst):
    edge, op = cell.edges[e], cell.edges[e].ops[best[e]]
    if edge.src not in costs or op == "none" or weights[e][best[e]] <= 0:  # 0: it was pruned
      continue
    lost = np.log(weights[e].max() / weights[e][best[e]]) if none[e] else 0.0
    if costs[edge.src] + lost < costs.get(edge.dst, np.inf):
      costs[edge.dst], through[edge.dst] = costs[edge.src] + lost, e
  reached = [node for node in cell.output if node in costs]
  node = min(reached, key=costs.__getitem__, default=None)
  while node is not None and node >= cell.inputs:
    e = through[node]
    choice[e] = cell.edges[e].ops[best[e]] if none[e] else choice[e]
    node = cell.edges[e].src


def _softmax(logits: np.ndarray) -> np.ndarray:
  weights = np.exp(logits - logits.max())
  return weights / weights.sum()


def _sigmoid(logits: np.ndarray) -> np.ndarray:
  return 0.5 * (1 + np.tanh(0.5 * logits))


def _check(space: SearchSpace, alpha: AlphaLike) -> dict[str, list[np.ndarray]]:
  """The logits as float64 arrays, or an error that names the cell and edge."""
  if set(operations(alpha)) != set(space.searched):
    raise DnasError(
      f"alpha: has logits for the cells {sorted(operations(alpha))}, must have them for "
      f"{list(space.searched)}"
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
