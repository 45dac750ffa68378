# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searching: a config -> a genotype, by the differentiable bilevel loop."""

import pathlib
from typing import Any

import jax

from dnas import config as configs
from dnas import data, log, runs
from dnas import task as tasks
from dnas.config import Config
from dnas.data.pipeline import Pipeline
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import cells, macro
from dnas.space.space import SearchSpace
from dnas.strategy import bilevel, discretize, hypergradient, optimizer, relaxation

PARTS = ("seed", "data", "task", "space", "search", "checkpoint", "log")


def space_of(config: Config) -> SearchSpace:
  """The search space of a config: its cells in the network of the search."""
  return configs.bind(config.search.network, macro, configs.bind(config.space, cells))


def task_of(config: Config, source: data.Source) -> tasks.Task:
  """The task of a config, on a data source."""
  return configs.bind(config.task, tasks, source, tuple(config.data.size))


def problem(task: tasks.Task, space: SearchSpace) -> bilevel.Problem:
  """A task on a supernet, as the functions that the search knows."""
  static, _, _ = functional.split(task.build(space, Rngs(None)))

  def init(key: jax.Array):
    _, params, stats = functional.split(task.build(space, Rngs(key)))
    return params, stats

  def loss(params, stats, weights, batch, key, train: bool, progress=0.0):
    network = static.merge(params, stats)
    value, metrics = task.loss(network, weights, batch, Mode(train, key))
    return value, (functional.stats_of(network), metrics)

  return bilevel.Problem(space, init, loss)


def search(config: Config, workdir: pathlib.Path, resume: str = "auto") -> SearchSpace:
  """Searches, writes `genotype.json` and returns the genotype.

  The weights are trained on one part of the training split and alpha on the rest
  (`config.search.weight_share`). Killed and started again, the search goes on where it was. A
  space without choices (`cells.genotype`, `cells.sampled`) is its own result.

  Args:
    config: fields as in `configs/digits.py`.
    workdir: the run's folder.
    resume: as in `runs.folder`.

  Raises:
    DnasError: the config, the data or the folder are wrong; before anything is computed.
  """
  settings = config.search
  space = space_of(config)
  source = data.labelled(config.data.spec, config.data.train_split)
  task = task_of(config, source)
  if space.is_genotype:
    task.build(space, Rngs(None))  # An unknown operation is found now, not when it is trained.
    with runs.folder(workdir, config, PARTS, resume):
      log.atomic_write(workdir / "genotype.json", space.to_json())
    return space
  machine = bilevel.bilevel(
    problem(task, space),
    configs.bind(settings.relaxation, relaxation),
    configs.bind(settings.hypergradient, hypergradient),
    configs.bind(settings.weight_optimizer, optimizer, steps=settings.steps),
    configs.bind(settings.alpha_optimizer, optimizer, steps=settings.steps),
    steps=settings.steps,
    warmup_steps=settings.warmup_steps,
  )
  decide = configs.bind(settings.discretize, discretize)
  pipelines = {
    part: Pipeline(
      source=source,
      batch_size=settings.batch_size,
      size=tuple(config.data.size),
      seed=config.seed,
      train=True,
      augment=config.data.augment,
      part=part,
      fraction=settings.weight_share,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      threads=config.data.threads,
    )
    for part in ("weights", "alpha")
  }

  def words(state: bilevel.SearchState) -> str:
    """The cells as they would be decided now."""
    now = decide(space, jax.device_get(state.alpha))
    return "  ".join(f"{name} {now.cells[name]}" for name in space.searched)

  def step(i: int, state: bilevel.SearchState, weight_batch: Any, alpha_batch: Any):
    """While alpha is frozen its batch is not even looked at."""
    return machine.step(state, weight_batch, alpha_batch if i > settings.warmup_steps else None)

  with runs.folder(workdir, config, PARTS, resume):
    state = runs.loop(
      workdir,
      "search",
      machine.init(jax.random.key(config.seed)),
      step,
      pipelines,
      config,
      steps=settings.steps,
      lowers="alpha_loss",
      words=words,
    )
    genotype = decide(space, jax.device_get(state.alpha))
    if jax.process_index() == 0:
      log.atomic_write(workdir / "genotype.json", genotype.to_json())
  return genotype
