# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What `config.search` composes: the functions of a differentiable method on a task and a space."""

import dataclasses
import types
from collections.abc import Callable, Sequence
from typing import Any

import jax

from dnas import data, naming
from dnas import task as tasks
from dnas.config import Config
from dnas.errors import ConfigError, in_field
from dnas.hardware import Priced
from dnas.nn import functional, ops, rows, stacked
from dnas.nn.init import Rngs
from dnas.nn.supernet import PLAIN, Supernet
from dnas.schema import build
from dnas.space import cells, macro
from dnas.space.space import SearchSpace
from dnas.strategy import (
  bilevel,
  budgets,
  diagnostics,
  discretize,
  freezing,
  hypergradient,
  optimizer,
  regularization,
  relaxation,
  schedule,
)
from dnas.strategy.problem import Problem, SearchState
from dnas.strategy.relaxation import Relaxation


@dataclasses.dataclass(frozen=True)
class Method:
  """A method as functions.

  Attributes:
    problem: what is searched.
    relaxation: alpha -> mixing weights.
    machine: the loop's two functions.
    decide: alpha -> genotype, within the budgets as they are predicted.
    levels: 2, or 1 where alpha and weights descend the same loss (`hypergradient=None`).
    stop: dominant eigenvalues -> the index of the one that the search ends with, or None.
  """

  problem: Problem
  relaxation: Relaxation
  machine: bilevel.Bilevel
  decide: discretize.Discretize
  levels: int
  stop: Callable[[Sequence[float]], int | None] | None

  def genotype(self, state: SearchState) -> SearchSpace:
    """What a search in this state is decided as."""
    return self.decide(self.problem.space, jax.device_get(state.decided_by))


def space_of(config: Config) -> SearchSpace:
  """The search space of a config: its cells in the network of the search."""
  space = naming.bind(config.space, cells, field="config.space")
  for cell in space.cells.values():
    for name in sorted({op for edge in cell.edges for op in edge.ops}):
      naming.resolve(name, ops, field="config.space")  # An unknown operation is found now.
  return naming.bind(config.search.network, macro, space, field="config.search.network")


def task_of(config: Config, source: data.Source) -> tasks.Task:
  """The task of a config, on a data source."""
  return naming.bind(config.task, tasks, source, tuple(config.data.size), field="config.task")


def problem(
  task: tasks.Task,
  space: SearchSpace,
  supernet: Supernet = PLAIN,
  drops: schedule.Drops = schedule.NO_DROPS,
) -> Problem:
  """A task on a supernet, as the functions that the search knows."""
  module = task.build(space, Rngs(None), supernet=supernet)
  (static, _, _), layout = functional.split(module), stacked.layout(module)

  def init(key: jax.Array):
    _, params, stats = functional.split(task.build(space, Rngs(key), supernet=supernet))
    return layout.pack(params), layout.pack(stats)

  def loss(params, stats, weights, batch, key, train: bool, progress=0.0):
    mode = schedule.mode_at(progress, train, key, supernet, drops)
    with rows.remembered():
      network = static.merge(layout.unpack(params), layout.unpack(stats))
      value, metrics = task.loss(network, weights, batch, mode)
      return value, (layout.pack(functional.stats_of(network)), metrics)

  return Problem(space, init, loss, layout)


def supernet_of(settings: Config) -> Supernet:
  """The supernet that the settings describe."""
  return build(Supernet, "config.search.supernet", settings.supernet)


def make(
  settings: Config, task: tasks.Task, space: SearchSpace, priced: Priced | None = None
) -> Method:
  """The functions that the settings of a search compose, checked.

  Args:
    settings: of `settings_of`.
    task: what the network is for.
    space: what is searched.
    priced: what `config.cost` asks for.

  Raises:
    DnasError: a name, an argument or a combination is wrong.
  """
  drops = schedule.Drops(settings.drop_path, settings.skip_dropout)
  return compose(settings, problem(task, space, supernet_of(settings), drops), priced)


def compose(settings: Config, what: Problem, priced: Priced | None = None) -> Method:
  """`make` for a problem that is there already."""
  space = what.space
  relax = _bound(settings, "relaxation", relaxation)
  machine = _machine(
    settings,
    what,
    relax,
    settings.weight_optimizer,
    warmup_steps=settings.warmup_steps,
    pricing=None if priced is None else priced.pricing,
    average=settings.average,
  )
  decide = _bound(settings, "discretize", discretize)
  if priced is not None and priced.budgets:
    decide = budgets.within(decide, priced.costs, priced.budgets)
  if priced is not None and naming.name_of(settings.relaxation) == "score_function":
    kept = [name for name in space.searched if space.cells[name].keep is not None]
    if kept:
      raise ConfigError(
        f"config.cost: score_function has no gradient of the expected cost of cell {kept[0]}, "
        "which keeps some edges a node; choose another relaxation"
      )
  stop = None
  if settings.stop is not None:
    stop = naming.resolve(settings.stop, diagnostics, given=1, field="config.search.stop")
    with in_field("config.search.stop"):
      stop([0.0])  # Its arguments are checked now.
  return Method(what, relax, machine, decide, 1 if settings.hypergradient is None else 2, stop)


def _machine(
  settings: Config, what: Problem, relax: Relaxation, weight_optimizer: Any, **more: Any
) -> bilevel.Bilevel:
  """The loop that the settings describe, but for what is given."""
  optional = lambda name, module: None if settings[name] is None else _bound(settings, name, module)
  optimized = lambda name, spec: optimizer_of(
    spec, settings.steps, settings.accumulate, f"config.search.{name}"
  )
  return bilevel.bilevel(
    what,
    relax,
    optional("hypergradient", hypergradient),
    optimized("weight_optimizer", weight_optimizer),
    optimized("alpha_optimizer", settings.alpha_optimizer),
    steps=settings.steps,
    edge_weights=settings.edge_weights,
    penalties=[
      naming.bind(spec, regularization, field=f"config.search.penalties[{n}]")
      for n, spec in enumerate(settings.penalties)
    ],
    perturbation=optional("perturbation", regularization),
    weight_penalty=optional("weight_penalty", regularization),
    freezing=optional("freezing", freezing),
    **more,
  )


def _bound(settings: Config, name: str, module: types.ModuleType) -> Any:
  """What the field `name` of `config.search` names in a module."""
  return naming.bind(settings[name], module, field=f"config.search.{name}")


def optimizer_of(spec: Any, steps: int, accumulate: int, field: str) -> optimizer.Optimizer:
  """The optimiser that `spec`, in the config's `field`, names, over `steps` batches.

  `accumulate` of them make one update, and its schedule is as long as there are updates.
  """
  opt = naming.bind(spec, optimizer, steps=steps // accumulate, field=field)
  return optimizer.accumulated(opt, accumulate)


def tuning(settings: Config) -> Callable[[Problem], bilevel.Bilevel]:
  """The loop of the fine-tuning between the decisions of a projection.

  As the search at its end, with a tenth of the learning rate of the weights.
  """
  if settings.hypergradient is None:
    raise ConfigError(
      "config.search.projection: fine-tunes on both parts of the data, so it needs a hypergradient"
    )
  if "lr" not in settings.weight_optimizer:
    raise ConfigError(
      "config.search.projection: fine-tunes with a tenth of the learning rate, so "
      "config.search.weight_optimizer must set lr"
    )
  spec = {**dict(settings.weight_optimizer), "lr": settings.weight_optimizer.lr / 10}

  return lambda what: _machine(settings, what, _bound(settings, "relaxation", relaxation), spec)
