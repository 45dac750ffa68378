# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Black-box search: a config -> a genotype, by a strategy that asks and an estimate that answers.

config.search = dict(
  network=..., budget=100, workers=2,
  strategy=dict(name="evolution", population=10),       # dnas/strategy/black_box.py
  estimate=dict(name="short_training", steps=100),      # dnas/estimate/estimates.py
)
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from dnas import config as configs
from dnas import data, naming, process, runs, train
from dnas import task as tasks
from dnas.config import Config
from dnas.errors import ConfigError, check_count, choose_from
from dnas.estimate import estimates
from dnas.fields import plain
from dnas.method import space_of, task_of
from dnas.nn.init import Rngs
from dnas.progress import Count, say
from dnas.schema import complete, get
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box, history, shared
from dnas.strategy.ask_tell import Evaluator, Query

PARTS = ("seed", "seeds", "data", "task", "space", "search", "train", "checkpoint", "log")
COSTS = ("params", "macs")
QUEUE = "queue"


def explore(config: Config, workdir: pathlib.Path, resume: str = "auto") -> SearchSpace:
  """argmax of score over `config.search.budget` candidates; see `dnas.search.search`.

  Leaves `history.jsonl` (a line a candidate) and `genotype.json`. Killed at any moment and started
  again it goes on: nothing that is in the history is evaluated twice.

  Args:
    config: fields as in `configs/strategies/random_search.py`.
    workdir: the run's folder.
    resume: as in `runs.folder`.

  Raises:
    DnasError: the config, the data or the folder are wrong; before anything is computed.
  """
  settings = settings_of(config.search)
  seeds = get(config, "seeds")
  if seeds != 1 or jax.process_count() > 1:
    raise ConfigError(
      "config.search.strategy: takes one seed and one JAX process, got config.seeds = "
      f"{seeds} and {jax.process_count()} processes; config.search.workers evaluate "
      "side by side"
    )
  space = space_of(config)
  strategy = naming.bind(settings.strategy, black_box, space, field="config.search.strategy")
  evaluator = Evaluate(configs.to_json(config), str(workdir))
  ask_tell.check_rungs(strategy, evaluator)
  if missing := [c for c in strategy.costs if c in COSTS and c not in settings.costs]:
    raise ConfigError(
      f"config.search.strategy: needs {', '.join(missing)} of each candidate, but "
      f"config.search.costs = {tuple(settings.costs)}; name them there"
    )
  source = data.labelled(config.data.spec, config.data.train_split)
  task_of(config, source).build(space, Rngs(None))  # An unknown operation is found now.
  with runs.folder(workdir, config, PARTS, resume), contextlib.ExitStack() as stack:
    evaluator.prepare()  # Wrong settings are found, and a supernet is trained, in this process.
    parallel = None
    if settings.elsewhere:
      queue = shared.Executor(workdir / QUEUE, evaluator.config)
      parallel = stack.enter_context(contextlib.closing(queue))
    elif settings.workers:
      parallel = stack.enter_context(process.workers(settings.workers))
    count = Count("query", settings.budget)
    genotype, best = history.search(
      space,
      strategy,
      evaluator,
      workdir,
      budget=settings.budget,
      seed=config.seed,
      executor=parallel,
      ahead=max(settings.workers, 1),
      about={"strategy": plain(settings.strategy), "estimate": plain(settings.estimate)},
      watch=lambda query: count(query.number, _found(query)),
    )
  say(f"best of {settings.budget}: query {best.number}, {_found(best)}")
  runs.say_idle(genotype)
  return genotype


def work(config: Config, workdir: pathlib.Path) -> int:
  """Evaluates candidates for the search that runs in `workdir`, to its end; returns how many.

  Raises:
    ConfigError: no search with this config runs there, or it has `elsewhere` off.
  """
  if config.search.get("strategy") is None or not settings_of(config.search).elsewhere:
    raise ConfigError("--worker: needs config.search.strategy, and config.search.elsewhere=true")
  path = workdir / "config.json"
  if not path.exists():
    raise ConfigError(f"--worker: {path} is missing: start the search itself first")
  before = configs.load(path)
  if changes := configs.diff(before, config):
    raise ConfigError(f"--worker: the search in {workdir} has another config: {'; '.join(changes)}")
  evaluator = Evaluate(configs.to_json(config), str(workdir))
  evaluator.prepare()
  return shared.work(workdir / QUEUE, evaluator)


def settings_of(search: Config) -> Config:
  """`config.search` of a black-box search with every field.

  Raises:
    ConfigError: a field is missing, unknown (those of differentiable methods are) or out of range.
  """
  settings = complete("search", search)
  for name, least in (("budget", 1), ("workers", 0)):
    check_count(f"config.search.{name}", settings[name], least, ConfigError)
  if not isinstance(settings.elsewhere, bool) or (settings.elsewhere and not settings.workers):
    raise ConfigError(
      "config.search.elsewhere: true or false, and with true config.search.workers says how many "
      f"candidates are open at a time; got {settings.elsewhere!r} and {settings.workers}"
    )
  for name in settings.costs:
    if name not in COSTS:
      raise ConfigError(choose_from("name in config.search.costs:", name, COSTS))
  return settings


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """The estimate of a config as an evaluator that can be sent to other processes.

  Attributes:
    config: as JSON.
    workdir: of the run.
  """

  config: str
  workdir: str

  @property
  def rungs(self) -> int:
    """How many lengths the estimate has; known without making it."""
    config: Config = configs.from_json(self.config)
    entry = config.search.estimate
    return estimates.rungs_of(
      naming.resolve(entry, estimates, given=3, field="config.search.estimate")
    )

  def prepare(self) -> Evaluator:
    """The evaluator, made once in each process."""
    return _evaluator(self.config, self.workdir)

  def __call__(self, genotype: SearchSpace, key: Any, *rung: int) -> Mapping[str, float]:
    """The metrics of a genotype, at a rung where the estimate has several."""
    return self.prepare()(genotype, key, *rung)


@functools.lru_cache(maxsize=1)
def _evaluator(text: str, workdir: str) -> Evaluator:
  config: Config = configs.from_json(text, source=f"{workdir}/config.json").lock()
  settings = settings_of(config.search)
  space = space_of(config)
  given = (config, space, pathlib.Path(workdir))
  estimate = naming.bind(settings.estimate, estimates, *given, field="config.search.estimate")
  if not settings.costs:
    return estimate
  task = task_of(config, data.labelled(config.data.spec, config.data.train_split))

  def with_costs(genotype: SearchSpace, key: Any, *rung: int) -> Mapping[str, float]:
    cost = tasks.cost(task, train.derived(config, task, genotype))
    known = {name: float(getattr(cost, name)) for name in settings.costs}
    return {**estimate(genotype, key, *rung), **known}

  return with_costs


def _found(query: Query) -> str:
  at = f" at rung {query.rung}" if query.rung else ""
  return f"score {query.metrics['score']:.5g}{at}"
