# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Architecture logits: one vector per edge of each cell that still holds a choice."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.space.space import SearchSpace
from dnas.strategy.relaxation import Relaxation

# Cell name -> logits [O] per edge; O is the number of the edge's operations, in their order.
Alpha = dict[str, tuple[jax.Array, ...]]


def init_alpha(space: SearchSpace, key: jax.Array, scale: float = 1e-3) -> Alpha:
  """alpha ~ scale N(0, 1), float32, for every edge of the cells in `space.searched`.

  Raises:
    DnasError: the space holds no choice.

  Source: DARTS (arXiv:1806.09055), whose code starts from 1e-3 N(0, 1).
  """
  if not space.searched:
    raise DnasError("space: no cell holds a choice (it is a genotype already): nothing to search")
  sizes = {name: [len(e.ops) for e in space.cells[name].edges] for name in space.searched}
  noise = scale * jax.random.normal(key, (sum(map(sum, sizes.values())),), jnp.float32)
  cuts = np.cumsum([size for each in sizes.values() for size in each])
  edges = iter(jnp.split(noise, cuts[:-1]))
  return {name: tuple(next(edges) for _ in each) for name, each in sizes.items()}


def relax(
  relaxation: Relaxation, key: jax.Array, alpha: Mapping[str, Sequence[jax.Array]], progress
) -> Alpha:
  """weights[cell][e] = relaxation(key_e, alpha[cell][e], progress), an independent key per edge.

  Edges with equally many operations are stacked and relaxed by one `vmap`, so that the traced
  program hardly grows with the number of edges.

  Returns:
    Mixing weights of the structure and shapes of `alpha`.
  """
  leaves, tree = jax.tree.flatten({name: tuple(edges) for name, edges in alpha.items()})
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


def entropy(edges: Sequence[jax.Array]) -> jax.Array:
  """H = mean over edges of -sum_o p_o log p_o, p = softmax(alpha): scalar, in nats."""

  def edge_entropy(logits: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(logits)
    # A pruned operation may have logit -inf: 0 log 0 = 0.
    return -jnp.sum(jnp.where(jnp.isneginf(log_p), 0.0, jnp.exp(log_p) * log_p))

  sizes = sorted({logits.size for logits in edges})
  stacks = [jnp.stack([a for a in edges if a.size == size]) for size in sizes]
  return jnp.concatenate([jax.vmap(edge_entropy)(stack) for stack in stacks]).mean()
