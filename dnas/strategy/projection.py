# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Discretisation by perturbation: edge by edge the operation without which the supernet is worst.

An architecture weight need not say what an operation is worth; taking the operation away does.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import relax
from dnas.strategy.bilevel import Bilevel, Problem, SearchState
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

  return Problem(problem.space, problem.init, loss)


def project(
  problem: Problem,
  relaxation: Relaxation,
  state: SearchState,
  draw: Callable[[str], Any],
  tune: Callable[[Problem], Bilevel],
  *,
  batches: int = 4,
  tune_steps: int = 20,
  seed: int = 0,
) -> SearchSpace:
  """Decides the edges in random order, then which edges stay; fine-tunes after each decision.

  For each edge: op = argmax over o of loss(supernet without o on this edge), its weight set to 0
  and the others' left as they are. Where a cell keeps k edges per node, its nodes follow in random
  order: those k edges stay without which the loss is largest.

  Args:
    problem: what was searched.
    relaxation: as in the search.
    state: at the end of the search; not changed.
    draw: "weights" or "alpha" -> the next batch of this part of the data.
    tune: makes the loop of the fine-tuning, for the problem of `Fixed` batches.
    batches: of the "alpha" part, the same for all candidates of an edge.
    tune_steps: after each decision but the last. The authors take epochs: 10 on the DARTS space, 25
      on NAS-Bench-201.
    seed: of the order.

  Raises:
    DnasError: an argument out of range.

  Source: DARTS-PT (Wang et al. 2021, arXiv:2108.04392), algorithm 1 and section 4.2. The criterion
  is the loss, one of the two of the authors' code (ruocwang/darts-pt, nasbench201/projection.py,
  `proj_crit`; accuracy is its default); as there batch norms use the batch's statistics and the
  learning rate starts from a tenth (see `method.tuning`).
  """
  if not batches >= 1 or not tune_steps >= 0:
    raise DnasError(
      f"projection: batches must be 1 or more and tune_steps 0 or more, got {batches}, {tune_steps}"
    )
  space, rng = problem.space, np.random.default_rng(seed)
  wrapped = fixable(problem)
  machine = tune(wrapped)
  state = _start(machine, state)
  free = {n: [np.float32(1)] * len(space.cells[n].edges) for n in space.searched}
  fixed = {n: [np.zeros(len(e.ops), np.float32) for e in space.cells[n].edges] for n in free}

  @jax.jit
  def measure(params, stats, alpha, batch, key):
    relax_key, loss_key = jax.random.split(key)
    weights = relax(relaxation, relax_key, alpha, jnp.float32(1), space)
    return wrapped.loss(params, stats, weights, batch, loss_key, True, jnp.float32(1))[0]

  @jax.jit
  def relaxed(alpha, key):
    return relax(relaxation, key, alpha, jnp.float32(1), space)

  def as_batch(batch: Any) -> Fixed:
    return Fixed(batch, *({n: tuple(v) for n, v in x.items()} for x in (free, fixed)))

  def loss_without(state: SearchState, name: str, e: int, weights: np.ndarray, held: list) -> float:
    """The loss with the weights of one edge set to `weights`."""
    before = free[name][e], fixed[name][e]
    free[name][e], fixed[name][e] = np.float32(0), weights
    key = jax.random.fold_in(state.key, state.step)
    losses = [measure(state.params, state.stats, state.alpha, as_batch(b), key) for b in held]
    free[name][e], fixed[name][e] = before
    return float(np.mean(jax.device_get(losses)))

  def tuned(state: SearchState) -> SearchState:
    for _ in range(tune_steps):
      alpha_batch = as_batch(draw("alpha"))
      state, _ = machine.step(state, as_batch(draw("weights")), alpha_batch)
    return state

  edges = [(name, e) for name in free for e in range(len(space.cells[name].edges))]
  choices = {name: [None] * len(space.cells[name].edges) for name in free}
  for n in rng.permutation(len(edges)):
    name, e = edges[n]
    cell = space.cells[name]
    now = np.asarray(relaxed(state.alpha, jax.random.key(seed))[name][e])
    held = [draw("alpha") for _ in range(batches)]
    losses = {}
    for op in cell.candidates(cell.edges[e]):
      o = cell.edges[e].ops.index(op)
      losses[op] = loss_without(state, name, e, np.where(np.arange(now.size) == o, 0, now), held)
    op = max(losses, key=lambda op: losses[op])
    choices[name][e] = op
    free[name][e] = np.float32(0)
    # An edge keeps the weight that all its operations had together (its share, with edge weights).
    fixed[name][e] = now.sum() * np.eye(now.size, dtype=np.float32)[cell.edges[e].ops.index(op)]
    state = tuned(state)
  nodes = [(name, node) for name in free for node in space.cells[name].nodes]
  for n in rng.permutation(len(nodes)):
    name, node = nodes[n]
    cell = space.cells[name]
    incoming = cell.incoming(node)
    if cell.kept(node) == len(incoming):
      continue
    held = [draw("alpha") for _ in range(batches)]
    losses = {e: loss_without(state, name, e, 0 * fixed[name][e], held) for e in incoming}
    for e in sorted(incoming, key=lambda e: -losses[e])[cell.kept(node) :]:
      choices[name][e], fixed[name][e] = None, 0 * fixed[name][e]
    state = tuned(state)
  return space.decide(choices)


def _start(machine: Bilevel, state: SearchState) -> SearchState:
  """The state of the fine-tuning: weights and alpha of the search, optimisers as at a beginning."""
  fresh = machine.init(state.key)
  own = lambda tree: jax.tree.map(lambda x: jnp.array(x, copy=True), tree)
  taken = {name: own(getattr(state, name)) for name in ("params", "stats", "alpha")}
  return dataclasses.replace(fresh, **taken)
