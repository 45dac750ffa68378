# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Discretisation by perturbation: edge by edge the operation without which the supernet is worst.

An architecture weight need not say what an operation is worth; taking the operation away does.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import check_count
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import relax
from dnas.strategy.bilevel import Bilevel
from dnas.strategy.problem import Problem, SearchState
from dnas.strategy.relaxation import Relaxation


class Fixed(NamedTuple):
  """What a batch carries beside its examples: which mixing weights are already decided.

  Attributes:
    batch: the examples.
    free: per edge a scalar, 1 where its weights are the relaxation's.
    weights: per edge `[O]`, its weights where it is decided; 0 where it is free.
  """

  batch: Any
  free: Any
  weights: Any


def fixable(problem: Problem) -> Problem:
  """The problem with batches `Fixed`: decided edges have their weights, the others what is given.

  So one compiled program serves all edges.
  """

  def loss(params, stats, weights, batch, *rest):
    at = lambda free, given, fixed: free * given + fixed
    mixed = jax.tree.map(at, batch.free, weights, batch.weights)
    return problem.loss(params, stats, mixed, batch.batch, *rest)

  return dataclasses.replace(problem, loss=loss)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Projecting:
  """A projection under way; each leaf is an array.

  Attributes:
    search: the state of the fine-tuning.
    free, fixed: what `Fixed` batches carry: which edges are not decided, the others' weights.
    chosen: per edge the index of its operation, -1 where it has none (yet).
    losses: [T], of the trials of the decision at hand, summed over the batches so far.
    step: int32, the number of steps done.
  """

  search: SearchState
  free: Any
  fixed: Any
  chosen: Any
  losses: jax.Array
  step: jax.Array


class Projection(NamedTuple):
  """A projection as functions, for a loop that saves its state.

  Attributes:
    steps: how many in all.
    init: the state at the end of the search -> the first state; shares no memory with it.
    step: (i, state, weight_batch, alpha_batch) -> (state, metrics), i counted from 1.
    genotype: the last state -> what was decided.
  """

  steps: int
  init: Callable[[SearchState], Projecting]
  step: Callable[[int, Projecting, Any, Any], tuple[Projecting, dict[str, Any]]]
  genotype: Callable[[Projecting], SearchSpace]


def projector(
  problem: Problem,
  relaxation: Relaxation,
  tune: Callable[[Problem], Bilevel],
  *,
  batches: int,
  tune_steps: int,
  seed: int,
) -> Projection:
  """state -> genotype: edges in random order, then which edges stay, tuned in between.

  For each edge: op = argmax over o of loss(supernet without o on this edge), its weight set to 0
  and the others' left as they are. Where a cell keeps k edges per node, its nodes follow in random
  order: those k edges stay without which the loss is largest. A decision takes `batches` steps,
  each of which adds up the losses on one batch, and `tune_steps` more.

  Args:
    problem: what was searched.
    relaxation: as in the search.
    tune: makes the loop of the fine-tuning, for the problem of `Fixed` batches.
    batches: of the "alpha" part, the same for all candidates of an edge.
    tune_steps: after each decision. The authors take epochs: 10 on the DARTS space, 25 on
      NAS-Bench-201 (unverified).
    seed: of the order.

  Raises:
    DnasError: an argument out of range.

  Source: DARTS-PT (Wang et al. 2021, arXiv:2108.04392), algorithm 1 and section 4.2. The criterion
  is the loss, one of the two of the authors' code (ruocwang/darts-pt, nasbench201/projection.py,
  `proj_crit`); as there batch norms use the batch's statistics and the learning rate starts from a
  tenth (see `method.tuning`).
  """
  check_count("projection: batches", batches, 1)
  check_count("projection: tune_steps", tune_steps, 0)
  space, wrapped = problem.space, fixable(problem)

  @jax.jit
  def relaxed(alpha):
    return relax(relaxation, jax.random.key(seed), alpha, jnp.float32(1), space)

  @jax.jit
  def measure(search: SearchState, batch: Fixed):
    key = jax.random.fold_in(search.key, search.step)
    relax_key, loss_key = jax.random.split(key)
    weights = relax(relaxation, relax_key, search.alpha, jnp.float32(1), space)
    args = search.params, search.stats, weights, batch, loss_key, True, jnp.float32(1)
    return wrapped.loss(*args)[0]

  machine, decisions = tune(wrapped), _decisions(space, seed)
  steps = _Steps(space, machine, decisions, batches, batches + tune_steps, relaxed, measure)
  return Projection(
    len(decisions) * steps.each,
    functools.partial(_start, space, machine),
    steps.step,
    functools.partial(_genotype, space),
  )


