# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How often a search finds what was planted, in either problem of `landscape`."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.space.space import SearchSpace
from dnas.strategy import hypergradient as hg
from dnas.strategy import landscape as landscapes
from dnas.strategy import relaxation as rx
from dnas.strategy.alpha import relax
from dnas.strategy.bilevel import Bilevel, bilevel
from dnas.strategy.discretize import argmax
from dnas.strategy.landscape import HARMONICS, Landscape
from dnas.strategy.optimizer import Optimizer, adam, sgd
from dnas.strategy.problem import Problem, SearchState

CHUNK = 50  # So many batches at most are held at once.


@dataclasses.dataclass(frozen=True)
class Result:
  """How often a search found what was planted.

  Attributes:
    seeds: number of independent searches.
    edge_successes: how many found the operation of the one edge that the seed singles out (edge
      `seed % E`; chance 1/4).
    genotype_successes: how many found the whole genotype (chance 1/4^E).
    learners: on how many edges of all searches the planted operation has weights to learn.
    collapsed: on how many of these the skip connection was found instead.
  """

  seeds: int
  edge_successes: int
  genotype_successes: int
  learners: int = 0
  collapsed: int = 0


class Found(NamedTuple):
  """The end of one search, for a `choose`.

  Attributes:
    problem: what was searched.
    state: the last state.
    trajectory: (the logits that decide, eigenvalues) at every `watch_every`-th step, or None.
    draw: "weights" or "alpha", n -> the n-th batch of this part.
  """

  problem: Problem
  state: SearchState
  trajectory: Any
  draw: Callable[[str, int], Any]


Choose = Callable[[Found], SearchSpace]


@dataclasses.dataclass(frozen=True)
class Stage:
  """A search, or one of several that follow each other.

  Attributes:
    landscape: what the data come from; all stages of a search plant the same operations.
    problem: what is searched.
    machine: its loop.
    steps: its length.
    warmup_steps: for so many of them there is no batch for alpha, as in `dnas.search`.
    levels: 2, or 1 for a one-level search.
    keep: how many operations each edge keeps after it; None for the last.
    inherit: the weights of the stage before -> those that this one goes on with, with its logits;
      None: it starts anew.
  """

  landscape: Landscape
  problem: Problem
  machine: Bilevel
  steps: int
  warmup_steps: int
  levels: int = 2
  keep: int | None = None
  inherit: Callable[[Any], Any] | None = None


def run(
  relaxation: rx.Relaxation,
  hypergradient: hg.Hypergradient | None,
  seeds: Sequence[int],
  *,
  landscape: Landscape = HARMONICS,
  steps: int = 150,
  warmup_steps: int = 50,
  alpha_optimizer: Optimizer | None = None,
) -> Result:
  """Searches a planted problem once for each seed, see `find`.

  Args:
    relaxation: as for `bilevel`.
    hypergradient: as for `bilevel`; None is the one-level search.
    seeds: each draws another genotype, teacher, data and start.
    landscape: the problem.
    steps: length of the search.
    warmup_steps: as for `bilevel`. Operations whose weights are still random say nothing, and
      what sparsemax drops by such an accident never comes back.
    alpha_optimizer: by default Adam as in DARTS, with a learning rate of 0.03.

  Raises:
    DnasError: no seeds.
  """
  problem = landscapes.problem_of(landscape)
  search = bilevel(
    problem,
    relaxation,
    hypergradient,
    sgd(steps, lr=0.1),
    alpha_optimizer or adam(lr=0.03),
    steps=steps,
    warmup_steps=warmup_steps,
  )
  levels = 1 if hypergradient is None else 2
  return find([Stage(landscape, problem, search, steps, warmup_steps, levels)], seeds)


