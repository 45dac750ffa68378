# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Architecture logits, one vector per edge of each cell that still holds a choice, and weights.

A search with edge weights has logits of the edges as well: `CELL/edges` -> one vector per node,
over its incoming edges in their order (PC-DARTS' beta).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.space.space import Cell, SearchSpace, SpaceError
from dnas.strategy.relaxation import Relaxation

# Cell name -> logits [O] per edge; O is the number of the edge's operations, in their order.
Alpha = dict[str, tuple[jax.Array, ...]]
# The same as it may come from anywhere: also logits on the host, and lists.
AlphaLike = Mapping[str, Sequence[Any]]
_EDGES = "/edges"


def edges_key(cell: str) -> str:
  """Where the logits of a cell's edges stand in an `Alpha`."""
  return cell + _EDGES


def operations(alpha: AlphaLike) -> dict[str, tuple[Any, ...]]:
  """The logits of operations alone, those of edges left out."""
  return {name: tuple(v) for name, v in alpha.items() if not name.endswith(_EDGES)}


def edge_logits(cell: Cell, name: str, alpha: AlphaLike) -> list[np.ndarray]:
  """The logits of a cell's edges by node, float64; [] where there are none.

  Raises:
    DnasError: they do not fit the cell, or are not finite; the message names the node.
  """
  at = edges_key(name)
  if at not in alpha:
    return []
  betas = [np.asarray(beta, np.float64) for beta in alpha[at]]
  if len(betas) != len(cell.nodes):
    raise DnasError(f"alpha.{at}: has {len(betas)} nodes, the cell has {len(cell.nodes)}")
  for node, beta in zip(cell.nodes, betas, strict=True):
    count = len(cell.incoming(node))
    if beta.shape != (count,) or not np.isfinite(beta).all():
      raise DnasError(
        f"alpha.{at}: of node {node} must be {count} finite numbers, got {beta.tolist()}"
      )
  return betas


def init_alpha(
  space: SearchSpace, key: jax.Array, scale: float = 1e-3, edge_weights: bool = False
) -> Alpha:
  """alpha ~ scale N(0, 1), float32, for every edge of the cells in `space.searched`.

  Args:
    space: the search space.
    key: of the noise.
    scale: its standard deviation.
    edge_weights: whether there are logits of the edges too.

  Raises:
    DnasError: the space holds no choice.

  Source: DARTS (arXiv:1806.09055), whose code starts from 1e-3 N(0, 1).
  """
  if not space.searched:
    raise DnasError("space: no cell holds a choice (it is a genotype already): nothing to search")
  sizes = {name: [len(e.ops) for e in space.cells[name].edges] for name in space.searched}
  if edge_weights:  # Behind the others, so that those are what they would be without.
    for name in space.searched:
      cell = space.cells[name]
      sizes[edges_key(name)] = [len(cell.incoming(node)) for node in cell.nodes]
  noise = scale * jax.random.normal(key, (sum(map(sum, sizes.values())),), jnp.float32)
  cuts = np.cumsum([size for each in sizes.values() for size in each])
  edges = iter(jnp.split(noise, cuts[:-1]))
  return {name: tuple(next(edges) for _ in each) for name, each in sizes.items()}


def relax(
  relaxation: Relaxation,
  key: jax.Array,
  alpha: AlphaLike,
  progress,
  space: SearchSpace,
) -> Alpha:
  """weights[cell][e] = beta_e relaxation(key_e, alpha[cell][e], progress), with a key of its own.

  beta = softmax over the edges that enter a node of `alpha[CELL/edges]`; 1 where there are none.
  Edges with equally many operations are stacked and relaxed by one `vmap`, so that the traced
  program hardly grows with the number of edges.

  Args:
    relaxation: logits -> mixing weights.
    key: of its noise.
    alpha: the logits.
    progress: in [0, 1].
    space: tells which edges enter a node.

  Returns:
    Mixing weights of the structure and shapes of `operations(alpha)`.

  Source of the edge weights: PC-DARTS (Xu et al. 2020, arXiv:1907.05737), eq. 3.
  """
  weights = _relax_operations(relaxation, key, operations(alpha), progress)
  for name, edges in weights.items():
    if edges_key(name) not in alpha:
      continue
    beta: dict[int, jax.Array] = {}
    for node, logits in zip(space.cells[name].nodes, alpha[edges_key(name)], strict=True):
      beta |= dict(zip(space.cells[name].incoming(node), jax.nn.softmax(logits), strict=True))
    weights[name] = tuple(beta[e] * w for e, w in enumerate(edges))
  return weights


def _relax_operations(relaxation: Relaxation, key, alpha: Alpha, progress) -> Alpha:
  leaves, tree = jax.tree.flatten(alpha)
  keys = jax.random.split(key, len(leaves))
  weights: list[jax.Array] = [leaves[0]] * len(leaves)
  for size in sorted({leaf.size for leaf in leaves}):
    group = np.array([i for i, leaf in enumerate(leaves) if leaf.size == size])
    stacked = jnp.stack([leaves[i] for i in group])
    group_keys = keys if len(group) == len(leaves) else keys[group]
    relaxed = jax.vmap(relaxation, in_axes=(0, 0, None))(group_keys, stacked, progress)
    for i, row in zip(group, jnp.unstack(relaxed), strict=True):
      weights[i] = row
  return jax.tree.unflatten(tree, weights)


def one_hot(space: SearchSpace, genotype: SearchSpace) -> dict[str, tuple[np.ndarray, ...]]:
  """w[cell][e][o] = 1 where `genotype` has operation o on edge e of `space`, else 0; float32.

  An edge that the genotype drops has zeros only. What a supernet computes at these weights is the
  genotype's network.

  Raises:
    SpaceError: a cell is missing, or an edge is none of the space's or still holds a choice.
  """
  weights = {}
  for name in space.searched:
    if name not in genotype.cells:
      raise SpaceError(f"genotype.cells: {name!r} is missing, got {sorted(genotype.cells)}")
    cell, decided = space.cells[name], genotype.cells[name]
    weights[name] = tuple(np.zeros(len(edge.ops), np.float32) for edge in cell.edges)
    for e, edge in zip(cell.match(decided, f"genotype.cells.{name}"), decided.edges, strict=True):
      weights[name][e][cell.edges[e].ops.index(edge.ops[0])] = 1
  return weights


def entropy(edges: Sequence[jax.Array]) -> jax.Array:
  """H = mean over edges of -sum_o p_o log p_o, p = softmax(alpha): scalar, in nats."""

  def edge_entropy(logits: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(logits)
    # A pruned operation may have logit -inf: 0 log 0 = 0.
    return -jnp.sum(jnp.where(jnp.isneginf(log_p), 0.0, jnp.exp(log_p) * log_p))

  sizes = sorted({logits.size for logits in edges})
  stacks = [jnp.stack([a for a in edges if a.size == size]) for size in sizes]
  return jnp.concatenate([jax.vmap(edge_entropy)(stack) for stack in stacks]).mean()
