# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The differentiable search: alpha lowers the outer loss, weights lower the inner loss, in turn.

    min over alpha of outer(w*(alpha), alpha),  w*(alpha) = argmin over w of inner(w, alpha)

    search = bilevel(problem, softmax(), unrolled(), sgd(steps=1000), adam(), steps=1000)
    state = search.init(jax.random.key(0))
    state, metrics = search.step(state, weight_batch, alpha_batch)       # one jit, state donated

Source: DARTS (Liu et al. 2019, arXiv:1806.09055), eq. 3 and 4, algorithm 1.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dnas.errors import DnasError, check_count, check_number
from dnas.finite import skip_unless_finite
from dnas.strategy.alpha import Alpha, entropy, init_alpha
from dnas.strategy.freezing import Freezing
from dnas.strategy.hypergradient import Hypergradient, check_fits
from dnas.strategy.levels import Levels
from dnas.strategy.optimizer import Optimizer
from dnas.strategy.pricing import Pricing
from dnas.strategy.problem import Problem, PyTree, SearchState
from dnas.strategy.regularization import Penalty, Perturbation, WeightPenalty
from dnas.strategy.relaxation import Relaxation

Metrics = dict[str, jax.Array]
GUARDED = ("weight_loss", "weight_grad_norm", "alpha_loss", "alpha_grad_norm")
"""Metrics without which there is no step: one of them NaN or infinite, and nothing moves."""


class Bilevel(NamedTuple):
  """A search as two pure functions.

  Attributes:
    init: key -> state.
    step: (state, weight_batch, alpha_batch) -> (state, metrics); jitted, and the state is donated.
      With alpha_batch None it moves the weights alone, which is a program of its own.
      `metrics` are scalars on the device: `weight_loss` and the problem's own metrics (weight
      batch, train mode), `weight_grad_norm`, `entropy/CELL` (mean over the edges, in nats) and, if
      an alpha gradient was computed, `alpha_loss` and `alpha_grad_norm`. Where one of `GUARDED`
      is NaN or infinite, nothing but the step count moves, and `skipped` is 1 (else 0).
  """

  init: Callable[[jax.Array], SearchState]
  step: Callable[[SearchState, PyTree, PyTree | None], tuple[SearchState, Metrics]]


def check_warmup(
  what: str, warmup_steps: int, steps: int, kind: type[DnasError] = DnasError
) -> None:
  """An error of the class `kind` unless steps are left in which alpha moves."""
  if warmup_steps >= steps:
    raise kind(
      f"{what} must be below steps = {steps}, got {warmup_steps}: alpha would never be trained"
    )