def find(
  stages: Sequence[Stage],
  seeds: Sequence[int],
  *,
  relaxation: rx.Relaxation | None = None,
  watch_every: int = 0,
  choose: Choose | None = None,
) -> Result:
  """Searches a planted problem once for each seed, through `bilevel`, all in one program.

  Args:
    stages: one after another; the last one's genotype counts.
    seeds: each draws another genotype, teacher, data and start.
    relaxation: that of the search, for the eigenvalues.
    watch_every: how many steps lie between the points of the trajectories that `choose` sees; 0:
      it sees the end alone, and no eigenvalue.
    choose: by default the largest logit of each edge at the end (of its mean, where the stage's
      loop keeps one).

  Raises:
    DnasError: no seeds.
  """
  if len(seeds) == 0:
    raise DnasError("planted: seeds must hold at least one")
  states: Any = None
  planted = batches = trajectory = None
  part = 0
  for n, stage in enumerate(stages):
    # Not compiled as a whole: its pieces are the same for every method.
    numbers = np.asarray(seeds, np.uint32) + np.uint32(10_000 * n)
    fresh = jax.vmap(lambda seed, stage=stage: stage.machine.init(jax.random.key(seed)))(numbers)
    states = fresh if states is None else _next_stage(states, fresh, stages[n - 1].keep, stage)
    curvature = _eigenvalue(stage.problem, relaxation) if watch_every and relaxation else None
    scan, pieces = jax.jit(jax.vmap(_walk(stage.machine, curvature))), []
    common = math.gcd(stage.steps, stage.warmup_steps)
    size = max(size for size in range(1, CHUNK + 1) if common % size == 0)
    for done in range(0, stage.steps, size):
      planted, batches = landscapes.data(seeds, part, size, stage.landscape)
      moves = stage.levels > 1 and done >= stage.warmup_steps
      states, piece = scan(states, batches["weights"], batches["alpha"] if moves else None)
      pieces.append(piece)
      part += 1
    trajectory = jax.tree.map(lambda *x: np.concatenate(jax.device_get(x), 1), *pieces)
  last, found = stages[-1], []
  alphas = jax.device_get(states.decided_by)
  for i in range(len(seeds)):
    if choose is None:
      genotype = argmax()(last.problem.space, _at(alphas, i))
    else:
      path = jax.tree.map(lambda x: x[watch_every - 1 :: max(watch_every, 1)], _at(trajectory, i))
      draw = functools.partial(_draw, batches, i)
      genotype = choose(Found(last.problem, _at(states, i), path, draw))
    found.append(_operations(last.problem.space, genotype))
  return _count(last.landscape, seeds, planted, found)


def _walk(machine: Bilevel, eigenvalue: Callable | None):
  """(state, weight batches, alpha batches) -> (state, trajectory, empty if it is not watched)."""

  def step(state, pair):
    state = machine.step(state, *pair)[0]
    if eigenvalue is None:
      return state, ()
    return state, (state.decided_by, eigenvalue(state, pair[0] if pair[1] is None else pair[1]))

  return lambda state, weights, alpha: jax.lax.scan(step, state, (weights, alpha))


def _eigenvalue(problem: Problem, relaxation: rx.Relaxation):
  """(state, batch) -> the largest magnitude of the eigenvalues of d2 outer / dalpha2."""

  def eigenvalue(state: SearchState, batch: Any) -> jax.Array:
    flat, unravel = jax.flatten_util.ravel_pytree(state.alpha)

    def loss(flat):
      weights = relax(relaxation, state.key, unravel(flat), 0.0, problem.space)
      return problem.loss(state.params, {}, weights, batch, state.key, True, 0.0)[0]

    return jnp.abs(jnp.linalg.eigvalsh(jax.hessian(loss)(flat))).max()

  return eigenvalue


def _at(tree: Any, i: int) -> Any:
  return jax.tree.map(lambda x: x[i], tree)


def _draw(batches, i: int, part: str, n: int):
  return jax.tree.map(lambda x: x[i, n % x.shape[1]], batches[part])


def _operations(space: SearchSpace, genotype: SearchSpace) -> list[str | None]:
  """The operation of each edge; None where the genotype has dropped it."""
  kept = {edge.src: edge.ops[0] for edge in genotype.cells["cell"].edges}
  return [kept.get(edge.src) for edge in space.cells["cell"].edges]


def _count(landscape: Landscape, seeds, planted, found) -> Result:
  ops = landscape.space.cells["cell"].edges[0].ops
  edge_successes = genotype_successes = learners = collapsed = 0
  for seed, true, chosen in zip(seeds, planted, found, strict=True):
    right = [op == ops[o] for op, o in zip(chosen, true, strict=True)]
    edge_successes += right[seed % landscapes.EDGES]
    genotype_successes += all(right)
    if landscape.skip:
      learners += sum(int(o) != 0 for o in true)
      collapsed += sum(
        int(o) != 0 and op == "skip_connect" for op, o in zip(chosen, true, strict=True)
      )
  return Result(len(seeds), edge_successes, genotype_successes, learners, collapsed)


def _next_stage(old: SearchState, fresh: SearchState, keep: Any, stage: Stage) -> SearchState:
  """The states of all seeds at the start of a stage.

  Pruned operations have a logit from where nothing comes back, so that one program serves all.
  """
  inherit, decided = stage.inherit, old.decided_by
  going_on = fresh.alpha if inherit is None else decided

  def pruned(before, now):
    kept = before >= jnp.sort(before, axis=-1)[..., -keep, None]
    return jnp.where(kept, now, -1e9)

  alpha = {**going_on, "cell": tuple(map(pruned, decided["cell"], going_on["cell"]))}
  params = fresh.params if inherit is None else jax.vmap(inherit)(old.params)
  return dataclasses.replace(fresh, alpha=alpha, params=params)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
  """(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n), p = successes / trials = n.

  Unlike p +- z sqrt(p (1 - p)/n) it is not empty at p = 1. z = 1.96 gives 95 % coverage.

  Source: Wilson 1927, Journal of the American Statistical Association 22.
  """
  z = 1.96
  p, shrink = successes / trials, 1 + z * z / trials
  centre = p + z * z / (2 * trials)
  half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
  return max(0.0, (centre - half) / shrink), min(1.0, (centre + half) / shrink)
