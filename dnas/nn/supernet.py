# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a mixed operation may have besides a weighted sum: partial channels, one path, a skip."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from dnas.nn import functional
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
      relaxations whose other weights are 0 (GDAS, 1910.04465, section 3.2). By `lax.switch`; but
      on a CPU edges that may be depthwise convolutions compute all and set the others' weights to
      0: the same values and gradients without the saving (and running statistics of all of them
      move). There, so many branches take too long to compile: those of the DARTS space (8 channels,
      5 cells) more than 280 s, where one dense step took 137 s. A step on NAS-Bench-201 (16
      channels, 1 cell a stage, batch 64) takes 0.4 of the dense one's time, and as long to compile.
      Decided when the network is built.
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


def width(c_in: int, c_out: int, partial: int) -> int:
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
  height, right = x.shape[1] % 2, x.shape[2] % 2
  x = jnp.pad(x, ((0, 0), (0, height), (0, right), (0, 0)), mode="edge")
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
  dtype = jax.eval_shape(lambda: call(ops[0], x, mode.at(0))).dtype

  def branch(o: int):
    def run(x, params, stats):
      op = statics[o].merge(params[o], stats[o])
      y = call(op, x, mode.at(o)).astype(dtype)
      return y, (*stats[:o], functional.stats_of(op), *stats[o + 1 :])

    return run

  chosen = jnp.argmax(lax.stop_gradient(weights))
  y, stats = lax.switch(chosen, [branch(o) for o in range(len(ops))], x, params, stats)
  for op, moved in zip(ops, stats, strict=True):
    functional.put_stats(op, moved)
  return weights[chosen].astype(y.dtype) * y


def only_largest(weights: jax.Array) -> jax.Array:
  """The weights with all but the largest set to 0, for values and gradients."""
  hard = jax.nn.one_hot(jnp.argmax(lax.stop_gradient(weights)), weights.size, dtype=weights.dtype)
  return weights * hard
