# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Search problems whose answer is known: the data are made by a planted genotype.

A supernet of `nn.mixed.MixedOp`, so that all that a method changes about an edge (partial channels,
an auxiliary skip, drop-path, one sampled path) is here what it is in any search. One cell stands at
several places; at each it sums its E edges, and the network sums its places. Edge e at place l sees
inputs x_le [C] of its own, uniform with variance 1.

HARMONICS: an edge chooses among the harmonics o = 1..4, with weights of their own at every place:

    op_o(x)_c = sum over d of u[d, c] sqrt(2) cos(pi o x_d / sqrt(3)),  u = k, its columns normed,

so that every output has variance 1, as the operations of DARTS have it by their batch norm. The
teacher has one operation on each edge, the same at all places, whose output c is +- the harmonic of
input c; the signs are drawn for each seed and place. The problem is identifiable: the harmonics of
different orders and the input itself are orthogonal, so whatever its weights, an operation explains
nothing of what another has made, and neither do channels that pass by it; and for the norm weights
cannot make up for a mixing weight below 1. But the weights start at random and only those that have
been learnt tell the operations apart: it is a bilevel problem, if a small one.

COLLAPSE: operation 0 is instead the skip connection, which has nothing to learn; the others learn
slowly (their weights start SLOWNESS times as long, and what is normalised learns in proportion to
1 / length^2). On each edge the teacher is

    MINOR * (one of the two) + sqrt(1 - MINOR^2) * (the other)

of the skip and one harmonic; the larger part is the planted operation, the skip on half of the
edges. Where it is a harmonic, the skip is better than it early and worse in the end, alone or
beside it: the cause of skip collapse.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dnas.nn.blocks import Identity, drop
from dnas.nn.mode import Mode
from dnas.nn.supernet import PLAIN, Supernet, bypass, only_largest, seen
from dnas.space.space import Cell, Edge, SearchSpace, Stage
from dnas.strategy.problem import Problem
from dnas.strategy.schedule import NO_DROPS, Drops, mode_at

EDGES, PLACES, WIDTH, BATCH = 3, 2, 8, 16
LEVELS = ("weights", "alpha")
MINOR, SLOWNESS = 0.6, 2.75
_BOUND = math.sqrt(3)  # Uniform on [-sqrt(3), sqrt(3)]: variance 1.


OPS = tuple(f"harmonic_{order}" for order in (1, 2, 3, 4))
CHANCE = 1 / len(OPS)


class Landscape(NamedTuple):
  """One of the two problems.

  Attributes:
    space: one cell; its operations stand in the order of `features`.
    skip: whether operation 0 is the skip connection of COLLAPSE.
  """

  space: SearchSpace
  skip: bool

  @property
  def places(self) -> int:
    """At how many places the cell stands."""
    return self.space.stages[0].repeats

  def at_places(self, places: int) -> "Landscape":
    """The same cell in a deeper or shallower network."""
    return self._replace(space=self.space.replace(stages=(Stage("cell", places, WIDTH),)))


def _landscape(ops: tuple[str, ...], skip: bool) -> Landscape:
  edges = tuple(Edge(e, EDGES, ops) for e in range(EDGES))
  stages = (Stage("cell", PLACES, WIDTH),)
  return Landscape(SearchSpace({"cell": Cell(EDGES, edges, (EDGES,))}, stages), skip)


HARMONICS = _landscape(OPS, skip=False)
COLLAPSE = _landscape(("skip_connect", *OPS[1:]), skip=True)


def features(x: jax.Array, skip: bool) -> jax.Array:
  """[..., C] -> [..., O, C], orthonormal and of mean 0 over the inputs' distribution."""
  order = jnp.arange(1, len(OPS) + 1)[:, None]
  x = x[..., None, :]
  harmonics = math.sqrt(2) * jnp.cos(math.pi / _BOUND * order * x)
  return jnp.where(order == 1, x, harmonics) if skip else harmonics


def plant(seed: int, landscape: Landscape) -> tuple[np.ndarray, np.ndarray]:
  """The planted operation of each edge [E], and how much of each feature the teacher has
  [L, E, O, C], 0 of most.

  The operations are the same at whatever number of places.
  """
  rng = np.random.default_rng([seed, 0])
  ops = rng.integers(1 if landscape.skip else 0, len(OPS), EDGES)
  is_skip = rng.random(EDGES) < 0.5
  signs = rng.choice(np.array([-1, 1], np.float32), (landscape.places, EDGES, 1, WIDTH))
  one_hot = np.eye(len(OPS), dtype=np.float32)[ops, :][:, :, None]
  if not landscape.skip:
    return ops, one_hot * signs
  major = math.sqrt(1 - MINOR**2)
  teacher = np.where(is_skip, MINOR, major)[:, None, None] * one_hot * signs
  teacher[:, :, 0] = np.where(is_skip, major, MINOR)[:, None]
  return np.where(is_skip, 0, ops), teacher.astype(np.float32)


def data(seeds: Sequence[int], part: int, steps: int, landscape: Landscape):
  """Planted operations [S, E]; for each level inputs [S, T, B, L, E, C] and targets [S, T, B, C].

  Drawn by NumPy: XLA for CPUs compiles random numbers of several axes for minutes.

  Args:
    seeds: S numbers, each another genotype, teacher and data.
    part: which T steps of the endless data.
    steps: T.
    landscape: the problem.
  """
  ops, teachers = map(np.stack, zip(*(plant(seed, landscape) for seed in seeds), strict=True))
  found = {}
  for n, level in enumerate(LEVELS):
    x, noise = map(np.stack, zip(*(_draw(seed, n, part, steps, landscape) for seed in seeds)))
    found[level] = jnp.asarray(x), _targets(x, noise, teachers, landscape.skip)
  return ops, found


