# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The one crossing between modules and pure functions: a module as (Static, params, stats).

Inside a jitted function `static.merge(params, stats)` gives the module back; outside, weights and
batch statistics are plain nested dicts of arrays, which cost nothing to pass.
"""

import dataclasses
from collections.abc import Callable
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


def variables(module: nnx.Module) -> tuple[list[nnx.Variable], list[nnx.Variable]]:
  """The variables of a module's weights and those of its batch statistics.

  Each in the order of the leaves that `split` gives, at a third of its time.
  """
  found = sorted(
    (tuple(path), node) for path, node in nnx.iter_graph(module) if isinstance(node, nnx.Variable)
  )
  of = lambda kind: [node for _, node in found if isinstance(node, kind)]
  return of(nnx.Param), of(nnx.BatchStat)


def put_stats(module: nnx.Module, stats: PyTree) -> None:
  """Sets the batch statistics of a module to what `stats_of` gave for it or for a copy."""
  state = nnx.state(module, nnx.BatchStat)
  nnx.replace_by_pure_dict(state, stats)
  nnx.update(module, state)


def rematerialised(module: nnx.Module, call: Callable[..., Any], *operands: Any) -> Any:
  """call(module, *operands), whose intermediate values the backward pass computes anew.

  It holds the operands and the result in memory instead, and computes the forward pass twice. The
  module's batch statistics move as they would.

  Source: Chen et al. 2016 (arXiv:1604.06174).
  """
  static, params, stats = split(module)

  @jax.checkpoint
  def run(params, stats, *operands):
    copy = static.merge(params, stats)
    return call(copy, *operands), stats_of(copy)

  result, stats = run(params, stats, *operands)
  put_stats(module, stats)
  return result


def stats_of(module: nnx.Module) -> PyTree:
  """The batch statistics of a module, after a call in training mode."""
  return nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
