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
from dnas.strategy.bilevel import Problem, SearchState, bilevel
from dnas.strategy.discretize import argmax
from dnas.strategy.landscape import HARMONICS, LEVELS, Landscape
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
CHANCE = 1 / len(landscapes.OPS)


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


class Found(NamedTuple):
  """The end of one search, for a `choose`.

  Attributes:
    problem: what was searched.
    state: the last state.
    alpha: its logits, on the host.
    trajectory: (logits, eigenvalues) at every `watch_every`-th step, or None.
    draw: "weights" or "alpha", n -> the n-th batch of this part.
  """

  problem: Problem
  state: SearchState
  alpha: Any
  trajectory: Any
  draw: Callable[[str, int], Any]


Choose = Callable[[Found], SearchSpace]


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
  landscape: Landscape = HARMONICS,
  steps: int = 150,
  warmup_steps: int = 50,
  weight_optimizer: Optimizer | None = None,
  alpha_optimizer: Optimizer | None = None,
  auxiliary_skip: bool = False,
  single_path: bool = False,
  keep: Sequence[int] = (),
  inherit: bool = False,
  watch_every: int = 0,
  choose: Choose | None = None,
  **loop: Any,
) -> Result:
  """Searches a planted problem once for each seed, through `bilevel`, all in one program.

  Args:
    relaxation: as for `bilevel`.
    hypergradient: as for `bilevel`; None is the one-level search.
    seeds: each draws another genotype, teacher, data and start.
    landscape: the problem.
    steps: length of the search, or of each of its stages.
    warmup_steps: as for `bilevel`. Operations whose weights are still random say nothing, and
      what sparsemax drops by such an accident never comes back: without a warm-up it succeeds in
      about 88 of 100 searches, the other relaxations in all but one.
    weight_optimizer: by default SGD as in DARTS, with a learning rate of 0.1 -> 0.001.
    alpha_optimizer: by default Adam as in DARTS, with a learning rate of 0.03.
    auxiliary_skip: adds (1 - progress) times the skip connection to each edge, where there is one.
    single_path: only the largest weight of an edge counts.
    keep: operations that each edge keeps after each stage but the last; () is one stage.
    inherit: whether a stage goes on with weights and logits; else it starts anew.
    watch_every: how many steps lie between the points of the trajectories that `choose` sees; 0:
      it sees the end alone, and no eigenvalue.
    choose: by default the largest logit of each edge at the end.
    **loop: what else `bilevel` takes.

  Raises:
    DnasError: no seeds.
  """
  if len(seeds) == 0:
    raise DnasError("planted: seeds must hold at least one")
  numbers = np.asarray(seeds, np.uint32)
  problem = landscapes.problem_of(landscape, auxiliary_skip, single_path)
  search = bilevel(
    problem,
    relaxation,
    hypergradient,
    weight_optimizer or sgd(steps, lr=0.1),
    alpha_optimizer or adam(lr=0.03),
    steps=steps,
    warmup_steps=warmup_steps,
    **loop,
  )
  planted, batches = landscapes.data(numbers, steps * (len(keep) + 1), landscape.skip)

  def eigenvalue(state, batch):
    """The Hessian's eigenvalue of largest magnitude, of the outer loss in alpha."""
    flat, unravel = jax.flatten_util.ravel_pytree(state.alpha)

    def loss(flat):
      weights = relax(relaxation, state.key, unravel(flat), 0.0, problem.space)
      return problem.loss(state.params, {}, weights, batch, state.key, True, 0.0)[0]

    return jnp.abs(jnp.linalg.eigvalsh(jax.hessian(loss)(flat))).max()

  def one(state, batches):
    def step(state, pair):
      state = search.step(state, *pair)[0]
      held = pair[0] if pair[1] is None else pair[1]
      curvature = eigenvalue(state, held) if watch_every else jnp.zeros(())
      return state, (state.alpha if watch_every else (), curvature)

    return jax.lax.scan(step, state, batches)

  levels = LEVELS[:1] if hypergradient is None else LEVELS
  # Not compiled as a whole: its pieces are the same for every method.
  start = jax.vmap(lambda seed: search.init(jax.random.key(seed)))
  scan, states = jax.jit(jax.vmap(one)), start(numbers)
  trajectory: Any = ()
  for stage in range(len(keep) + 1):
    now = slice(stage * steps, (stage + 1) * steps)
    part = {n: tuple(x[:, now] for x in batches[n]) for n in levels}
    states, trajectory = scan(states, (part["weights"], part.get("alpha")))
    if stage < len(keep):
      states = _next_stage(states, start(numbers + 10_000 * (stage + 1)), keep[stage], inherit)
  alphas, planted = jax.device_get((states.alpha, planted))
  found = []
  for i in range(len(seeds)):
    alpha = _at(alphas, i)
    if choose is None:
      genotype = argmax()(landscape.space, alpha)
    else:
      path = jax.tree.map(lambda x: x[watch_every - 1 :: max(watch_every, 1)], _at(trajectory, i))
      draw = functools.partial(_draw, batches, i)
      genotype = choose(Found(problem, _at(states, i), alpha, jax.device_get(path), draw))
    found.append(_operations(landscape.space, genotype))
  return _count(landscape, seeds, planted, found)


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


def _next_stage(states: SearchState, fresh: SearchState, keep: int, inherit: bool) -> SearchState:
  """The states of all seeds at the start of the next stage.

  Pruned operations have a logit from where nothing comes back, so that one program serves all.
  """

  def pruned(old, new):
    kept = old >= jnp.sort(old, axis=-1)[..., -keep, None]
    return jnp.where(kept, old if inherit else new, -1e9)

  alpha = {
    name: tuple(map(pruned, edges, fresh.alpha[name])) if name == "cell" else fresh.alpha[name]
    for name, edges in states.alpha.items()
  }
  if inherit:
    fresh = dataclasses.replace(fresh, params=states.params)
  return dataclasses.replace(fresh, alpha=alpha)


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
  """(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n), p = successes / trials = n.

  Unlike p +- z sqrt(p (1 - p)/n) it is not empty at p = 1. z = 1.96 gives 95 % coverage.

  Source: Wilson 1927, Journal of the American Statistical Association 22.
  """
  p, shrink = successes / trials, 1 + z * z / trials
  centre = p + z * z / (2 * trials)
  half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
  return max(0.0, (centre - half) / shrink), min(1.0, (centre + half) / shrink)
