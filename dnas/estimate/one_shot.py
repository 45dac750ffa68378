# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One-shot estimates: every candidate takes its weights from one supernet, trained path by path.

    problem = method.problem(task, space, Supernet(single_path=True))
    init, step = make(problem, optimizer.sgd(steps=1000), seed=0)    # a loop over them: a supernet
    evaluator = OneShot(problem, state.params, state.stats, calibration, validation)

With `Supernet(single_path=True)` only the sampled path is computed (see `dnas.nn.supernet`).

Source: SPOS, Guo et al. 2020 (arXiv:1904.00420), sections 3.2 and 3.4.
"""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dnas.errors import DnasError
from dnas.finite import skip_unless_finite
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import one_hot
from dnas.strategy.optimizer import Optimizer
from dnas.strategy.problem import Problem


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """What the training of a supernet carries from step to step.

  Attributes:
    params, stats: weights and batch statistics.
    opt: state of the optimiser.
    step: int32, the number of steps done.
    key: step t draws from fold_in(key, t).
  """

  params: Any
  stats: Any
  opt: Any
  step: jax.Array
  key: jax.Array


def make(problem: Problem, opt: Optimizer, seed: int) -> tuple[Callable, Callable]:
  """min over w of E_a loss(w, a): each step trains one genotype a ~ Uniform(space).

  Operations off the path get gradient 0; weight decay and momentum move them all the same. A step
  whose loss or gradient is NaN or infinite moves nothing, and its metric `skipped` is 1 (else 0).

  Args:
    problem: a task on a supernet.
    opt: moves the weights.
    seed: of the initial weights and of the paths; that of step i is drawn from (seed, i).

  Returns:
    () -> state, and (i, state, batch) -> (state, metrics), i counted from 1: as `runs.loop` has it.
  """

  def init() -> State:
    key = jax.random.key(seed)
    params, stats = jax.tree.map(jnp.array, tuple(problem.init(key)))
    return State(params, stats, opt.init(params), jnp.zeros((), jnp.int32), key)

  def move(state: State, weights: Any, batch: Any):
    key = jax.random.fold_in(state.key, state.step)
    loss = lambda params: problem.loss(params, state.stats, weights, batch, key, True)
    (value, (stats, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = opt.update(gradient, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    report = {**metrics, "loss": value, "grad_norm": optax.tree.norm(gradient)}
    new = State(params, stats, opt_state, state.step + 1, state.key)
    return skip_unless_finite(state, new, report, "loss", "grad_norm")

  compiled = jax.jit(move, donate_argnums=0)

  def step(i: int, state: State, batch: Any):
    genotype = problem.space.sample(random.Random(f"{seed} {i}"))
    return compiled(state, one_hot(problem.space, genotype), batch)

  return init, step


class OneShot:
  """An `Evaluator`: a genotype's metrics on the validation batches, with the supernet's weights.

  The batch statistics of the supernet are those of a mixture of paths. Each candidate gets its own:
  the mean, over the calibration batches, of the statistics of each batch on the candidate's path.

  "score" is the metric `accuracy` if the task has it, else minus the loss.

  Args:
    problem: a task on a supernet.
    params, stats: its weights and batch statistics, trained by `make` or a search.
    calibration: batches for the statistics.
    validation: batches, of equal size, that the weights were not trained on.

  Raises:
    DnasError: there are no batches.
  """

  def __init__(
    self, problem: Problem, params, stats, calibration: Sequence[Any], validation: Sequence[Any]
  ):
    for name, batches in (("calibration", calibration), ("validation", validation)):
      if not len(batches):
        raise DnasError(f"one_shot: {name} holds no batches; give 1 or more")
    self.problem, self.params, self.stats = problem, params, stats
    self.calibration, self.validation = calibration, validation
    self._statistics = jax.jit(self._of_batch)
    self._measure = jax.jit(self._on_batch)

  def __call__(self, genotype: SearchSpace, key: jax.Array) -> dict[str, float]:
    """The metrics of one genotype; SpaceError if it is not in the space."""
    weights = one_hot(self.problem.space, genotype)
    found = [self._statistics(weights, batch, key) for batch in self.calibration]
    stats = jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]) / len(leaves), *found)
    measured = [self._measure(stats, weights, batch, key) for batch in self.validation]
    mean = {name: float(sum(m[name] for m in measured)) / len(measured) for name in measured[0]}
    return {"score": mean.get("accuracy", -mean["loss"]), **mean}

  def _of_batch(self, weights, batch, key):
    """The statistics of one batch.

    A norm that has s moves to m s + (1 - m) b. From s = 0 and s = 1 follow m and b, whatever the
    norm's momentum; the passes share all their work, since none depends on s while training. What
    is not on the path may not move: it stays as it is.
    """

    def moved(start):
      stats = jax.tree.map(lambda leaf: jnp.full_like(leaf, start), self.stats)
      return self.problem.loss(self.params, stats, weights, batch, key, True)[1][0]

    def solve(zero, one, old):
      share = 1 - (one - zero)
      return jnp.where(share > 1e-6, zero / jnp.where(share > 1e-6, share, 1), old)

    return jax.tree.map(solve, moved(0.0), moved(1.0), self.stats)

  def _on_batch(self, stats, weights, batch, key):
    value, (_, metrics) = self.problem.loss(self.params, stats, weights, batch, key, False)
    return {**metrics, "loss": value}
