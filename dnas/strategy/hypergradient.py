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

To add a hypergradient, write one function. `neumann` and `cg` are the solvers for `implicit`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.errors import DnasError

PyTree = Any
Loss = Callable[[PyTree, PyTree], jax.Array]
Hypergradient = Callable[..., tuple[jax.Array, PyTree]]
# (v -> H v, v, optimizer) -> x with H x = v, approximately.
Solve = Callable[[Callable[[PyTree], PyTree], PyTree, "InnerOptimizer"], PyTree]


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


InnerOptimizer = Sgd | str | None


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
  _check_count("unrolled", "steps", steps, 1)

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    sgd = _settings("unrolled", optimizer, params, lr, momentum, weight_decay)

    path, weights, trace = [], params, sgd.trace
    # Python loops: see _repeat; and the compiler drops what the last round does not need.
    for _ in range(steps):
      path.append(weights)
      weights, trace = _sgd_step(inner, weights, trace, alpha, sgd)
    value, (w_bar, alpha_bar) = jax.value_and_grad(outer, argnums=(0, 1))(weights, alpha)
    m_bar = jax.tree.map(jnp.zeros_like, w_bar)
    for weights in reversed(path):
      m_bar = _add(m_bar, -sgd.lr, w_bar)
      w_term, alpha_term = _second_derivatives(inner, weights, alpha, m_bar)
      alpha_bar = _add(alpha_bar, 1, alpha_term)
      w_bar = _add(_add(w_bar, 1, w_term), sgd.weight_decay, m_bar)
      m_bar = _scale(sgd.momentum, m_bar)
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
  if not radius > 0:
    raise DnasError(f"finite_difference: radius must be above 0, got {radius!r}")

  def hypergradient(outer, inner, params, alpha, optimizer=None):
    sgd = _settings("finite_difference", optimizer, params, lr, momentum, weight_decay)
    last, _ = _sgd_step(inner, params, sgd.trace, alpha, sgd)
    value, (v, gradient) = jax.value_and_grad(outer, argnums=(0, 1))(last, alpha)
    norm = jnp.sqrt(_dot(v, v))
    unit = _scale(1 / jnp.where(norm > 0, norm, 1), v)
    slope = jax.grad(inner, argnums=1)
    above = slope(_add(params, radius, unit), alpha)
    below = slope(_add(params, -radius, unit), alpha)
    response = _scale(norm / (2 * radius), _add(above, -1, below))
    return value, _add(gradient, -sgd.lr, response)

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
    x = solve(lambda u: _add(product(u)[0], decay, u), v, optimizer)
    return value, _add(gradient, -1, product(x)[1])

  return hypergradient


def neumann(steps: int = 5, lr: float | None = None) -> Solve:
  """x = lr sum_{k=0..steps} (I - lr H)^k v, which tends to H^-1 v if 0 < lr < 2 / max eigenvalue.

  `steps` is the number of Hessian-vector products; 0 gives x = lr v, the response to one SGD step.

  Args:
    steps: 0 or more.
    lr: None: the weight optimiser's.

  Raises:
    DnasError: `steps` below 0; when called: no learning rate anywhere.

  Source: Lorraine et al. 2020 (arXiv:1911.02590), algorithm 3; iDARTS (arXiv:2106.10784), eq. 8.
  """
  _check_count("neumann", "steps", steps, 0)

  def solve(hvp, v, optimizer):
    rate = _learning_rate("neumann", optimizer, lr)

    def term(carry):
      power, total = carry
      power = _add(power, -rate, hvp(power))
      return power, _add(total, 1, power)

    _, total = _repeat(steps, term, (v, v))
    return _scale(rate, total)

  return solve