@dataclasses.dataclass(frozen=True)
class _Steps:
  """The steps of a projection; see `projector`.

  Attributes:
    space: what was searched.
    machine: the loop of the fine-tuning.
    decisions: of `_decisions`.
    batches: trial steps of a decision.
    each: steps of a decision in all.
    relaxed: alpha -> mixing weights.
    measure: (state of the search, `Fixed` batch) -> loss.
  """

  space: SearchSpace
  machine: Bilevel
  decisions: list[tuple[str, int | list[int]]]
  batches: int
  each: int
  relaxed: Callable[[Any], Any]
  measure: Callable[[SearchState, Fixed], jax.Array]

  def step(self, i: int, state: Projecting, weight_batch: Any, alpha_batch: Any):
    turn, place = divmod(i - 1, self.each)
    if place >= self.batches:
      return self._tune(state, weight_batch, alpha_batch)
    return self._try(*self.decisions[turn], place, state, alpha_batch)

  def _tune(self, state: Projecting, weight_batch: Any, alpha_batch: Any):
    fixed = [Fixed(b, state.free, state.fixed) for b in (weight_batch, alpha_batch)]
    search, report = self.machine.step(state.search, *fixed)
    return dataclasses.replace(state, search=search, step=state.step + 1), report

  def _try(
    self, name: str, edges: int | list[int], place: int, state: Projecting, alpha_batch: Any
  ):
    """Adds up the loss without each candidate; after the last batch, decides."""
    now = self.relaxed(state.search.alpha)[name]
    without = lambda e, weights: Fixed(
      alpha_batch, _at(state.free, name, e, 0), _at(state.fixed, name, e, weights)
    )
    trials = _trials(self.space, name, edges, now, state)
    loss = jnp.stack([self.measure(state.search, without(*trial)) for trial in trials])
    sound = jnp.isfinite(loss)
    before = state.losses if place else jnp.zeros_like(state.losses)
    # Of what has no number nothing is known: it must not be what the supernet misses most.
    losses = before.at[: len(loss)].add(jnp.where(sound, loss, -jnp.inf))
    state = dataclasses.replace(state, losses=losses, step=state.step + 1)
    if place == self.batches - 1:
      if isinstance(edges, int):
        state = _decide_edge(self.space, name, edges, now[edges], losses[: len(loss)], state)
      else:
        state = _drop_edges(self.space, name, edges, losses[: len(loss)], state)
    return state, {"trial_loss": jnp.mean(loss), "skipped": (~sound.all()).astype(jnp.int32)}


def run(projection: Projection, state: SearchState, draw: Callable[[str, int], Any]) -> SearchSpace:
  """A whole projection; `draw` gives the i-th batch of "weights" or "alpha"."""
  now = projection.init(state)
  for i in range(1, projection.steps + 1):
    now, _ = projection.step(i, now, draw("weights", i), draw("alpha", i))
  return projection.genotype(now)


def _decisions(space: SearchSpace, seed: int) -> list[tuple[str, int | list[int]]]:
  """In order: (cell, edge) whose operation, then (cell, edges) of which some, are decided."""
  rng = np.random.default_rng(seed)
  edges = [(name, e) for name in space.searched for e in range(len(space.cells[name].edges))]
  nodes = [(name, node) for name in space.searched for node in space.cells[name].nodes]
  found: list[tuple[str, int | list[int]]] = [edges[n] for n in rng.permutation(len(edges))]
  for n in rng.permutation(len(nodes)):
    name, node = nodes[n]
    incoming = list(space.cells[name].incoming(node))
    if space.cells[name].kept(node) < len(incoming):
      found.append((name, incoming))
  return found