def bilevel(
  problem: Problem,
  relaxation: Relaxation,
  hypergradient: Hypergradient | None,
  weight_optimizer: Optimizer,
  alpha_optimizer: Optimizer,
  *,
  steps: int,
  warmup_steps: int = 0,
  edge_weights: bool = False,
  penalties: Sequence[Penalty] = (),
  perturbation: Perturbation | None = None,
  weight_penalty: WeightPenalty | None = None,
  freezing: Freezing | None = None,
  pricing: Pricing | None = None,
  average: float = 0.0,
) -> Bilevel:
  """The search loop's two functions.

  A step first moves alpha by the hypergradient, then the weights at the new alpha. The inner loss
  that the hypergradient sees has the batch and the noise of the weight step that follows: it looks
  ahead to the very step that is taken (at the old alpha, and before clipping). The alpha step uses
  the batch's own statistics and discards the running ones. The two levels draw independent noise.

  Args:
    problem: what is searched.
    relaxation: logits -> mixing weights; its `progress` is (step - warmup_steps) / (steps -
      warmup_steps), clipped to [0, 1].
    hypergradient: how alpha is moved. None: one level, alpha descends together with the weights on
      the same loss and the same batch (SNAS), and alpha_batch must be None.
    weight_optimizer: `optimizer.sgd(...)` or `optimizer.adamw(...)`.
    alpha_optimizer: `optimizer.adam(...)`.
    steps: length of the search.
    warmup_steps: alpha does not move for so many steps. Pass alpha_batch None for as long, and
      nothing is spent on it either. (One program with a `lax.cond` would do without that. But on
      CPUs the alpha step took 16 times as long so, for the whole search; not measured since
      `nn.dense` writes gradients that stay fast there. A second program costs one more compilation
      of the weight step.)
    edge_weights: whether the edges that enter a node share one weight between them (PC-DARTS).
    penalties: functions of alpha that are added to the loss that alpha lowers; `alpha_loss` holds
      them.
    perturbation: moves the mixing weights in the weight step (and in the inner loss that the
      hypergradient sees), so that weights are trained around the architecture.
    weight_penalty: adds to the gradient of the weight step, not to the inner loss that a
      hypergradient sees.
    freezing: stops single operations; it compares the gradients of both levels.
    pricing: what the network costs, as part of the loss that alpha lowers (`alpha_loss` holds it);
      its metrics are reported with each alpha step. With one level the weights lower a loss that an
      objective has multiplied, too.
    average: the genotype is decided by the mean of alpha over this last share of the bilevel steps,
      in [0, 1); 0: by the last alpha. (Averaging of Polyak and Ruppert: the last alpha of a short
      search is one noisy sample.)

  Raises:
    DnasError: `steps`, `warmup_steps` or `average` out of range, the space is a genotype already,
      freezing with one level, or a hypergradient that does not go with the weight optimiser.
  """
  check_count("bilevel: steps", steps, 1)
  check_count("bilevel: warmup_steps", warmup_steps, 0)
  check_warmup("bilevel: warmup_steps", warmup_steps, steps)
  check_number("bilevel: average", average, least=0, below=1)
  if freezing is not None and hypergradient is None:
    raise DnasError("bilevel: freezing compares the gradients of two levels, but there is one")
  if hypergradient is not None:
    check_fits(hypergradient, weight_optimizer)
  levels = Levels(
    problem,
    relaxation,
    steps,
    warmup_steps,
    tuple(penalties),
    perturbation,
    weight_penalty,
    pricing,
  )
  search = _Search(
    levels,
    hypergradient,
    weight_optimizer,
    alpha_optimizer,
    edge_weights,
    freezing,
    average,
  )
  step = search.one_level_step if hypergradient is None else search.two_level_step

  def sound_step(state: SearchState, weight_batch: PyTree, alpha_batch: PyTree | None):
    new, metrics = step(state, weight_batch, alpha_batch)
    return skip_unless_finite(state, search.averaged(new), metrics, *GUARDED)

  return Bilevel(search.init, jax.jit(sound_step, donate_argnums=0))


