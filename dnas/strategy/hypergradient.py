# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Hypergradients: d outer(w(alpha), alpha) / d alpha, where w answers alpha by lowering `inner`.

A hypergradient is a function `(outer, inner, params, alpha, optimizer=None) -> (outer value,
gradient like alpha)`. `outer` and `inner` map `(params, alpha)` to a scalar; batch, key and batch
statistics are bound inside them. params and alpha may be any pytrees of floating-point arrays.

Second derivatives are products with a vector, taken forward over reverse: the jvp of the gradient.
That costs two gradients, is exact, and passes through layers with a custom vjp.

`optimizer` tells how the weights are trained: an `Sgd`, or the name of another optimiser. Settings
that are left at None are the optimiser's at this step; those given here win.

To add a hypergradient, write one function and name it in `__all__`. `neumann` and `cg` are the
solvers for `implicit`.

The step w -> w - 0.5 d(w - a)^2/dw leads to w = a, where the outer loss is (a - 1)^2:

>>> import numpy as np
>>> from dnas.strategy import hypergradient
>>> outer, inner = lambda w, a: (w - 1) ** 2, lambda w, a: (w - a) ** 2
>>> w, a = np.float32(0), np.float32(0.25)
>>> value, gradient = hypergradient.unrolled(lr=0.5)(outer, inner, w, a)
>>> float(value), float(gradient)
(0.5625, -1.5)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dnas.errors import DnasError, check_count, check_number
from dnas.strategy.inner_step import (
  Loss,
  PyTree,
  Sgd,
  add,
  dot,
  scale,
  sgd_step,
  to_differentiate,
)
from dnas.strategy.optimizer import Optimizer
from dnas.strategy.solvers import Solve, cg, neumann

# What a config may name.
__all__ = ["cg", "finite_difference", "first_order", "implicit", "neumann", "unrolled"]

Hypergradient = Callable[..., tuple[jax.Array, PyTree]]


def check_fits(hypergradient: Hypergradient, optimizer: Optimizer) -> None:
  """The hypergradient's error, if weights trained by this optimiser are none that it can follow.

  By a trace on two numbers, so that it comes before anything is computed. One that needs weights
  of a certain structure is not judged here.
  """

  def probe(weight: jax.Array, alpha: jax.Array):
    loss = lambda w, a: jnp.square(w * a)
    return hypergradient(loss, loss, weight, alpha, optimizer.describe(optimizer.init(weight)))

  try:
    jax.eval_shape(probe, jnp.zeros(()), jnp.zeros(()))
  except DnasError:
    raise
  except Exception:  # Whatever a function of the user's own says of two numbers.
    return


def first_order() -> Hypergradient:
  """g = d outer / d alpha at the weights as they are: the response dw/dalpha is taken to be 0.

  Source: DARTS (Liu et al. 2019, arXiv:1806.09055), section 2.3 with xi = 0.
  """

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    del inner, optimizer
    return jax.value_and_grad(outer, argnums=1)(params, alpha)

  return hypergradient


def unrolled(
  lr: float | None = None,
  steps: int = 1,
  momentum: float | None = None,
  weight_decay: float | None = None,
) -> Hypergradient:
  """g = d outer(w_T(alpha), alpha) / d alpha, exact; w_T: w after T steps of SGD on `inner`.

  With m_t+1 = mu m_t + grad inner(w_t) + lambda w_t and w_t+1 = w_t - lr m_t+1, the adjoints are

      m_bar     <- m_bar - lr w_bar
      alpha_bar <- alpha_bar + (d2 inner / dalpha dw) m_bar
      w_bar     <- w_bar + (d2 inner / dw2 + lambda) m_bar
      m_bar     <- mu m_bar

  from w_bar = d outer/dw and alpha_bar = d outer/dalpha at w_T, and m_bar = 0, back to w_0.
  For T = 1 without momentum this is eq. 7 of DARTS. The T weight vectors are stored. The
  clipping of the real step is left out, as in DARTS.

  Args:
    lr: learning rate. None: the weight optimiser's.
    steps: T, 1 or more.
    momentum: mu. None: the weight optimiser's, with its buffer m_0.
    weight_decay: lambda. None: the weight optimiser's.

  Returns:
    A hypergradient whose value is outer(w_T, alpha).

  Raises:
    DnasError: `steps` below 1; when called: no learning rate anywhere, or not SGD.

  Source: DARTS (arXiv:1806.09055), eq. 6 and 7; the recursion: Franceschi et al. 2017
  (arXiv:1703.01785), algorithm 1.
  """
  check_count("unrolled: steps", steps, 1)

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    sgd = to_differentiate("unrolled", optimizer, params, lr, momentum, weight_decay)

    path, weights, trace = [], params, sgd.trace
    # Python loops: see `solvers._repeat`; and the compiler drops what the last round does not need.
    for _ in range(steps):
      path.append(weights)
      weights, trace = sgd_step(inner, weights, trace, alpha, sgd)
    value, (w_bar, alpha_bar) = jax.value_and_grad(outer, argnums=(0, 1))(weights, alpha)
    m_bar = jax.tree.map(jnp.zeros_like, w_bar)
    for weights in reversed(path):
      m_bar = add(m_bar, -sgd.lr, w_bar)
      w_term, alpha_term = _second_derivatives(inner, weights, alpha, m_bar)
      alpha_bar = add(alpha_bar, 1, alpha_term)
      w_bar = add(add(w_bar, 1, w_term), sgd.weight_decay, m_bar)
      m_bar = scale(sgd.momentum, m_bar)
    return value, alpha_bar

  return hypergradient


