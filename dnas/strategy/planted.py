# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search problem whose answer is known: the data are made by a planted genotype.

One cell sums its E edges. Edge e sees inputs x_e [D] of its own, uniform in [-1, 1], and has four
candidate operations, the harmonics o = 1..4, with weights of their own:

    op_o(x_e) = sum over d of u[d] sqrt(2) cos(pi o x_e[d]),   u = params[e, o] / ||params[e, o]||

so that every output has variance 1, as the operations of DARTS have it by their batch norm. The
teacher has one operation on each edge; its weights are +-1/sqrt(D), drawn for each seed. The
problem is identifiable: E[cos(pi o x) cos(pi p x)] = 0 for o != p, so whatever its weights, an
operation explains nothing of what another has made; and for the norm they cannot make up for a
mixing weight below 1. But the weights start at random and only those that have been learnt tell the
operations apart: it is a bilevel problem, if a small one.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import hypergradient as hg
from dnas.strategy import relaxation as rx
from dnas.strategy.bilevel import Problem, bilevel
from dnas.strategy.discretize import argmax
from dnas.strategy.optimizer import Optimizer, adam, sgd

METHODS = {
  "relaxation": {
    "softmax": rx.softmax(),
    "gumbel_softmax": rx.gumbel_softmax(),
    "straight_through": rx.straight_through(),
    "sparsemax": rx.sparsemax(),
  },
  "hypergradient": {
    "first_order": hg.first_order(),
    "unrolled": hg.unrolled(),
    "finite_difference": hg.finite_difference(),
    "implicit_neumann": hg.implicit(hg.neumann()),
    "implicit_cg": hg.implicit(hg.cg(damping=0.1)),
  },
}
OPS = ("harmonic_1", "harmonic_2", "harmonic_3", "harmonic_4")
EDGES, WIDTH, BATCH = 3, 4, 64
LEVELS = ("weights", "alpha")
CHANCE = 1 / len(OPS)
SPACE = SearchSpace(
  {"cell": Cell(EDGES, tuple(Edge(e, EDGES, OPS) for e in range(EDGES)), (EDGES,))}
)


@dataclasses.dataclass(frozen=True)
class Result:
  """How often a search found what was planted.

  Attributes:
    seeds: number of independent searches.
    edge_successes: how many found the operation of the one edge that the seed singles out (edge
      `seed % E`; chance 1/4).
    genotype_successes: how many found the whole genotype (chance 1/4^E).
  """

  seeds: int
  edge_successes: int
  genotype_successes: int


@dataclasses.dataclass(frozen=True)
class Row:
  """One method's line of the table.

  Attributes:
    relaxation: its name in METHODS.
    hypergradient: likewise.
    seeds: number of searches.
    rate: how many found the planted operation of the edge that the seed singles out, of 1.
    interval: 95 % Wilson interval of `rate`.
    chance: what guessing gives.
    genotype_rate: how many found the whole genotype, of 1.
  """

  relaxation: str
  hypergradient: str
  seeds: int
  rate: float
  interval: tuple[float, float]
  chance: float
  genotype_rate: float


def pairs(relaxation: str | None = None, hypergradient: str | None = None) -> list[tuple[str, str]]:
  """The names of all methods, or of those with one relaxation or hypergradient."""
  return [
    (r, h)
    for r in METHODS["relaxation"]
    for h in METHODS["hypergradient"]
    if relaxation in (None, r) and hypergradient in (None, h)
  ]


def row(relaxation: str, hypergradient: str, seeds: Sequence[int]) -> Row:
  """Runs a method by its names; the arguments are as for `run`."""
  parts = METHODS["relaxation"][relaxation], METHODS["hypergradient"][hypergradient]
  result = run(*parts, seeds)
  return Row(
    relaxation,
    hypergradient,
    result.seeds,
    result.edge_successes / result.seeds,
    wilson_interval(result.edge_successes, result.seeds),
    CHANCE,
    result.genotype_successes / result.seeds,
  )


