# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a differentiable search is given, and what it carries from step to step."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dnas.nn.stacked import Layout
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import Alpha

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Problem:
  """What is searched, as functions.

  Attributes:
    space: the search space.
    init: key -> (params, stats): weights, and batch statistics (an empty dict where there are
      none).
    loss: (params, stats, weights, batch, key, train, progress) -> (scalar, (stats, metrics)).
      `weights` are the mixing weights, of the structure of `Alpha`; `train` is a Python bool;
      `progress` runs from 0 to 1 over the search, for what changes with it (drop-path); `metrics`
      is a dict of scalars. It never sees logits, relaxations or which of the two levels it serves.
    layout: how weights and statistics are packed; what wants them edge by edge unpacks them.
  """

  space: SearchSpace
  init: Callable[[jax.Array], tuple[PyTree, PyTree]]
  loss: Callable[..., tuple[jax.Array, tuple[PyTree, Mapping[str, jax.Array]]]]
  layout: Layout = dataclasses.field(default_factory=Layout)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SearchState:
  """Everything that a search carries from step to step; each leaf is an array.

  Attributes:
    params: weights of the network.
    stats: batch statistics.
    alpha: logits [O] per edge of each searched cell.
    weight_opt: state of the weight optimiser.
    alpha_opt: state of the alpha optimiser.
    step: int32, the number of steps done.
    key: the run's key; step t draws from fold_in(key, t), so a resumed run draws what it would
      have.
    freezing: state of the rule by which operations stop learning; () without one.
    multipliers: one a budget, see `pricing`; () without one.
    mean: alpha averaged over the end of the search, see `bilevel`; () where it is not.
  """

  params: PyTree
  stats: PyTree
  alpha: Alpha
  weight_opt: PyTree
  alpha_opt: PyTree
  step: jax.Array
  key: jax.Array
  freezing: PyTree = ()
  multipliers: PyTree = ()
  mean: Alpha | tuple[()] = ()

  @property
  def decided_by(self) -> Alpha:
    """The logits that a genotype is taken from: `mean`, or alpha where there is none."""
    return self.mean or self.alpha