def finite_difference(
  lr: float | None = None,
  radius: float = 0.01,
  momentum: float | None = None,
  weight_decay: float | None = None,
) -> Hypergradient:
  """g = d outer/dalpha - lr (d inner(w+)/dalpha - d inner(w-)/dalpha) / (2 eps), w+- = w +- eps v.

  Here v = d outer/dw and d outer/dalpha are taken at the weights after one step of SGD, and
  eps = radius / ||v||. It is written as w+- = w +- radius v/||v|| and the difference times
  ||v|| / (2 radius), which is 0 and not 0/0 where v = 0 (a hard sample that picked `none`).

  Args:
    lr: learning rate of the step. None: the weight optimiser's.
    radius: Euclidean length of the displacement, above 0.
    momentum: as in `unrolled`.
    weight_decay: as in `unrolled`.

  Returns:
    A hypergradient whose value is outer at the weights after the step.

  Raises:
    DnasError: `radius` not above 0; when called: as `unrolled`.

  Source: DARTS (arXiv:1806.09055), eq. 8 and its footnote (eps = 0.01 / ||v||).
  """
  check_number("finite_difference: radius", radius, above=0)

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    sgd = to_differentiate("finite_difference", optimizer, params, lr, momentum, weight_decay)
    last, _ = sgd_step(inner, params, sgd.trace, alpha, sgd)
    value, (v, gradient) = jax.value_and_grad(outer, argnums=(0, 1))(last, alpha)
    norm = jnp.sqrt(dot(v, v))
    unit = scale(1 / jnp.where(norm > 0, norm, 1), v)
    slope = jax.grad(inner, argnums=1)
    above = slope(add(params, radius, unit), alpha)
    below = slope(add(params, -radius, unit), alpha)
    response = scale(norm / (2 * radius), add(above, -1, below))
    return value, add(gradient, -sgd.lr, response)

  return hypergradient


def implicit(solve: Solve, weight_decay: float | None = None) -> Hypergradient:
  """g = d outer/dalpha - (d2 inner / dalpha dw) x, (d2 inner/dw2 + lambda) x = d outer/dw.

  The implicit function theorem at weights that have converged, d inner/dw + lambda w = 0. It looks
  no step ahead: everything is taken at the weights as they are. The gradient is linearised once for
  all Hessian-vector products that `solve` takes.

  Args:
    solve: `neumann(...)`, `cg(...)`, or one's own `(hvp, v, optimizer) -> x`.
    weight_decay: lambda. None: the weight optimiser's if that is SGD, else 0.

  Source: Lorraine et al. 2020 (arXiv:1911.02590), theorem 1; in search: iDARTS (Zhang et al. 2021,
  arXiv:2106.10784), eq. 6.
  """

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    decay = weight_decay
    if decay is None:
      decay = optimizer.weight_decay if isinstance(optimizer, Sgd) else 0.0
    value, (v, gradient) = jax.value_and_grad(outer, argnums=(0, 1))(params, alpha)
    slopes = jax.grad(inner, argnums=(0, 1))
    _, product = jax.linearize(lambda weights: slopes(weights, alpha), params)
    x = solve(lambda u: add(product(u)[0], decay, u), v, optimizer)
    return value, add(gradient, -1, product(x)[1])

  return hypergradient


def _second_derivatives(inner: Loss, params, alpha, v) -> tuple[PyTree, PyTree]:
  """((d2 inner/dw2) v, (d2 inner/dalpha dw) v), by one jvp of the gradient."""
  slopes = jax.grad(inner, argnums=(0, 1))
  return jax.jvp(lambda weights: slopes(weights, alpha), (params,), (v,))[1]