def _trials(space, name: str, edges: int | list[int], now, state: Projecting):
  """(edge, its weights) for each candidate that is taken away."""
  if not isinstance(edges, int):
    return [(e, 0 * state.fixed[name][e]) for e in edges]
  cell = space.cells[name]
  ops = cell.edges[edges].ops
  without = lambda op: now[edges].at[ops.index(op)].set(0)
  return [(edges, without(op)) for op in cell.candidates(cell.edges[edges])]


def _decide_edge(space, name: str, e: int, now, losses, state: Projecting) -> Projecting:
  """The operation without which the loss is largest gets the weight of all."""
  cell = space.cells[name]
  ops = cell.edges[e].ops
  places = jnp.array([ops.index(op) for op in cell.candidates(cell.edges[e])], jnp.int32)
  best = places[jnp.argmax(losses)]
  # The weight of all: 1 on the simplex, or the edge's share of its node.
  weights = jnp.where(jnp.arange(len(ops)) == best, now.sum(), 0)
  return dataclasses.replace(
    state,
    free=_at(state.free, name, e, 0),
    fixed=_at(state.fixed, name, e, weights),
    chosen=_at(state.chosen, name, e, best),
  )


def _drop_edges(space, name: str, edges: list[int], losses, state: Projecting) -> Projecting:
  """Drops those edges of a node without which the loss is smallest."""
  cell = space.cells[name]
  kept = cell.kept(cell.edges[edges[0]].dst)
  rank = jnp.argsort(jnp.argsort(-losses, stable=True))
  fixed, chosen = state.fixed, state.chosen
  for place, e in enumerate(edges):
    stays = rank[place] < kept
    fixed = _at(fixed, name, e, jnp.where(stays, fixed[name][e], 0))
    chosen = _at(chosen, name, e, jnp.where(stays, chosen[name][e], -1))
  return dataclasses.replace(state, fixed=fixed, chosen=chosen)


def _at(tree: Any, name: str, e: int, value: Any) -> Any:
  """The tree, of one array per edge, with another value at one edge."""
  each = list(tree[name])
  each[e] = jnp.broadcast_to(jnp.asarray(value, each[e].dtype), each[e].shape)
  return {**tree, name: tuple(each)}


def _start(space: SearchSpace, machine: Bilevel, state: SearchState) -> Projecting:
  """Weights, alpha and progress of the search, optimisers as at a beginning, nothing decided."""
  fresh = machine.init(state.key)
  own = lambda tree: jax.tree.map(lambda x: jnp.array(x, copy=True), tree)
  taken = {name: own(getattr(state, name)) for name in ("params", "stats", "alpha", "step")}
  cells = {name: space.cells[name] for name in space.searched}
  of_edges = lambda value: {n: tuple(map(value, cell.edges)) for n, cell in cells.items()}
  most = max(
    max(len(cell.edges), *(len(edge.ops) for edge in cell.edges)) for cell in cells.values()
  )
  return Projecting(
    dataclasses.replace(fresh, **taken),
    free=of_edges(lambda edge: jnp.ones((), jnp.float32)),
    fixed=of_edges(lambda edge: jnp.zeros(len(edge.ops), jnp.float32)),
    chosen=of_edges(lambda edge: jnp.full((), -1, jnp.int32)),
    losses=jnp.zeros(most, jnp.float32),
    step=jnp.zeros((), jnp.int32),
  )


def _genotype(space: SearchSpace, state: Projecting) -> SearchSpace:
  """What was decided."""
  chosen = jax.device_get(state.chosen)
  ops = lambda name: zip(space.cells[name].edges, map(int, chosen[name]), strict=True)
  return space.decide({n: [e.ops[o] if o >= 0 else None for e, o in ops(n)] for n in chosen})