def cg(steps: int = 10, damping: float = 0.0) -> Solve:
  """x with (H + damping I) x = v after `steps` steps of conjugate gradients from x = 0.

  It stops early, keeping the x it has, where the residual is 0 or a direction p without positive
  curvature appears, p^T (H + damping I) p <= 0: far from convergence a network's Hessian has them.
  Stopped at the first step, x = 0 and `implicit` gives the first-order hypergradient.

  Args:
    steps: number of Hessian-vector products, 1 or more.
    damping: 0 or more.

  Raises:
    DnasError: `steps` below 1 or `damping` below 0.

  Source: Hestenes and Stiefel 1952; the stop: Nocedal and Wright 2006, algorithm 7.1; in bilevel
  optimisation: Pedregosa 2016 (arXiv:1602.02355).
  """
  _check_count("cg", "steps", steps, 1)
  if not damping >= 0:
    raise DnasError(f"cg: damping must be 0 or more, got {damping!r}")

  def solve(hvp, v, optimizer):
    del optimizer

    def step(carry):
      x, r, p, square = carry
      product = _add(hvp(p), damping, p)
      curvature = _dot(p, product)
      on = (curvature > 0) & (square > 0)
      length = jnp.where(on, square / jnp.where(on, curvature, 1), 0)
      x, r = _add(x, length, p), _add(r, -length, product)
      after = _dot(r, r)
      # Where it has stopped, p stays as it is, so that no later step starts again.
      direction = _add(r, after / jnp.where(on, square, 1), p)
      p = jax.tree.map(lambda new, old: jnp.where(on, new, old), direction, p)
      return x, r, p, after

    start = (jax.tree.map(jnp.zeros_like, v), v, v, _dot(v, v))
    return _repeat(steps, step, start)[0]

  return solve


def _repeat(count: int, body: Callable, carry: Any) -> Any:
  """body(body(... carry)), `count` times.

  XLA for CPUs compiles a convolution inside control flow to a naive loop: measured 15 to 20 times
  slower (jax 0.10.2, gradient of 3x3 convolutions). There the rounds are written out; elsewhere a
  loop keeps the program small.
  """
  if jax.default_backend() == "cpu":
    for _ in range(count):
      carry = body(carry)
    return carry
  return jax.lax.fori_loop(0, count, lambda _, carry: body(carry), carry)


def _second_derivatives(inner: Loss, params, alpha, v) -> tuple[PyTree, PyTree]:
  """((d2 inner/dw2) v, (d2 inner/dalpha dw) v), by one jvp of the gradient."""
  slopes = jax.grad(inner, argnums=(0, 1))
  return jax.jvp(lambda weights: slopes(weights, alpha), (params,), (v,))[1]


def _sgd_step(inner: Loss, params, trace, alpha, sgd: Sgd) -> tuple[PyTree, PyTree]:
  gradient = _add(jax.grad(inner)(params, alpha), sgd.weight_decay, params)
  trace = _add(gradient, sgd.momentum, trace)
  return _add(params, -sgd.lr, trace), trace


def _settings(name: str, optimizer: InnerOptimizer, params, lr, momentum, weight_decay) -> Sgd:
  """The step to differentiate: what is given here, else as the weight optimiser has it."""
  if optimizer is not None and not isinstance(optimizer, Sgd):
    raise DnasError(
      f"{name} differentiates a step of SGD, but the weights are trained by {optimizer}. Valid: "
      f"{name} with the weight optimiser sgd; or first_order, implicit(cg(...)), "
      "implicit(neumann(lr=...)) with any"
    )
  known = optimizer or Sgd()
  rate = _learning_rate(name, optimizer, lr)
  momentum = known.momentum if momentum is None else momentum
  decay = known.weight_decay if weight_decay is None else weight_decay
  trace = jax.tree.map(jnp.zeros_like, params) if known.trace is None else known.trace
  return Sgd(rate, momentum, decay, trace)


def _learning_rate(name: str, optimizer: InnerOptimizer, lr):
  if lr is not None:
    return lr
  if isinstance(optimizer, Sgd) and optimizer.lr is not None:
    return optimizer.lr
  raise DnasError(
    f"{name}: lr is missing, and "
    + (f"{optimizer} has no rate that stands for it" if optimizer else "no optimizer is given")
    + f"; valid: {name}(lr=0.025), or the weight optimiser sgd"
  )


def _check_count(name: str, field: str, value: Any, least: int) -> None:
  if not isinstance(value, int) or isinstance(value, bool) or value < least:
    raise DnasError(f"{name}: {field} must be a whole number, {least} or more, got {value!r}")


def _add(x: PyTree, a: Any, y: PyTree) -> PyTree:
  """x + a y, in the types of x (a learning rate in float32 must not promote bfloat16 weights)."""
  return jax.tree.map(lambda x, y: (x + a * y).astype(x.dtype), x, y)


def _scale(a: Any, x: PyTree) -> PyTree:
  return jax.tree.map(lambda x: (a * x).astype(x.dtype), x)


def _dot(x: PyTree, y: PyTree) -> jax.Array:
  return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, x, y)), start=jnp.zeros(()))
