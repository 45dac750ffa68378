# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Solvers for `hypergradient.implicit`: H x = v from products with H alone, in so many of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dnas.errors import check_count, check_number
from dnas.strategy.inner_step import InnerOptimizer, PyTree, add, dot, learning_rate, scale

# (v -> H v, v, optimizer) -> x with H x = v, approximately.
Solve = Callable[[Callable[[PyTree], PyTree], PyTree, InnerOptimizer], PyTree]


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
  check_count("neumann: steps", steps, 0)

  def solve(hvp, v, optimizer):
    rate = learning_rate("neumann", optimizer, lr)

    def term(carry):
      power, total = carry
      power = add(power, -rate, hvp(power))
      return power, add(total, 1, power)

    _, total = _repeat(steps, term, (v, v))
    return scale(rate, total)

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
  check_count("cg: steps", steps, 1)
  check_number("cg: damping", damping, least=0)

  def solve(hvp, v, optimizer):
    del optimizer

    def step(carry):
      x, r, p, square = carry
      product = add(hvp(p), damping, p)
      curvature = dot(p, product)
      on = (curvature > 0) & (square > 0)
      length = jnp.where(on, square / jnp.where(on, curvature, 1), 0)
      x, r = add(x, length, p), add(r, -length, product)
      after = dot(r, r)
      # Where it has stopped, p stays as it is, so that no later step starts again.
      direction = add(r, after / jnp.where(on, square, 1), p)
      p = jax.tree.map(lambda new, old: jnp.where(on, new, old), direction, p)
      return x, r, p, after

    start = (jax.tree.map(jnp.zeros_like, v), v, v, dot(v, v))
    return _repeat(steps, step, start)[0]

  return solve


def _repeat(count: int, body: Callable, carry: Any) -> Any:
  """body(body(... carry)), `count` times.

  XLA for CPUs compiles a convolution inside control flow to a naive loop: measured 15 to 20 times
  slower (jax 0.10.2, gradient of 3x3 convolutions; not measured since `nn.dense` writes its own).
  There the rounds are written out; elsewhere a loop keeps the program small.
  """
  if jax.default_backend() == "cpu":
    for _ in range(count):
      carry = body(carry)
    return carry
  return jax.lax.fori_loop(0, count, lambda _, carry: body(carry), carry)
