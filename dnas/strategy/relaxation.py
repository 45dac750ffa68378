# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Relaxations: from the logits of one edge to the weights of its mixed operation.

A relaxation is a pure function `(key, logits [O], progress) -> weights [O]`, where `progress` runs
from 0 to 1 over the search. Every public function of this module returns one, so that a config can
name it: `dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1)`. To add one, write one function.

>>> import jax
>>> from dnas.strategy import relaxation
>>> relax = relaxation.sparsemax()
>>> relax(jax.random.key(0), jax.numpy.array([1.0, 0.5]), 0.0).tolist()
[0.75, 0.25]
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dnas.errors import check_number

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
    check_number(f"gumbel_softmax: {name}", tau, above=0)

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


def sigmoid() -> Relaxation:
  """w_o = 1 / (1 + exp(-logits_o)), each operation on its own: they do not compete.

  Not on the simplex: any number of operations may be on, or none.

  Source: FairDARTS (Chu et al. 2020, arXiv:1911.12126), section 3.2.
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del key, progress
    return jax.nn.sigmoid(logits)

  return relax


def dirichlet() -> Relaxation:
  """w ~ Dirichlet(beta), beta = elu(logits) + 1, with pathwise gradients.

  dw/dbeta differentiates the sample at fixed noise (implicitly, through the gamma distribution's
  cumulative function), so the gradient is an unbiased estimate of d E[loss(w)] / d logits. It has
  no second derivative in the logits.

  Source: DrNAS (Chen et al. 2021, arXiv:2006.10355), eq. 3 to 5.
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del progress
    # A concentration below the smallest normal number has no gamma samples.
    beta = jnp.maximum(jax.nn.elu(logits) + 1, 1e-6)
    # Normalised as logarithms: at small beta every gamma sample itself may underflow to 0.
    return jax.nn.softmax(jax.random.loggamma(key, beta))

  return relax


def score_function() -> Relaxation:
  """w = onehot(o), o ~ p = softmax(logits), with dloss/dlogits = <dloss/dw, w> dlog p_o/dlogits.

  Only one operation has a weight, and the gradient needs that operation's cost alone,
  <dloss/dw, w>: the loss to first order. For a loss linear in w it is the score-function
  (REINFORCE) estimate of d E[loss] / d logits, unbiased.

  Source: DSNAS (Hu et al. 2020, arXiv:2002.09128), eq. 7 to 9; concrete distributions at zero
  temperature: SNAS (arXiv:1812.09926).
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del progress
    onehot = jax.nn.one_hot(jax.random.categorical(key, logits), logits.size, dtype=logits.dtype)
    log_p = jnp.sum(onehot * jax.nn.log_softmax(logits))
    # The factor is 1; its derivative is that of log p_o.
    return onehot * (1 + log_p - jax.lax.stop_gradient(log_p))

  return relax


def two_paths() -> Relaxation:
  """w = onehot(o): of two operations a, b drawn from p = softmax(logits), o = a with p_a/(p_a +
  p_b).

  The binary gate g is differentiated as if it were the pair's probabilities q = softmax(logits_a,
  logits_b): dloss/dlogits_i = sum over j in {a, b} of dloss/dw_j q_j (delta_ij - q_i), and 0 for
  all other operations. So a step computes two of O operations, and only shifts probability between
  them.

  Source: ProxylessNAS (Cai et al. 2019, arXiv:1812.00332), eq. 4 and section 3.2.1.
  """

  def relax(key: jax.Array, logits: jax.Array, progress: jax.Array) -> jax.Array:
    del progress
    if logits.size == 1:
      return jnp.ones_like(logits)
    pair_key, gate_key = jax.random.split(key)
    # The two largest of logits + Gumbel noise are a draw without replacement.
    noise = jax.random.gumbel(pair_key, logits.shape, logits.dtype)
    _, pair = jax.lax.top_k(jax.lax.stop_gradient(logits) + noise, 2)
    chosen = jax.random.categorical(gate_key, jax.lax.stop_gradient(logits[pair]))
    hard = jax.nn.one_hot(pair[chosen], logits.size, dtype=logits.dtype)
    soft = jnp.zeros_like(logits).at[pair].set(jax.nn.softmax(logits[pair]))
    return hard + (soft - jax.lax.stop_gradient(soft))

  return relax
