# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The losses of a search's two levels, with all bound in them but weights and alpha."""

import collections
import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from dnas.strategy.alpha import Alpha, edges_key, operations, relax
from dnas.strategy.pricing import Pricing
from dnas.strategy.problem import Problem, PyTree, SearchState
from dnas.strategy.regularization import Penalty, Perturbation, WeightPenalty
from dnas.strategy.relaxation import Relaxation
from dnas.strategy.schedule import progress_at

# (params, alpha) -> (scalar, (batch statistics, metrics)).
Level = Callable[[PyTree, Alpha], tuple[jax.Array, tuple[PyTree, Mapping[str, jax.Array]]]]


@dataclasses.dataclass(frozen=True)
class Levels:
  """inner(params, alpha), which the weights lower, and outer(params, alpha), which alpha lowers.

  Each is the problem's loss at the mixing weights that alpha relaxes to; a level's key sets their
  noise and that of the network. See `bilevel` for the attributes.
  """

  problem: Problem
  relaxation: Relaxation
  steps: int
  warmup_steps: int
  penalties: tuple[Penalty, ...]
  perturbation: Perturbation | None
  weight_penalty: WeightPenalty | None
  pricing: Pricing | None

  def inner(self, state: SearchState, batch: PyTree, key: jax.Array) -> Level:
    """The loss of the weights, at perturbed mixing weights where there is a perturbation."""
    return self._loss(state, batch, key, self.perturbation)

  def outer(self, state: SearchState, batch: PyTree, key: jax.Array) -> Level:
    """The loss of alpha, as yet without what `lowered` adds."""
    return self._loss(state, batch, key, None)

  def lowered(self, loss: jax.Array, state: SearchState, alpha: Alpha, key: jax.Array):
    """What alpha lowers: the loss, priced, and the penalties; `key` is that of the loss."""
    if self.pricing is not None:
      loss = self.pricing.loss(loss, self.priced(state, alpha, key), state.multipliers)
    logits = operations(alpha)
    terms = [penalty(logits, self.progress(state)) for penalty in self.penalties]
    return sum(terms, start=loss)

  def penalised(self, state: SearchState, batch: PyTree, key: jax.Array, gradient: PyTree):
    """The gradient of the weight step with that of the weight penalty added."""
    if self.weight_penalty is None:
      return gradient
    loss_key, progress = jax.random.split(key)[1], self.progress(state)
    layers = collections.Counter[str]()
    for stage in self.problem.space.stages:
      layers[stage.cell] += stage.repeats
    weights = self.weights(state, state.alpha, key)
    loss = lambda p, w: self.problem.loss(p, state.stats, w, batch, loss_key, True, progress)[0]
    extra = self.weight_penalty(loss, state.params, weights, layers, progress)
    return jax.tree.map(jnp.add, gradient, extra)

  def weights(self, state: SearchState, alpha: Alpha, key: jax.Array) -> Alpha:
    """The mixing weights that the loss with this key has."""
    relax_key = jax.random.split(key)[0]
    return relax(self.relaxation, relax_key, alpha, self.progress(state), self.problem.space)

  def priced(self, state: SearchState, alpha: Alpha, key: jax.Array) -> Alpha:
    """`weights` as costs see them: where every edge stays, none costs less for weighing less."""
    cells = self.problem.space.cells
    stay = {edges_key(name) for name, cell in cells.items() if cell.keep is None}
    return self.weights(state, {k: rows for k, rows in alpha.items() if k not in stay}, key)

  def progress(self, state: SearchState) -> jax.Array:
    """See `schedule.progress_at`."""
    return progress_at(state.step, self.steps, self.warmup_steps)

  def _loss(self, state, batch, key, perturbation: Perturbation | None) -> Level:
    loss_key, progress = jax.random.split(key)[1], self.progress(state)

    def loss(params, alpha):
      apply = lambda p, w: self.problem.loss(p, state.stats, w, batch, loss_key, True, progress)
      weights = self.weights(state, alpha, key)
      if perturbation is not None:
        # The move is a constant: found at weights and params through which no gradient flows.
        still, params_still = jax.lax.stop_gradient((weights, params))
        probe = lambda w: apply(params_still, w)[0]
        # Of `key` itself: `relax` has split what comes of `relax_key` among the edges.
        moved = perturbation(jax.random.fold_in(key, 2), probe, still, progress)
        weights = jax.tree.map(lambda w, m, s: w + (m - s), weights, moved, still)
      return apply(params, weights)

    return loss
