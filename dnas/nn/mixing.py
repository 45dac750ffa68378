# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Batch norm, mixing weights and sum of all operations that leave one node, in one pass."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from dnas.nn import norm, platform

# Per term: its edges; what its batch norms add to the variance, None without; whether all its edges
# share one value.
Layout = tuple[tuple[tuple[int, ...], float | None, bool], ...]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def mix(
  values: tuple[jax.Array, ...],
  survival: tuple[jax.Array | None, ...],
  factors: jax.Array,
  layout: Layout,
  count: int,
):
  """y_e = sum over terms t of a_te * b_te * norm(v_te).

  norm(v) = (v - mean) / sqrt(var + epsilon), or v.

  Args:
    values: per term `[B, H, W, n * C]` with a part per edge, or `[B, H, W, C]` if shared.
    survival: b_te of drop-path per term, `[n, B]`; None: 1. No gradient flows through it.
    factors: a_te, one after another in the order of the layout, `[sum of n]`.
    layout: see `Layout`.
    count: number of edges E.

  Returns:
    y: per edge `[B, H, W, C]` (None for an edge without a term); per term mean and (biased)
    variance, `[n * C]` in float32, zeros where it is not normalised. No gradient flows through
    means and variances.
  """
  return _forward(values, survival, factors, layout, count)[0]


def _forward(values, survival, factors, layout, count):
  sums_of = functools.partial(_sums, layout, count)
  y, means, variances, inverses = platform.isolated(sums_of, values, survival, factors)
  return (y, means, variances), (values, survival, factors, means, inverses)


def _sums(layout, count, values, survival, factors):
  """`mix`, and 1 / sqrt(variance + epsilon) of each term."""
  sums: list[jax.Array | None] = [None] * count
  statistics, at = [], 0
  for value, alive, (edges, epsilon, shared) in zip(values, survival, layout, strict=True):
    mean, var, inverse = _statistics(value, epsilon)
    statistics.append((mean, var, inverse))
    for n, e in enumerate(edges):
      part, scale, shift = value, inverse, mean
      if not shared:
        part, scale, shift = (_part(v, n, len(edges)) for v in (value, inverse, mean))
      scale = scale * factors[at].astype(jnp.float32)
      term = (
        (part * scale - shift * scale).astype(value.dtype)
        if epsilon is not None
        else (part * factors[at].astype(value.dtype))
      )
      term = _dropped(term, alive, n)
      sums[e] = term if sums[e] is None else sums[e] + term
      at += 1
  means, variances, inverses = zip(*statistics, strict=True)
  return tuple(sums), means, variances, inverses


def _statistics(value, epsilon):
  """`norm.statistics`; where nothing is normalised, those of what is normal already."""
  channels = value.shape[-1]
  if epsilon is None:
    return jnp.zeros(channels), jnp.zeros(channels), jnp.ones(channels)
  return norm.statistics(value, epsilon)


def _dropped(x, alive, n):
  """`[B, H, W, C]` times what survives of part n, of each example."""
  return x if alive is None else x * alive[n, :, None, None, None].astype(x.dtype)


def _part(x, n, parts):
  """Channels of part n of `parts`."""
  width = x.shape[-1] // parts
  lead = (0,) * (x.ndim - 1)
  return lax.slice(x, (*lead, n * width), (*x.shape[:-1], (n + 1) * width))


def _backward(layout, count, residuals, cotangents):
  """With g = b * dy, q = sum of norm(v) * g and s = sum of g over the N pixels of a channel:

  dv = a / sqrt(var + epsilon) * (g - s / N - norm(v) * q / N),  da = q, summed over channels.
  """
  del count
  values, survival, factors, means, inverses = residuals
  gradients_of = functools.partial(_gradients, layout)
  dvalues, dfactors = platform.isolated(
    gradients_of, values, survival, means, inverses, cotangents[0], factors
  )
  return dvalues, None, dfactors


def _gradients(layout, values, survival, means, inverses, gradients, factors):
  """The gradients of the values and of the factors."""
  axes = (0, 1, 2)
  totals = [None if g is None else g.astype(jnp.float32).sum(axes) for g in gradients]
  dvalues, dfactors, at = [], [], 0
  for value, alive, mean, inverse, (edges, epsilon, shared) in zip(
    values, survival, means, inverses, layout, strict=True
  ):
    a = lax.slice(factors, (at,), (at + len(edges),)).astype(jnp.float32)
    at += len(edges)
    dys = [_dropped(gradients[e].astype(jnp.float32), alive, n) for n, e in enumerate(edges)]
    own = [totals[e] if alive is None else dy.sum(axes) for e, dy in zip(edges, dys, strict=True)]
    wide = value.astype(jnp.float32)
    if shared:
      dy = functools.reduce(jnp.add, [a[n] * g for n, g in enumerate(dys)])
      products = jnp.stack([(wide * g).sum(axes) for g in dys])  # [n, C]
      total = jnp.stack(own)
      q = inverse * (products - mean * total)
      dfactors.append(q.sum(-1))
      scale, total, q = inverse, a @ total, a @ q
    else:
      dy = dys[0] if len(dys) == 1 else jnp.concatenate(dys, -1)
      total = jnp.concatenate(own)
      q = inverse * ((wide * dy).sum(axes) - mean * total)
      dfactors.append(q.reshape(len(edges), -1).sum(-1))
      scale = inverse * jnp.repeat(a, value.shape[-1] // len(edges))
    if epsilon is not None:
      n = value.size // value.shape[-1]
      slope = -scale * inverse * q / n
      dy = scale * dy + slope * wide - (scale * total / n + slope * mean)
    elif not shared:
      dy = scale * dy
    dvalues.append(dy.astype(value.dtype))
  return tuple(dvalues), jnp.concatenate(dfactors).astype(factors.dtype)


mix.defvjp(_forward, _backward)
