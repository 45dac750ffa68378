# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Search problems whose answer is known: the data are made by a planted genotype.

HARMONICS: one cell sums its E edges. Edge e sees inputs x_e [D] of its own, uniform in [-1, 1], and
has four candidate operations, the harmonics o = 1..4, with weights of their own:

    op_o(x_e) = sum over d of u[d] sqrt(2) cos(pi o x_e[d]),   u = params[e, o] / ||params[e, o]||

so that every output has variance 1, as the operations of DARTS have it by their batch norm. The
teacher has one operation on each edge; its weights are +-1/sqrt(D), drawn for each seed. The
problem is identifiable: E[cos(pi o x) cos(pi p x)] = 0 for o != p, so whatever its weights, an
operation explains nothing of what another has made; and for the norm they cannot make up for a
mixing weight below 1. But the weights start at random and only those that have been learnt tell the
operations apart: it is a bilevel problem, if a small one.

COLLAPSE: operation 0 is instead a skip connection, the mean of the first harmonic, which has
nothing to learn; the others learn slowly (their weights start SLOWNESS times as long, and what is
normalised learns in proportion to 1 / length^2). On each edge the teacher is

    MINOR * (one of the two) + sqrt(1 - MINOR^2) * (the other)

of the skip and one harmonic; the larger part is the planted operation, the skip on half of the
edges. Where it is a harmonic, the skip is better than it early and worse in the end, alone or
beside it: the cause of skip collapse.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy.bilevel import Problem

OPS = ("harmonic_1", "harmonic_2", "harmonic_3", "harmonic_4")
EDGES, WIDTH, BATCH = 3, 4, 64
LEVELS = ("weights", "alpha")
CHANCE = 1 / len(OPS)
MINOR, SLOWNESS = 0.6, 4.0


class Landscape(NamedTuple):
  """One of the two problems.

  Attributes:
    space: one cell; its operations stand in the order of `features`.
    skip: whether operation 0 is the skip connection of COLLAPSE.
  """

  space: SearchSpace
  skip: bool


def _landscape(ops: tuple[str, ...], skip: bool) -> Landscape:
  edges = tuple(Edge(e, EDGES, ops) for e in range(EDGES))
  return Landscape(SearchSpace({"cell": Cell(EDGES, edges, (EDGES,))}), skip)


HARMONICS = _landscape(OPS, skip=False)
COLLAPSE = _landscape(("skip_connect", *OPS[1:]), skip=True)
SPACE = HARMONICS.space


def features(x: jax.Array) -> jax.Array:
  """[..., E, D] -> [..., E, O, D], orthonormal and of mean 0 over the inputs' distribution."""
  harmonics = jnp.arange(1, len(OPS) + 1)[:, None]
  return math.sqrt(2) * jnp.cos(math.pi * harmonics * x[..., None, :])


def plant(key: jax.Array, skip: bool = False) -> tuple[jax.Array, jax.Array]:
  """The planted operation of each edge [E] and the teacher's weights [E, O, D], 0 on all others."""
  op_key, sign_key, *keys = jax.random.split(key, 4 if skip else 2)
  signs = jax.random.rademacher(sign_key, (EDGES, 1, WIDTH), jnp.float32) / math.sqrt(WIDTH)
  if not skip:
    ops = jax.random.randint(op_key, (EDGES,), 0, len(OPS))
    return ops, jax.nn.one_hot(ops, len(OPS))[:, :, None] * signs
  learners = jax.random.randint(op_key, (EDGES,), 1, len(OPS))
  is_skip = jax.random.bernoulli(keys[0], 0.5, (EDGES,))
  major = math.sqrt(1 - MINOR**2)
  share = jnp.where(is_skip, MINOR, major)[:, None, None]
  teacher = share * jax.nn.one_hot(learners, len(OPS))[:, :, None] * signs
  return jnp.where(is_skip, 0, learners), teacher.at[:, 0].set(
    jnp.where(is_skip, major, MINOR)[:, None] * _skip_weights()
  )


def _skip_weights() -> jax.Array:
  return jnp.full(WIDTH, 1 / math.sqrt(WIDTH))


@functools.partial(jax.jit, static_argnums=(1, 2))
def data(seeds: jax.Array, steps: int, skip: bool) -> tuple[jax.Array, dict[str, tuple]]:
  """Planted operations [S, E]; for each level inputs [S, T, B, E, D] and targets [S, T, B]."""

  def one(seed: jax.Array):
    plant_key, *keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 3)
    ops, teacher = plant(plant_key, skip)
    return ops, {
      level: batches_of(k, teacher, steps) for level, k in zip(LEVELS, keys, strict=True)
    }

  return jax.vmap(one)(seeds)


def batches_of(key: jax.Array, teacher: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
  """Inputs [T, B, E, D] and targets [T, B], with noise of standard deviation 0.1."""
  input_key, noise_key = jax.random.split(key)
  x = jax.random.uniform(input_key, (steps, BATCH, EDGES, WIDTH), minval=-1, maxval=1)
  noise = 0.1 * jax.random.normal(noise_key, (steps, BATCH))
  return x, jnp.einsum("tbeod,eod->tb", features(x), teacher) + noise


def problem_of(landscape: Landscape, auxiliary_skip: bool = False, single_path: bool = False):
  """The search problem; its weights are one vector per operation, below "ops" as in a network."""
  edges, ops = range(EDGES), range(len(OPS))

  def init(key: jax.Array):
    start = jax.random.normal(key, (EDGES, len(OPS), WIDTH))
    start = start * (SLOWNESS if landscape.skip else 1.0)
    return {e: {"ops": {o: start[e, o] for o in ops}} for e in edges}, {}

  def loss(params, stats, weights, batch, key, train, progress):
    del key, train
    x, target = batch
    stacked = jnp.stack([jnp.stack([params[e]["ops"][o] for o in ops]) for e in edges])
    mixing = jnp.stack(weights["cell"])
    if single_path:
      hard = jax.nn.one_hot(jnp.argmax(jax.lax.stop_gradient(mixing), -1), len(OPS))
      mixing = mixing * hard
    unit = stacked / jnp.linalg.norm(stacked, axis=-1, keepdims=True)
    if landscape.skip:
      unit = unit.at[:, 0].set(_skip_weights())
    if auxiliary_skip and landscape.skip:
      mixing = mixing.at[:, 0].add(1.0 - progress)
    output = jnp.einsum("beod,eod,eo->b", features(x), unit, mixing)
    return jnp.mean((output - target) ** 2), (stats, {})

  return Problem(landscape.space, init, loss)
