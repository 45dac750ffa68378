# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a mixed operation may have besides a weighted sum: partial channels, one path, a skip."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from dnas.nn import blocks, functional
from dnas.nn.mode import Mode
from dnas.space.space import SpaceError


@dataclasses.dataclass(frozen=True)
class Supernet:
  """How the cells that hold choices are built and computed; the defaults are DARTS'.

  Attributes:
    partial: K. An edge's operations see the first 1/K of its channels, the others pass them by (a
      2x2 maximum of them where the stride is 2), and the two are shuffled together. (PC-DARTS,
      1907.05737, eq. 2; K = 4.)
    auxiliary_skip: whether each edge has a skip connection beside its mixed operation, which no
      architecture weight multiplies and no genotype has. (DARTS-, 2009.01027, eq. 3.)
    single_path: whether only the operation with the largest mixing weight is computed, for
      relaxations whose other weights are 0 (GDAS, 1910.04465, section 3.2). By `lax.switch`, whose
      gradient computes the operation anew. On a CPU so many branches take too long to compile where
      they may be depthwise convolutions, unless the cell's edges are computed in a loop
      (`looped.groups`): edges that differ in their candidates compute all and set the others'
      weights to 0: the same values and gradients without the saving (and running statistics of all
      of them move). A step takes 0.2 of the dense one's time on the DARTS space and 0.5 on
      NAS-Bench-201, and as long to compile (paper_results/efficiency).
    remat: whether each cell's intermediate values are computed anew in the backward pass instead of
      being kept. (On CPUs XLA merges the two passes again, jax 0.10.2: nothing is saved there.)
  """

  partial: int = 1
  auxiliary_skip: bool = False
  single_path: bool = False
  remat: bool = False

  def __post_init__(self):
    if not isinstance(self.partial, int) or isinstance(self.partial, bool) or self.partial < 1:
      raise SpaceError(f"supernet.partial: must be a whole number, 1 or more, got {self.partial!r}")


PLAIN = Supernet()


def seen(c_in: int, c_out: int, partial: int) -> int:
  """The channels that an edge's operations see, c_in / K.

  Raises:
    SpaceError: K > 1 and the width changes or is no multiple of K.
  """
  if partial > 1 and (c_in != c_out or c_in % partial):
    raise SpaceError(
      f"supernet.partial = {partial}: needs edges whose input and output have equally many "
      f"channels, a multiple of {partial}; got {c_in} -> {c_out}"
    )
  return c_in // partial


def bypass(mixed: jax.Array, x: jax.Array, weight: jax.Array, partial: int, stride: int):
  """y = shuffle(concat(mixed, weight * x'), K), x' = the channels of x that no operation saw.

  Args:
    mixed: `[B, H', W', C / K]`.
    x: the edge's input, `[B, H, W, C]`.
    weight: the sum of the edge's mixing weights: 1 on the simplex, and the edge's own weight where
      it has one, so that this multiplies all its channels.
    partial: K.
    stride: 1 or 2.

  Returns:
    `[B, H', W', C]`, where output channel j comes from group j mod K.
  """
  rest = x[..., x.shape[-1] // partial :]
  if stride == 2:
    rest = _max_pool_2x2(rest)
  y = jnp.concatenate([mixed, weight.astype(x.dtype) * rest], axis=-1)
  grouped = y.reshape(*y.shape[:-1], partial, -1)
  return jnp.swapaxes(grouped, -1, -2).reshape(y.shape)


def _max_pool_2x2(x: jax.Array) -> jax.Array:
  """Maximum over 2x2 blocks; at an odd border over what there is of the block."""
  x = blocks.evened(x)
  rows = jnp.maximum(x[:, ::2], x[:, 1::2])
  return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def sampled(
  ops: Sequence[Any],
  x: jax.Array,
  weights: jax.Array,
  mode: Mode,
  call: Callable[[nnx.Module, jax.Array, Mode], jax.Array],
) -> jax.Array:
  """w_s * op_s(x), s = argmax of w; the other operations are not computed.

  Args:
    ops: modules.
    x: `[B, H, W, C]`.
    weights: mixing weights `[O]`.
    mode: how the pass is meant.
    call: (operation, x, mode) -> output.
  """
  parts = [functional.split(op) for op in ops]
  statics, params, stats = zip(*parts, strict=True)

  def branch(o: int):
    def run(weight, x, params, stats):
      op = statics[o].merge(params, stats)
      y = weight.astype(x.dtype) * call(op, x, mode.at(o)).astype(x.dtype)
      return y, functional.stats_of(op)

    return run

  branches = tuple(branch(o) for o in range(len(ops)))
  chosen = jnp.argmax(lax.stop_gradient(weights))
  result: Any = _one_of(branches, chosen, weights[chosen], x, params, stats)
  y, stats = result
  for op, moved in zip(ops, stats, strict=True):
    functional.put_stats(op, moved)
  return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _one_of(branches, chosen, weight, x, params, stats):
  """branches[chosen](weight, x, its params, its stats) -> (y, all stats, its own moved).

  The gradient computes the branch anew. JAX' own rule would keep what the gradients of all branches
  need, filled with zeros for those that were not taken.
  """
  return _one_of_forward(branches, chosen, weight, x, params, stats)[0]


def _one_of_forward(branches, chosen, weight, x, params, stats):
  def taken(o: int):
    def run(weight, x, params, stats):
      value = lambda *operands: branches[o](*operands, stats[o])
      # Forward mode, as second order needs it, does not pass the rules of the operations.
      y, _, own = jax.vjp(value, weight, x, params[o], has_aux=True)
      return y, _replaced(stats, o, own)

    return run

  runs = [taken(o) for o in range(len(branches))]
  operands = weight, x, params, stats
  return lax.switch(chosen, runs, *operands), (chosen, *operands)


def _one_of_backward(branches, operands, cotangents):
  chosen, weight, x, params, stats = operands

  def taken(o: int):
    def run(weight, x, params, stats, dy):
      value = lambda *operands: branches[o](*operands, stats[o])[0]
      _, pull = jax.vjp(value, weight, x, params[o])
      dweight, dx, own = pull(dy)
      return dweight, dx, _replaced(jax.tree.map(jnp.zeros_like, params), o, own)

    return run

  runs = [taken(o) for o in range(len(branches))]
  gradients = lax.switch(chosen, runs, weight, x, params, stats, cotangents[0])
  return None, *gradients, jax.tree.map(jnp.zeros_like, stats)


_one_of.defvjp(_one_of_forward, _one_of_backward)


def _replaced(parts: tuple[Any, ...], index: int, part: Any) -> tuple[Any, ...]:
  return *parts[:index], part, *parts[index + 1 :]


def only_largest(weights: jax.Array) -> jax.Array:
  """The weights with all but the largest set to 0, for values and gradients."""
  hard = jax.nn.one_hot(jnp.argmax(lax.stop_gradient(weights)), weights.size, dtype=weights.dtype)
  return weights * hard
