# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One-shot estimates: every candidate takes its weights from one supernet, trained path by path.

    problem = method.problem(task, space, Supernet(single_path=True))
    params, stats = train(problem, optimizer.sgd(steps=1000), batches, steps=1000, seed=0)
    evaluator = OneShot(problem, params, stats, calibration, validation)

With `Supernet(single_path=True)` only the sampled path is computed, by `lax.switch`; on a CPU all
operations are, at weights of 0 and 1 (see `dnas.nn.supernet`).

Source: SPOS, Guo et al. 2020 (arXiv:1904.00420), sections 3.2 and 3.4.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dnas.errors import DnasError
from dnas.estimate import path
from dnas.space.space import SearchSpace
from dnas.strategy.bilevel import Problem
from dnas.strategy.optimizer import Optimizer


def train(
  problem: Problem, opt: Optimizer, batches: Iterable[Any], *, steps: int, seed: int
) -> tuple[Any, Any]:
  """min over w of E_a loss(w, a): each step trains one genotype a ~ Uniform(space).

  Operations off the path get gradient 0; weight decay and momentum move them all the same.

  Args:
    problem: a task on a supernet.
    opt: moves the weights.
    batches: at least `steps` of them.
    steps: how many.
    seed: of the initial weights and of the paths.

  Returns:
    Weights and batch statistics.

  Raises:
    DnasError: the batches end early, or the loss is NaN or infinite at the end.
  """
  if steps < 1:
    raise DnasError(f"one_shot: steps must be 1 or more, got {steps}")
  key, rng = jax.random.key(seed), random.Random(seed)
  params, stats = jax.tree.map(jnp.array, problem.init(key))
  state = opt.init(params)

  def step(params, stats, state, weights, batch, key):
    loss = lambda params: problem.loss(params, stats, weights, batch, key, True)
    (value, (stats, _)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, state = opt.update(gradient, state, params)
    return optax.apply_updates(params, updates), stats, state, value

  compiled, value, iterator = jax.jit(step), jnp.zeros(()), iter(batches)
  for i in range(steps):
    batch = next(iterator, None)
    if batch is None:
      raise DnasError(f"one_shot: {i} batches for {steps} steps; give as many or more")
    weights = path.one_hot(problem.space, problem.space.sample(rng))
    noise = jax.random.fold_in(key, i)
    params, stats, state, value = compiled(params, stats, state, weights, batch, noise)
  if not bool(jnp.isfinite(value)):
    raise DnasError(f"one_shot: the loss is {float(value)} after {steps} steps: lower the rate")
  return params, stats


class OneShot:
  """An `Evaluator`: a genotype's metrics on the validation batches, with the supernet's weights.

  The batch statistics of the supernet are those of a mixture of paths. Each candidate gets its own:
  the mean, over the calibration batches, of the statistics of each batch on the candidate's path.

  "score" is the metric `accuracy` if the task has it, else minus the loss.

  Args:
    problem: a task on a supernet.
    params, stats: its weights and batch statistics, from `train` or a search.
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
    weights = path.one_hot(self.problem.space, genotype)
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
