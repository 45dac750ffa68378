# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Optimisers of the weights and of the architecture logits: Optax chains that can say what they
are.

Every public function returns an `Optimizer`, so that a config can name it. `sgd` and `adamw` train
weights, `adam` and `exponentiated_gradient` move alpha.

The chains work leaf by leaf, so that few leaves compile fast: a search stacks equal ones
(`nn.stacked`). Packing several hundred into one vector makes a step faster and compiles five times
as long (XLA on a CPU, 300 leaves: 17 s against 3 s): it is the slicing back.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dnas.errors import DnasError, check_count, check_number
from dnas.nn.stacked import is_kernel
from dnas.strategy.inner_step import Sgd

# What a config may name.
__all__ = ["adam", "adamw", "exponentiated_gradient", "sgd"]


class Optimizer(NamedTuple):
  """An Optax transformation, and what a hypergradient has to know of it.

  Attributes:
    init: params -> state.
    update: (gradients, state, params) -> (updates, state).
    describe: state -> the `Sgd` that the next update performs (before any clipping), or the name of
      another optimiser.
  """

  init: Callable[[Any], Any]
  update: Callable[[Any, Any, Any], tuple[Any, Any]]
  describe: Callable[[Any], Sgd | str]


def sgd(
  steps: int,
  lr: float = 0.025,
  lr_end: float = 0.001,
  momentum: float = 0.9,
  weight_decay: float = 3e-4,
  clip: float | None = 5.0,
  *,
  warmup_steps: int = 0,
  decay: str = "cosine",
  milestones: Sequence[float] = (),
) -> Optimizer:
  """m <- momentum m + clip(g) + weight_decay w;  w <- w - lr_t m, with lr_t on a cosine.

  lr_t = lr_end + (lr - lr_end) (1 + cos(pi t / steps)) / 2;  clip(g) = g min(1, clip / ||g||).
  The defaults are those of DARTS (arXiv:1806.09055), section 3.1.

  Args:
    steps: length of the schedule.
    lr: learning rate at the first step.
    lr_end: learning rate from step `steps` on.
    momentum: in [0, 1).
    weight_decay: factor of w that is added to the gradient.
    clip: largest global norm of the gradient. None: no clipping.
    warmup_steps: the rate first rises linearly to `lr` over so many of the steps.
    decay: "cosine"; "linear": straight from lr to lr_end; "steps": by equal factors at the
      milestones, so that from the last one on it is lr_end.
    milestones: for "steps", rising shares of `steps` in (0, 1).

  Raises:
    DnasError: a value out of range.
  """
  check_count("sgd: steps", steps, 1)
  check_number("sgd: lr", lr, above=0)
  check_number("sgd: lr_end", lr_end, least=0)
  check_number("sgd: momentum", momentum, least=0, below=1)
  check_number("sgd: weight_decay", weight_decay, least=0)
  schedule = _schedule(steps, lr, lr_end, warmup_steps, decay, milestones)
  chain = optax.chain(
    _clipping("sgd", clip),
    optax.add_decayed_weights(weight_decay),
    optax.trace(momentum),
    optax.scale_by_learning_rate(schedule),
  )

  def describe(state: Any) -> Sgd:
    _, _, momentum_state, schedule_state = state
    return Sgd(schedule(schedule_state.count), momentum, weight_decay, momentum_state.trace)

  return Optimizer(chain.init, chain.update, describe)


def adamw(
  steps: int,
  lr: float = 1e-3,
  lr_end: float = 1e-5,
  warmup_steps: int = 0,
  b1: float = 0.9,
  b2: float = 0.999,
  weight_decay: float = 0.05,
  clip: float | None = None,
) -> Optimizer:
  """w <- w - lr_t (m_hat / (sqrt(v_hat) + 1e-8) + weight_decay w), lr_t on a cosine.

  Source: Loshchilov and Hutter 2019 (arXiv:1711.05101), algorithm 2.

  Args:
    steps: length of the schedule, warm-up included.
    lr: learning rate after the warm-up.
    lr_end: learning rate from step `steps` on.
    warmup_steps: the learning rate rises linearly from 0 over so many steps.
    b1: decay of the first moment.
    b2: decay of the second moment.
    weight_decay: decoupled from the gradient; of kernels only (arrays of two axes or more), for
      scales and biases have nothing to shrink.
    clip: largest global norm of the gradient. None: no clipping.

  Raises:
    DnasError: a value out of range.
  """
  check_count("adamw: steps", steps, 1)
  check_number("adamw: lr", lr, above=0)
  check_number("adamw: lr_end", lr_end, least=0)
  check_number("adamw: weight_decay", weight_decay, least=0)
  _check_moments("adamw", b1, b2)
  _check_warmup("adamw", warmup_steps, steps)
  # The rise starts at lr / warmup_steps: a step at rate 0 would be one thrown away.
  schedule = optax.warmup_cosine_decay_schedule(
    lr / (warmup_steps or 1), lr, max(warmup_steps - 1, 0), steps, lr_end
  )
  kernels = lambda params: jax.tree.map_with_path(is_kernel, params)
  decay = optax.adamw(schedule, b1, b2, weight_decay=weight_decay, mask=kernels)
  chain = optax.chain(_clipping("adamw", clip), decay)
  return Optimizer(chain.init, chain.update, lambda state: "adamw")


