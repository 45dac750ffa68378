# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The one crossing between modules and pure functions: a module as (Static, params, stats).

Inside a jitted function `static.merge(params, stats)` gives the module back; outside, weights and
batch statistics are plain nested dicts of arrays, which cost nothing to pass.
"""

import dataclasses
from typing import Any

import jax
from flax import nnx

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Static:
  """What of a module is no array; hashable, so a jitted function may take it as static.

  Attributes:
    graphdef: Flax' description of the module.
    param_def, stat_def: tree structures of the weights and of the batch statistics.
  """

  graphdef: Any
  param_def: Any
  stat_def: Any

  def merge(self, params: PyTree, stats: PyTree) -> Any:
    """The module with these weights and batch statistics."""
    return nnx.merge(
      self.graphdef,
      jax.tree.unflatten(self.param_def, jax.tree.leaves(params)),
      jax.tree.unflatten(self.stat_def, jax.tree.leaves(stats)),
    )


def split(module: nnx.Module) -> tuple[Static, PyTree, PyTree]:
  """A module as (static, params, stats).

  Raises:
    TypeError: the module holds arrays that are neither `nnx.Param` nor `nnx.BatchStat`.
  """
  graphdef, params, stats, rest = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
  others = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(rest)]
  if others:
    raise TypeError(f"arrays must be nnx.Param or nnx.BatchStat, but these are not: {others}")
  static = Static(graphdef, jax.tree.structure(params), jax.tree.structure(stats))
  return static, nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def stats_of(module: nnx.Module) -> PyTree:
  """The batch statistics of a module, after a call in training mode."""
  return nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
