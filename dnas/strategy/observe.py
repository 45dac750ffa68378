# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a search looks like while it runs: `diagnostics` on its state and one of its batches."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.errors import DnasError, check_count
from dnas.space.space import SearchSpace
from dnas.strategy import diagnostics
from dnas.strategy.alpha import one_hot, operations, relax
from dnas.strategy.discretize import Discretize
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
  decide: Discretize,
  *,
  hessian_steps: int = 0,
) -> Callable[[SearchState, Any, Sequence[SearchSpace], Any], Observation]:
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

  spectrum = diagnostics.hessian_spectrum(loss, hessian_steps) if hessian_steps else None

  def observe(state: SearchState, batch: Any, earlier: Sequence[SearchSpace], progress: Any):
    alpha = jax.device_get(state.decided_by)
    genotype = decide(space, alpha)
    metrics = _of_cells(space, alpha, genotype, earlier)
    weights, progress = (state.params, state.stats), jnp.asarray(progress, jnp.float32)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
    measure = lambda mixing: jax.device_get(evaluate(*weights, mixing, batch, keys[0], progress))
    soft = measure(relaxed(state.alpha, keys[1], progress))
    hard = measure(one_hot(space, genotype))
    metrics |= {f"gap/{name}": float(hard[name] - soft[name]) for name in soft}
    if spectrum is not None:
      args = (*weights, batch, keys[2], progress)
      try:
        metrics["hessian/dominant"] = spectrum(state.alpha, *args).dominant
      except DnasError:  # A loss may lack the second derivative here: the search goes on.
        metrics["hessian/dominant"] = math.nan
    return Observation(genotype, metrics)

  return observe


def _of_cells(
  space: SearchSpace, alpha: Any, genotype: SearchSpace, earlier: Sequence[SearchSpace]
) -> dict[str, Any]:
  """What logits and genotypes alone tell, of the cells that are searched."""
  # Others (a down-sampling) are always the same.
  genotypes = [
    g.replace(cells={name: g.cells[name] for name in space.searched}, stages=())
    for g in (*earlier, genotype)
  ]
  entropies = diagnostics.edge_entropies(operations(alpha))
  return {
    **{f"edge_entropy/{name}": values.tolist() for name, values in entropies.items()},
    "skip_share": diagnostics.skip_share(genotypes[-1]),
    "agreement": diagnostics.agreement(genotypes),
  }
