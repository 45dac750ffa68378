# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search in stages: between two of them, each edge loses its weakest operations."""

import dataclasses

import numpy as np

from dnas.errors import check_count
from dnas.space.space import Edge, SearchSpace
from dnas.strategy.alpha import AlphaLike, edges_key, operations


def prune(
  space: SearchSpace, alpha: AlphaLike, keep: int
) -> tuple[SearchSpace, dict[str, tuple[np.ndarray, ...]]]:
  """Each edge keeps its k operations of the largest logits, in their order; and what alpha is then.

  An edge with k or fewer keeps them all. Where `none` cannot be chosen (`Cell.keep`), one other
  operation stays at least.

  Args:
    space: the search space.
    alpha: logits per edge, and logits of edges, which stay.
    keep: k, 1 or more.

  Raises:
    DnasError: `keep` below 1.

  Source: P-DARTS (Chen et al. 2019, arXiv:1904.12760), section 3.2 (8, 5, 3 operations); DrNAS
  (arXiv:2006.10355), section 3.4.
  """
  check_count("stages: keep", keep, 1)
  cells, kept_alpha = dict(space.cells), {}
  for name, logits in operations(alpha).items():
    cell, edges, rows = space.cells[name], [], []
    for edge, values in zip(cell.edges, logits, strict=True):
      values = np.asarray(values)
      ranked = sorted(range(len(edge.ops)), key=lambda o: -values[o])
      best = next(o for o in ranked if edge.ops[o] in cell.candidates(edge))
      # The best that can be chosen comes first, the others behind it by their logits.
      chosen = sorted([best, *(o for o in ranked if o != best)][:keep])
      edges.append(Edge(edge.src, edge.dst, tuple(edge.ops[o] for o in chosen)))
      rows.append(values[chosen])
    cells[name] = dataclasses.replace(cell, edges=tuple(edges))
    kept_alpha[name] = tuple(rows)
    if edges_key(name) in alpha:
      kept_alpha[edges_key(name)] = tuple(map(np.asarray, alpha[edges_key(name)]))
  return space.replace(cells=cells), kept_alpha
