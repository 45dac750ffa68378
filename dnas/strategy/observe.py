# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a search looks like while it runs: `diagnostics` on its state and one of its batches."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError, check_count
from dnas.space.space import SearchSpace
from dnas.strategy import diagnostics
from dnas.strategy.alpha import operations, relax
from dnas.strategy.problem import Problem, SearchState
from dnas.strategy.relaxation import Relaxation


class Observation(NamedTuple):
  """What was seen at one step.

  Attributes:
    genotype: as it would be decided now.
    metrics: numbers and lists by name, for the log.
  """

  genotype: SearchSpace
  metrics: dict[str, Any]


def observer(
  problem: Problem,
  relaxation: Relaxation,
  decide: Callable[[SearchSpace, Any], SearchSpace],
  *,
  hessian_steps: int = 0,
) -> Callable[[SearchState, Any, Sequence[SearchSpace], float], Observation]:
  """(state, batch, earlier genotypes, progress) -> what the search looks like.

  The metrics: `skip_share` and `agreement` of the genotype and those before it; for each cell
  `edge_entropy/CELL`, a list over its edges; `gap/loss` and `gap/NAME` for each metric of the
  problem, the decided supernet's minus the relaxed one's on the batch (batch statistics, one
  forward pass each); and with `hessian_steps`, `hessian/dominant`.

  Args:
    problem: what is searched.
    relaxation: as in the search.
    decide: alpha -> genotype.
    hessian_steps: Lanczos steps, each a Hessian-vector product on the batch, compiled when it is
      first needed; 0: none. The relaxation must then have a second derivative, which `dirichlet`
      lacks. A product that is not finite is logged as NaN.

  Raises:
    DnasError: `hessian_steps` negative.
  """
  check_count("watch.hessian_steps", hessian_steps, 0)
  space = problem.space

  @jax.jit
  def evaluate(params, stats, weights, batch, key, progress):
    loss, (_, metrics) = problem.loss(params, stats, weights, batch, key, True, progress)
    return {**metrics, "loss": loss}

  @jax.jit
  def relaxed(alpha, key, progress):
    return relax(relaxation, key, alpha, progress, space)

  def loss(alpha, params, stats, batch, key, progress):
    relax_key, loss_key = jax.random.split(key)
    weights = relax(relaxation, relax_key, alpha, progress, space)
    return problem.loss(params, stats, weights, batch, loss_key, True, progress)[0]

  def searched(genotype: SearchSpace) -> SearchSpace:
    """The cells that were searched; others (a down-sampling) are always the same."""
    return genotype.replace(cells={n: genotype.cells[n] for n in space.searched}, stages=())

  spectrum = diagnostics.hessian_spectrum(loss, hessian_steps) if hessian_steps else None

  def observe(state: SearchState, batch: Any, earlier: Sequence[SearchSpace], progress: float):
    alpha = jax.device_get(state.decided_by)
    genotype = decide(space, alpha)
    entropies = diagnostics.edge_entropies(operations(alpha))
    metrics: dict[str, Any] = {f"edge_entropy/{n}": v.tolist() for n, v in entropies.items()}
    metrics["skip_share"] = diagnostics.skip_share(searched(genotype))
    metrics["agreement"] = diagnostics.agreement([searched(g) for g in (*earlier, genotype)])
    progress_ = jnp.asarray(progress, jnp.float32)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
    measure = lambda w: jax.device_get(
      evaluate(state.params, state.stats, w, batch, keys[0], progress_)
    )
    soft = measure(relaxed(state.alpha, keys[1], progress_))
    hard = measure(one_hot(space, genotype))
    metrics |= {f"gap/{name}": float(hard[name] - soft[name]) for name in soft}
    if spectrum is not None:
      args = (state.params, state.stats, batch, keys[2], progress_)
      try:
        metrics["hessian/dominant"] = spectrum(state.alpha, *args).dominant
      except DnasError:  # A loss may lack the second derivative here: the search goes on.
        metrics["hessian/dominant"] = math.nan
    return Observation(genotype, metrics)

  return observe


def one_hot(space: SearchSpace, genotype: SearchSpace) -> Mapping[str, tuple[jax.Array, ...]]:
  """The mixing weights of a genotype in its space: 1 for what it chose, 0 for all else.

  Raises:
    SpaceError: an edge of the genotype is not one of the space's.
  """
  weights = {}
  for name in space.searched:
    cell, decided = space.cells[name], genotype.cells[name]
    rows = [np.zeros(len(edge.ops), np.float32) for edge in cell.edges]
    for e, edge in zip(cell.match(decided, f"genotype.{name}"), decided.edges, strict=True):
      rows[e][cell.edges[e].ops.index(edge.ops[0])] = 1
    weights[name] = tuple(map(jnp.asarray, rows))
  return weights