@dataclasses.dataclass(frozen=True)
class _Search:
  """What the functions of `bilevel` share; see its arguments."""

  levels: Levels
  hypergradient: Hypergradient | None
  weight_optimizer: Optimizer
  alpha_optimizer: Optimizer
  edge_weights: bool
  freezing: Freezing | None
  average: float

  def init(self, key: jax.Array) -> SearchState:
    param_key, alpha_key, run_key = jax.random.split(key, 3)
    problem, pricing = self.levels.problem, self.levels.pricing
    alpha = init_alpha(problem.space, alpha_key, edge_weights=self.edge_weights)
    # Copies: the state is donated, and what the problem's init returns may be the caller's. With
    # dtypes: a weakly typed leaf would make the step compile twice.
    params, stats = jax.tree.map(_own, tuple(problem.init(param_key)))
    return SearchState(
      params=params,
      stats=stats,
      alpha=alpha,
      weight_opt=jax.tree.map(_own, self.weight_optimizer.init(params)),
      alpha_opt=jax.tree.map(_own, self.alpha_optimizer.init(alpha)),
      step=jnp.zeros((), jnp.int32),
      key=run_key,
      freezing=self.freezing.init(problem.layout.unpack(params)) if self.freezing else (),
      multipliers=jax.tree.map(_own, pricing.init()) if pricing else (),
      mean=jax.tree.map(_own, alpha) if self.average else (),
    )

  def two_level_step(self, state: SearchState, weight_batch: PyTree, alpha_batch: PyTree | None):
    weight_key, alpha_key = _keys(state)
    inner = self.levels.inner(state, weight_batch, weight_key)
    report, reference = {}, None
    if alpha_batch is not None:
      assert self.hypergradient is not None
      lowered = self.levels.lowered
      outer = self.levels.outer(state, alpha_batch, alpha_key)
      value, gradient = self.hypergradient(
        lambda params, alpha: lowered(outer(params, alpha)[0], state, alpha, alpha_key),
        lambda params, alpha: inner(params, alpha)[0],
        state.params,
        state.alpha,
        self.weight_optimizer.describe(state.weight_opt),
      )
      if self.freezing is not None:
        reference = jax.grad(lambda params: outer(params, state.alpha)[0])(state.params)
      state, report = self._move_alpha(state, gradient, value, alpha_key)
    value_and_gradient = jax.value_and_grad(inner, has_aux=True)
    (loss, aux), gradient = value_and_gradient(state.params, state.alpha)
    gradient = self.levels.penalised(state, weight_batch, weight_key, gradient)
    return self._move_weights(state, gradient, loss, aux, report, reference)

  def one_level_step(self, state: SearchState, weight_batch: PyTree, alpha_batch: None):
    if alpha_batch is not None:
      raise DnasError("bilevel: a one-level search (hypergradient None) takes alpha_batch None")
    weight_key = _keys(state)[0]
    inner = self.levels.inner(state, weight_batch, weight_key)

    def penalised(params, alpha):
      loss, aux = inner(params, alpha)
      return self.levels.lowered(loss, state, alpha, weight_key), (loss, aux)

    value_and_gradients = jax.value_and_grad(penalised, argnums=(0, 1), has_aux=True)
    (total, (loss, aux)), (gradient, alpha_gradient) = value_and_gradients(
      state.params, state.alpha
    )
    gradient = self.levels.penalised(state, weight_batch, weight_key, gradient)
    state, report = self._move_alpha(state, alpha_gradient, total, weight_key)
    return self._move_weights(state, gradient, loss, aux, report)

  def averaged(self, state: SearchState) -> SearchState:
    """The state with alpha taken into its mean: m_n = m_{n-1} + (alpha_n - m_{n-1}) / n."""
    if not self.average:
      return state
    steps, searched = self.levels.steps, self.levels.steps - self.levels.warmup_steps
    first = steps - max(round(self.average * searched), 1)
    n = jnp.maximum(state.step - first, 1).astype(jnp.float32)
    mean = jax.tree.map(lambda mean, alpha: mean + (alpha - mean) / n, state.mean, state.alpha)
    return dataclasses.replace(state, mean=mean)

  def _move_alpha(self, state: SearchState, gradient: Alpha, loss: jax.Array, key: jax.Array):
    """The state with alpha moved, unless it is still frozen; and what to report."""
    updates, opt = self.alpha_optimizer.update(gradient, state.alpha_opt, state.alpha)
    report = {"alpha_loss": loss, "alpha_grad_norm": optax.tree.norm(gradient)}
    multipliers, pricing = state.multipliers, self.levels.pricing
    if pricing is not None:
      weights = self.levels.priced(state, state.alpha, key)
      multipliers, costs = pricing.update(weights, multipliers)
      report |= costs
    moved = optax.apply_updates(state.alpha, updates), opt, multipliers
    if (warmup_steps := self.levels.warmup_steps) > 0:
      on = state.step >= warmup_steps
      still = state.alpha, state.alpha_opt, state.multipliers
      moved = jax.tree.map(lambda new, old: jnp.where(on, new, old), moved, still)
    state = dataclasses.replace(state, alpha=moved[0], alpha_opt=moved[1], multipliers=moved[2])
    return state, report

  def _move_weights(
    self, state: SearchState, gradient: PyTree, loss, aux, report: Metrics, reference: PyTree = None
  ):
    """The state after the step, and the whole report; `reference` is the gradient of `outer`."""
    stats, metrics = aux
    updates, opt = self.weight_optimizer.update(gradient, state.weight_opt, state.params)
    freezing = state.freezing
    # In the warm-up there is no gradient of the outer loss to judge by, and nothing is frozen yet.
    if self.freezing is not None and reference is not None:
      layout = self.levels.problem.layout
      of_edges = layout.unpack(gradient), layout.unpack(reference)
      freezing, learns = self.freezing.update(freezing, *of_edges)
      updates = layout.pack(jax.tree.map(jnp.multiply, layout.unpack(updates), learns))
      report["frozen"] = freezing["frozen"].mean()
    report = {
      **metrics,
      **report,
      "weight_loss": loss,
      "weight_grad_norm": optax.tree.norm(gradient),
      **{f"entropy/{name}": entropy(edges) for name, edges in state.alpha.items()},
    }
    params = optax.apply_updates(state.params, updates)
    step = state.step + 1
    state = dataclasses.replace(
      state, params=params, stats=stats, weight_opt=opt, step=step, freezing=freezing
    )
    return state, report


def _keys(state: SearchState) -> tuple[jax.Array, jax.Array]:
  """The keys of the weight step and of the alpha step."""
  weight_key, alpha_key = jax.random.split(jax.random.fold_in(state.key, state.step))
  return weight_key, alpha_key


def _own(x: Any) -> jax.Array:
  return jnp.array(x, dtype=jnp.asarray(x).dtype, copy=True)
