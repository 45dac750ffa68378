# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Relaxations: from the logits of one edge to the weights of its mixed operation.

A relaxation is a pure function `(key, logits [O], progress) -> weights [O]`, where `progress` runs
from 0 to 1 over the search. Every public function of this module returns one, so that a config can
name it: `dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1)`. To add one, write one function.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dnas.errors import DnasError

Relaxation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def softmax() -> Relaxation:
  """w = exp(logits) / sum(exp(logits)).

  Source: DARTS (Liu et al. 2019, arXiv:1806.09055), eq. 2.
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del key, progress
    return jax.nn.softmax(logits)

  return relax


def gumbel_softmax(tau_start: float = 5.0, tau_end: float = 0.1) -> Relaxation:
  """w = softmax((logits + g) / tau), g ~ Gumbel(0, 1).

  The temperature is tau = tau_start + progress (tau_end - tau_start). As tau -> 0 a sample becomes
  one-hot, at `o` with probability softmax(logits)[o].

  Args:
    tau_start: temperature at progress 0.
    tau_end: temperature at progress 1.

  Raises:
    DnasError: a temperature is not above 0.

  Source: Jang et al. 2017 (arXiv:1611.01144), Maddison et al. 2017 (arXiv:1611.00712); in search:
  SNAS (Xie et al. 2019, arXiv:1812.09926), eq. 5; the linear schedule: GDAS (arXiv:1910.04465).
  """
  for name, tau in (("tau_start", tau_start), ("tau_end", tau_end)):
    if not tau > 0:
      raise DnasError(f"gumbel_softmax: {name} must be above 0, got {tau!r}")

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    tau = jnp.asarray(tau_start + progress * (tau_end - tau_start), logits.dtype)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return jax.nn.softmax((logits + noise) / tau)

  return relax


def straight_through(relaxation: Relaxation | None = None) -> Relaxation:
  """w = onehot(argmax(soft)), but dw/dlogits = dsoft/dlogits.

  Args:
    relaxation: gives soft = relaxation(key, logits, progress); by default
      `gumbel_softmax(tau_start=10, tau_end=0.1)`, as in GDAS.

  Source: Bengio et al. 2013 (arXiv:1308.3432); in search: GDAS (Dong and Yang 2019,
  arXiv:1910.04465), eq. 6 and 7.
  """
  soften = gumbel_softmax(tau_start=10.0, tau_end=0.1) if relaxation is None else relaxation

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    soft = soften(key, logits, progress)
    hard = jax.nn.one_hot(jnp.argmax(soft), soft.size, dtype=soft.dtype)
    # In this order the difference is exactly 0, so that the weights are exactly one-hot.
    return hard + (soft - jax.lax.stop_gradient(soft))

  return relax


def sparsemax() -> Relaxation:
  """w = argmin over the simplex of ||w - logits||^2 = max(logits - t, 0), where sum(w) = 1 sets t.

  Over the support S = {o: w_o > 0}: t = (sum_S logits - 1) / |S|, hence the exact derivative
  dw/dlogits = diag(s) - s s^T / |S| with s the indicator of S (almost everywhere).

  Source: Martins and Astudillo 2016 (arXiv:1602.02068), algorithm 1 and eq. 11.
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del key, progress
    # Weights do not change when all logits are shifted, but sums of large logits lose digits.
    logits = logits - jax.lax.stop_gradient(jnp.max(logits))
    descending = jnp.sort(jax.lax.stop_gradient(logits))[::-1]
    ranks = jnp.arange(1, logits.size + 1, dtype=logits.dtype)
    sums = jnp.cumsum(descending)
    size = jnp.sum(1 + ranks * descending > sums)
    threshold = (sums[size - 1] - 1) / size
    # The support is constant almost everywhere: differentiating t over it is the exact derivative.
    support = (jax.lax.stop_gradient(logits) > threshold).astype(logits.dtype)
    t = (jnp.sum(support * logits) - 1) / jnp.sum(support)
    return support * (logits - t)

  return relax