def adam(
  lr: float = 3e-4, b1: float = 0.5, b2: float = 0.999, weight_decay: float = 1e-3
) -> Optimizer:
  """a <- a - lr m_hat / (sqrt(v_hat) + 1e-8) with the moments of g + weight_decay a.

  The decay belongs to the gradient, as in DARTS (arXiv:1806.09055), section 3.1, whose values are
  the defaults; it pulls the architecture towards the uniform one.

  Raises:
    DnasError: a value out of range.
  """
  check_number("adam: lr", lr, above=0)
  check_number("adam: weight_decay", weight_decay, least=0)
  _check_moments("adam", b1, b2)
  chain = optax.chain(
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_adam(b1, b2),
    optax.scale_by_learning_rate(lr),
  )
  return Optimizer(chain.init, chain.update, lambda state: "adam")


def exponentiated_gradient(lr: float = 0.1) -> Optimizer:
  """theta <- theta exp(-lr dL/dtheta) / sum(theta exp(-lr dL/dtheta)), with theta = softmax(alpha).

  Mirror descent on the simplex of each edge, kept as logits: alpha <- alpha - lr dL/dtheta. The
  gradient that arrives is that of the logits, theta (dL/dtheta - <theta, dL/dtheta>); divided by
  theta it is dL/dtheta but for a constant, which the normalisation removes. It belongs to the
  softmax relaxation, which makes theta the mixing weights.

  Args:
    lr: learning rate, above 0.

  Raises:
    DnasError: `lr` not above 0.

  Source: GAEA (Li et al. 2021, arXiv:2004.07802), algorithm 1; Kivinen and Warmuth 1997.
  """
  check_number("exponentiated_gradient: lr", lr, above=0)

  def update(gradients: Any, state: Any, params: Any) -> tuple[Any, Any]:
    def move(gradient: jax.Array, alpha: jax.Array) -> jax.Array:
      theta = jax.nn.softmax(alpha)
      # Where theta underflows to 0 so does the gradient: such an operation stays out.
      return -lr * gradient / jnp.maximum(theta, jnp.finfo(theta.dtype).tiny)

    return jax.tree.map(move, gradients, params), state

  return Optimizer(lambda params: (), update, lambda state: "exponentiated_gradient")


def accumulated(inner: Optimizer, every: int) -> Optimizer:
  """The mean of `every` gradients makes one update of `inner`; in between nothing moves.

  With a loss that is a mean over the batch, k batches of B examples move the weights as one batch
  of k B does: what does not fit into memory at once is seen in parts. (Batch norm keeps to the
  statistics of each part; a hypergradient that looks ahead sees the step of its own part.)

  Args:
    inner: its schedule counts updates, so that its `steps` are those of the loop over `every`.
    every: k, 1 or more; with 1 `inner` comes back as it is.

  Raises:
    DnasError: `every` is no whole number, or below 1.
  """
  check_count("accumulate: every", every, 1)
  if every == 1:
    return inner
  functions: Any = (inner.init, inner.update)
  several = optax.MultiSteps(optax.GradientTransformation(*functions), every)
  return Optimizer(
    several.init, several.update, lambda state: inner.describe(state.inner_opt_state)
  )


def _schedule(steps, lr, lr_end, warmup_steps, decay, milestones) -> optax.Schedule:
  """The learning rate of `sgd` over its steps."""
  _check_warmup("sgd", warmup_steps, steps)
  if bool(milestones) != (decay == "steps"):
    raise DnasError(f"sgd: milestones belong to decay='steps', got {decay!r} and {milestones!r}")
  # As in adamw the rise starts at lr / warmup_steps and ends after one step less.
  rise = max(warmup_steps - 1, 0)
  if decay == "cosine":
    after = optax.cosine_decay_schedule(lr, steps - rise, alpha=lr_end / lr)
  elif decay == "linear":
    after = optax.linear_schedule(lr, lr_end, steps - rise)
  elif decay == "steps":
    if not all(0 < a < b < 1 for a, b in zip((1e-9, *milestones), milestones)):
      raise DnasError(f"sgd: milestones must rise within (0, 1), got {milestones!r}")
    check_number("sgd, decay='steps': lr_end", lr_end, above=0)
    factor = (lr_end / lr) ** (1 / len(milestones))
    at = {max(round(share * steps) - rise, 1): factor for share in milestones}
    if len(at) < len(milestones):
      raise DnasError(f"sgd: {steps} steps are too few for the milestones {milestones!r}")
    after = optax.piecewise_constant_schedule(lr, at)
  else:
    raise DnasError(f"sgd: decay must be 'cosine', 'linear' or 'steps', got {decay!r}")
  if not rise:
    return after
  return optax.join_schedules([optax.linear_schedule(lr / warmup_steps, lr, rise), after], [rise])


def _clipping(name: str, clip: float | None) -> optax.GradientTransformation:
  if clip is None:
    return optax.identity()
  check_number(f"{name}: clip", clip, above=0)
  return optax.clip_by_global_norm(clip)


def _check_moments(name: str, b1: float, b2: float) -> None:
  for field, value in (("b1", b1), ("b2", b2)):
    check_number(f"{name}: {field}", value, least=0, below=1)


def _check_warmup(name: str, warmup_steps: int, steps: int) -> None:
  check_count(f"{name}: warmup_steps", warmup_steps, 0)
  if warmup_steps >= steps:
    raise DnasError(f"{name}: warmup_steps must be below steps = {steps}, got {warmup_steps}")
