# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One architecture of a space as a path through its supernet: mixing weights that are 0 or 1.

One compiled supernet then serves every genotype of the space. What lies off the path has weight 0:
it changes neither features nor gradients, and whoever counts what a network holds (activations,
norms) multiplies by `weight_at`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dnas.nn.network import Weights
from dnas.space.space import SearchSpace


def one_hot(space: SearchSpace, genotype: SearchSpace) -> dict[str, tuple[np.ndarray, ...]]:
  """w[cell][e][o] = 1 where `genotype` has operation o on edge e of `space`, else 0.

  An edge that the genotype drops has zeros only.

  Raises:
    SpaceError: `genotype` is not in `space`, or still holds a choice.
  """
  choices = space.choices(genotype)
  return {
    name: tuple(
      np.asarray([op == chosen for op in edge.ops], np.float32)
      for edge, chosen in zip(space.cells[name].edges, choices[name], strict=True)
    )
    for name in space.searched
  }


def weight_at(path: Sequence[Any], names: Sequence[str], weights: Weights):
  """The mixing weight of the operation that a part of a `Network` belongs to; 1 outside of cells.

  Args:
    path: of a module or an array in a `Network`, `("backbone", "cells", 3, "edges", 0, "ops", 1)`
      and whatever follows.
    names: the kind of each cell, `network.backbone.names`.
    weights: mixing weights of the searched cells.
  """
  if tuple(path[:2]) != ("backbone", "cells") or len(path) < 7 or path[3] != "edges":
    return 1.0
  name: Any = names[path[2]]
  return weights[name][path[4]][path[6]] if name in weights else 1.0
