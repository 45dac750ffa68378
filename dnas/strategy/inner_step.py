# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How the weights are trained, as a hypergradient sees it, and the arithmetic of pytrees for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.errors import DnasError

PyTree = Any
Loss = Callable[[PyTree, PyTree], jax.Array]


class Sgd(NamedTuple):
  """m <- momentum m + (grad + weight_decay w);  w <- w - lr m.

  Attributes:
    lr: learning rate at this step.
    momentum: in [0, 1).
    weight_decay: factor of w that is added to the gradient.
    trace: the buffer m, like the weights; None: zeros.
  """

  lr: Any = None
  momentum: Any = 0.0
  weight_decay: Any = 0.0
  trace: PyTree = None


# How the weights are trained: by SGD, or by another optimiser of that name.
InnerOptimizer = Sgd | str | None


def sgd_step(inner: Loss, params, trace, alpha, sgd: Sgd) -> tuple[PyTree, PyTree]:
  """(weights, buffer) after the step that `sgd` describes; its buffer is `trace`."""
  gradient = add(jax.grad(inner)(params, alpha), sgd.weight_decay, params)
  trace = add(gradient, sgd.momentum, trace)
  return add(params, -sgd.lr, trace), trace


def to_differentiate(
  name: str, optimizer: InnerOptimizer, params, lr, momentum, weight_decay
) -> Sgd:
  """The step to differentiate: what is given here, else as the weight optimiser has it."""
  if optimizer is not None and not isinstance(optimizer, Sgd):
    raise DnasError(
      f"{name} differentiates a step of SGD, but the weights are trained by {optimizer}. Valid: "
      f"{name} with the weight optimiser sgd; or first_order, implicit(cg(...)), "
      "implicit(neumann(lr=...)) with any"
    )
  known = optimizer or Sgd()
  rate = learning_rate(name, optimizer, lr)
  momentum = known.momentum if momentum is None else momentum
  decay = known.weight_decay if weight_decay is None else weight_decay
  trace = jax.tree.map(jnp.zeros_like, params) if known.trace is None else known.trace
  return Sgd(rate, momentum, decay, trace)


def learning_rate(name: str, optimizer: InnerOptimizer, lr):
  """`lr`, or else the rate of SGD; for the hypergradient or solver `name`, or its error."""
  if lr is not None:
    return lr
  if isinstance(optimizer, Sgd) and optimizer.lr is not None:
    return optimizer.lr
  raise DnasError(
    f"{name}: lr is missing, and "
    + (f"{optimizer} has no rate that stands for it" if optimizer else "no optimizer is given")
    + f"; valid: {name}(lr=0.025), or the weight optimiser sgd"
  )


def add(x: PyTree, a: Any, y: PyTree) -> PyTree:
  """x + a y, in the types of x (a learning rate in float32 must not promote bfloat16 weights)."""
  return jax.tree.map(lambda x, y: (x + a * y).astype(x.dtype), x, y)


def scale(a: Any, x: PyTree) -> PyTree:
  """a x, in the types of x."""
  return jax.tree.map(lambda x: (a * x).astype(x.dtype), x)


def dot(x: PyTree, y: PyTree) -> jax.Array:
  """<x, y> over all leaves."""
  return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, x, y)), start=jnp.zeros(()))
