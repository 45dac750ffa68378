# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Discretisation by perturbation: edge by edge the operation without which the supernet is worst.

An architecture weight need not say what an operation is worth; taking the operation away does.
"""

import dataclasses
from collections.abc import Callable, Sequence
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


def projector(
  problem: Problem,
  relaxation: Relaxation,
  tune: Callable[[Problem], Bilevel],
  *,
  batches: int = 4,
  tune_steps: int = 20,
  seed: int = 0,
) -> Callable[[SearchState, Callable[[str], Any]], SearchSpace]:
  """(state, draw) -> genotype: edges in random order, then which edges stay, tuned in between.

  For each edge: op = argmax over o of loss(supernet without o on this edge), its weight set to 0
  and the others' left as they are. Where a cell keeps k edges per node, its nodes follow in random
  order: those k edges stay without which the loss is largest. `state` is that at the end of the
  search, and is not changed; `draw` gives the next batch of "weights" or "alpha".

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
  if not batches >= 1 or not tune_steps >= 0:
    raise DnasError(
      f"projection: batches must be 1 or more and tune_steps 0 or more, got {batches}, {tune_steps}"
    )
  space, wrapped = problem.space, fixable(problem)
  machine = tune(wrapped)

  @jax.jit
  def relaxed(alpha, key):
    return relax(relaxation, key, alpha, jnp.float32(1), space)

  @jax.jit
  def measure(params, stats, alpha, batch, key):
    relax_key, loss_key = jax.random.split(key)
    weights = relax(relaxation, relax_key, alpha, jnp.float32(1), space)
    return wrapped.loss(params, stats, weights, batch, loss_key, True, jnp.float32(1))[0]

  def project(state: SearchState, draw: Callable[[str], Any]) -> SearchSpace:
    rng = np.random.default_rng(seed)
    run = _Projection(space, measure, draw, batches, _start(machine, state))
    edges = [(name, e) for name in run.free for e in range(len(space.cells[name].edges))]
    nodes = [(name, node) for name in run.free for node in space.cells[name].nodes]
    for n in rng.permutation(len(edges)):
      name, e = edges[n]
      run.decide_edge(name, e, relaxed(run.state.alpha, jax.random.key(seed))[name][e])
      run.tune(machine, tune_steps)
    for n in rng.permutation(len(nodes)):
      if run.drop_edges(*nodes[n]):
        run.tune(machine, tune_steps)
    return space.decide(run.choices)

  return project


class _Projection:
  """One projection under way: what is decided, and the state of the fine-tuning."""

  def __init__(self, space: SearchSpace, measure: Callable, draw: Callable, batches: int, state):
    self.space, self.measure, self.draw, self.batches = space, measure, draw, batches
    self.state = state
    edges = {name: space.cells[name].edges for name in space.searched}
    self.free = {n: [np.float32(1)] * len(several) for n, several in edges.items()}
    self.fixed = {n: [np.zeros(len(e.ops), np.float32) for e in s] for n, s in edges.items()}
    self.choices: dict[str, list[str | None]] = {n: [None] * len(s) for n, s in edges.items()}

  def decide_edge(self, name: str, e: int, weights: Any) -> None:
    """The operation without which the loss is largest gets the weight of all."""
    cell, now = self.space.cells[name], np.asarray(weights)
    ops = cell.edges[e].ops
    one = lambda op: np.arange(now.size) == ops.index(op)
    candidates = cell.candidates(cell.edges[e])
    losses = self._losses(name, [(e, np.where(one(op), 0, now)) for op in candidates])
    best = candidates[int(np.argmax(losses))]
    self.choices[name][e] = best
    self.free[name][e] = np.float32(0)
    # The weight of all: 1 on the simplex, or the edge's share of its node.
    self.fixed[name][e] = (now.sum() * one(best)).astype(np.float32)

  def drop_edges(self, name: str, node: int) -> bool:
    """Drops those edges of a node without which the loss is smallest; whether there were any."""
    cell = self.space.cells[name]
    incoming = cell.incoming(node)
    if cell.kept(node) == len(incoming):
      return False
    losses = self._losses(name, [(e, 0 * self.fixed[name][e]) for e in incoming])
    for place in np.argsort(-np.asarray(losses), kind="stable")[cell.kept(node) :]:
      e = incoming[place]
      self.choices[name][e], self.fixed[name][e] = None, 0 * self.fixed[name][e]
    return True

  def tune(self, machine: Bilevel, steps: int) -> None:
    """Trains what is left, with what is decided held."""
    for _ in range(steps):
      weight_batch, alpha_batch = (self._batch(self.draw(part)) for part in ("weights", "alpha"))
      self.state, _ = machine.step(self.state, weight_batch, alpha_batch)

  def _losses(self, name: str, trials: Sequence[tuple[int, np.ndarray]]) -> list[float]:
    """The mean loss with the weights of one edge set, for each trial on the same batches."""
    held = [self.draw("alpha") for _ in range(self.batches)]
    state, losses = self.state, []
    key = jax.random.fold_in(state.key, state.step)
    for e, weights in trials:
      before = self.free[name][e], self.fixed[name][e]
      self.free[name][e], self.fixed[name][e] = np.float32(0), weights.astype(np.float32)
      each = [
        self.measure(state.params, state.stats, state.alpha, self._batch(b), key) for b in held
      ]
      self.free[name][e], self.fixed[name][e] = before
      losses.append(float(np.mean(jax.device_get(each))))
    return losses

  def _batch(self, batch: Any) -> Fixed:
    now = [{n: tuple(v) for n, v in each.items()} for each in (self.free, self.fixed)]
    return Fixed(batch, *now)


def _start(machine: Bilevel, state: SearchState) -> SearchState:
  """The state of the fine-tuning: weights and alpha of the search, optimisers as at a beginning."""
  fresh = machine.init(state.key)
  own = lambda tree: jax.tree.map(lambda x: jnp.array(x, copy=True), tree)
  taken = {name: own(getattr(state, name)) for name in ("params", "stats", "alpha")}
  return dataclasses.replace(fresh, **taken)