def _draw(seed: int, level: int, part: int, steps: int, landscape: Landscape):
  rng = np.random.default_rng([seed, 1 + level, part])
  x = rng.random((steps, BATCH, landscape.places, EDGES, WIDTH), np.float32)
  noise = rng.standard_normal((steps, BATCH, WIDTH), np.float32)
  return np.float32(_BOUND) * (2 * x - 1), np.float32(0.1) * noise


@functools.partial(jax.jit, static_argnums=3)
def _targets(x: jax.Array, noise: jax.Array, teacher: jax.Array, skip: bool) -> jax.Array:
  return jnp.einsum("stbleoc,sleoc->stbc", features(x, skip), teacher) + noise


class Harmonics(nnx.Module):
  """All harmonics of all edges and places at once, as one operation for `nn.blocks.drop`.

  y_c = sum over d of u[d, c] features(x)_d, u = kernel, its columns normed.

  Args:
    kernels: `[L, E, O, C', C']`.
    skip: as in `Landscape`; operation 0 then gives nothing.
  """

  def __init__(self, kernels: jax.Array, skip: bool):
    self.skip = skip
    self.unit = nnx.Param(kernels / jnp.linalg.norm(kernels, axis=-2, keepdims=True))

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, L, E, C'] -> [B L E O, 1, 1, C']`: drop-path drops a single operation of an example."""
    unit = self.unit[...]
    if self.skip:
      unit = unit.at[:, :, 0].set(0)
    y = jnp.einsum("bleod,leodc->bleoc", features(x, self.skip), unit)
    return y.reshape(-1, 1, 1, x.shape[-1])


def problem_of(
  landscape: Landscape, supernet: Supernet = PLAIN, drops: Drops = NO_DROPS
) -> Problem:
  """The search problem; unlike that of a task, its `init` can be traced.

  Weights stand below "ops", one kernel `[C', C']` for each operation, as in a network.
  """
  places, edges, ops = range(landscape.places), range(EDGES), range(len(OPS))
  width = seen(WIDTH, WIDTH, supernet.partial)
  permutations = np.eye(WIDTH, dtype=np.float32)[:, orders(landscape.places, supernet.partial)]
  permutations = permutations.swapaxes(0, 1)  # [L + 1, C, C]: channel c comes to place d

  def init(key: jax.Array):
    shape = (len(places), EDGES, len(OPS), width, width)
    start = jax.random.normal(key, (math.prod(shape),)).reshape(shape)
    start = start * (SLOWNESS if landscape.skip else 1.0)
    return {
      place: {e: {"ops": {o: start[place, e, o] for o in ops}} for e in edges} for place in places
    }, {}

  def mixed(kernels, weights, x, mode: Mode):
    """`[B, L, E, C]`, the operations of all edges mixed, in the order behind the shuffle."""
    part = x[..., :width]
    y = drop(Harmonics(kernels, landscape.skip), part, mode.at(0))
    y = jnp.einsum("bleoc,leo->blec", y.reshape(*part.shape[:3], len(OPS), width), weights)
    if landscape.skip:
      y = y + weights[..., :1] * drop(Identity(), part, mode.at(1))
    if supernet.partial > 1:
      y = bypass(y, x, jnp.sum(weights, -1, keepdims=True), supernet.partial, 1)
    return y if mode.auxiliary_skip is None else y + mode.auxiliary_skip * x

  def loss(params, stats, weights, batch, key, train: bool, progress=0.0):
    x, target = batch
    mode = mode_at(progress, train, key, supernet, drops)
    kernels = jnp.stack(
      [
        jnp.stack([jnp.stack([params[place][e]["ops"][o] for o in ops]) for e in edges])
        for place in places
      ]
    )
    mixing = jnp.stack(weights["cell"], -2)  # [E, O], or [L, E, O]
    if supernet.single_path:
      mixing = jnp.apply_along_axis(only_largest, -1, mixing)
    # What noise they come from is not fused into all that uses them, see `data`.
    mixing = jax.lax.optimization_barrier(mixing)
    mixing = jnp.broadcast_to(mixing, (len(places), EDGES, len(OPS)))
    if supernet.partial > 1:
      x = jnp.einsum("blec,lcd->bled", x, permutations[:-1])
    y = mixed(kernels, mixing, x, mode).sum(2)
    output = y.sum(1)
    if supernet.partial > 1:
      output = jnp.einsum("blc,ldc->bd", y, permutations[1:])
    return jnp.mean(jnp.sum((output - target) ** 2, -1)), (stats, {})

  return Problem(landscape.space, init, loss)


def orders(places: int, partial: int) -> list[np.ndarray]:
  """The order of the channels at each place and behind the last: every edge's output is shuffled.

  So the operations of the next place see other channels (1907.05737, section 3.2).
  """
  orders = [np.arange(WIDTH)]
  for _ in range(places):
    orders.append(orders[-1].reshape(partial, -1).T.ravel())
  return orders


def widened(params, supernet: Supernet):
  """The weights in a supernet whose operations see more channels, as `network.inherit` has them."""
  width = seen(WIDTH, WIDTH, supernet.partial)
  return jax.tree.map(lambda kernel: jnp.tile(kernel, (width // len(kernel),) * 2), params)