def run(
  relaxation: rx.Relaxation,
  hypergradient: hg.Hypergradient | None,
  seeds: Sequence[int],
  *,
  steps: int = 150,
  warmup_steps: int = 50,
  weight_optimizer: Optimizer | None = None,
  alpha_optimizer: Optimizer | None = None,
) -> Result:
  """Searches the planted problem once for each seed, through `bilevel`, all in one program.

  Args:
    relaxation: as for `bilevel`.
    hypergradient: as for `bilevel`; None is the one-level search.
    seeds: each draws another genotype, teacher, data and start.
    steps: length of the search.
    warmup_steps: as for `bilevel`. Operations whose weights are still random say nothing, and
      what sparsemax drops by such an accident never comes back: without a warm-up it succeeds in
      about 88 of 100 searches, the other relaxations in all but one.
    weight_optimizer: by default SGD as in DARTS, with a learning rate of 0.1 -> 0.001.
    alpha_optimizer: by default Adam as in DARTS, with a learning rate of 0.03.

  Raises:
    DnasError: no seeds.
  """
  if len(seeds) == 0:
    raise DnasError("planted: seeds must hold at least one")
  search = bilevel(
    Problem(SPACE, _init, _loss),
    relaxation,
    hypergradient,
    weight_optimizer or sgd(steps, lr=0.1),
    alpha_optimizer or adam(lr=0.03),
    steps=steps,
    warmup_steps=warmup_steps,
  )

  planted, batches = _data(np.asarray(seeds, np.uint32), steps)

  def one(state, batches):
    def step(state, pair):
      return search.step(state, *pair)[0], None

    return jax.lax.scan(step, state, batches)[0].alpha

  # Not compiled as a whole: its pieces are the same for every method.
  states = jax.vmap(lambda seed: search.init(jax.random.key(seed)))(np.asarray(seeds, np.uint32))
  pair = (batches["weights"], None if hypergradient is None else batches["alpha"])
  alphas, planted = jax.device_get((jax.jit(jax.vmap(one))(states, pair), planted))
  edge_successes = genotype_successes = 0
  for i, seed in enumerate(seeds):
    genotype = argmax()(SPACE, jax.tree.map(lambda a, i=i: a[i], alphas))
    found = SPACE.choices(genotype)["cell"]
    right = [op == OPS[o] for op, o in zip(found, planted[i], strict=True)]
    edge_successes += right[seed % EDGES]
    genotype_successes += all(right)
  return Result(len(seeds), edge_successes, genotype_successes)


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
  """(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n), p = successes / trials = n.

  Unlike p +- z sqrt(p (1 - p)/n) it is not empty at p = 1. z = 1.96 gives 95 % coverage.

  Source: Wilson 1927, Journal of the American Statistical Association 22.
  """
  p, shrink = successes / trials, 1 + z * z / trials
  centre = p + z * z / (2 * trials)
  half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
  return max(0.0, (centre - half) / shrink), min(1.0, (centre + half) / shrink)


def _features(x: jax.Array) -> jax.Array:
  """[..., E, D] -> [..., E, O, D], orthonormal and of mean 0 over the inputs' distribution."""
  harmonics = jnp.arange(1, len(OPS) + 1)[:, None]
  return math.sqrt(2) * jnp.cos(math.pi * harmonics * x[..., None, :])


def _plant(key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The planted operation of each edge [E] and the teacher's weights [E, O, D], 0 on all others."""
  op_key, sign_key = jax.random.split(key)
  ops = jax.random.randint(op_key, (EDGES,), 0, len(OPS))
  signs = jax.random.rademacher(sign_key, (EDGES, 1, WIDTH), jnp.float32) / math.sqrt(WIDTH)
  return ops, jax.nn.one_hot(ops, len(OPS))[:, :, None] * signs


@functools.partial(jax.jit, static_argnums=1)
def _data(seeds: jax.Array, steps: int) -> tuple[jax.Array, dict[str, tuple]]:
  """Planted operations [S, E]; for each level inputs [S, T, B, E, D] and targets [S, T, B]."""

  def one(seed: jax.Array):
    plant_key, *keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 3)
    ops, teacher = _plant(plant_key)
    return ops, {level: _batches(k, teacher, steps) for level, k in zip(LEVELS, keys, strict=True)}

  return jax.vmap(one)(seeds)


def _batches(key: jax.Array, teacher: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
  """Inputs [T, B, E, D] and targets [T, B], with noise of standard deviation 0.1."""
  input_key, noise_key = jax.random.split(key)
  x = jax.random.uniform(input_key, (steps, BATCH, EDGES, WIDTH), minval=-1, maxval=1)
  noise = 0.1 * jax.random.normal(noise_key, (steps, BATCH))
  return x, jnp.einsum("tbeod,eod->tb", _features(x), teacher) + noise


def _init(key: jax.Array):
  return jax.random.normal(key, (EDGES, len(OPS), WIDTH)), {}


def _loss(params, stats, weights, batch, key, train, progress):
  del key, train, progress
  x, target = batch
  mixing = jnp.stack(weights["cell"])
  unit = params / jnp.linalg.norm(params, axis=-1, keepdims=True)
  output = jnp.einsum("beod,eod,eo->b", _features(x), unit, mixing)
  return jnp.mean((output - target) ** 2), (stats, {})
