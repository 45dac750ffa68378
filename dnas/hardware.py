# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.cost`: what the network that is searched for may cost, on the device at hand.

    config.cost = dict(latency_ms=5.0)                          # a budget that the result keeps
    config.cost = dict(objective=dict(name="linear", reference=5.0), priced="latency_ms")

The costs are those of the network that is trained (`config.train.network`). Latency is measured,
operation by operation, into `latency.json` of the run's folder or the file `config.cost.table`.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from dnas import naming
from dnas import task as tasks
from dnas.config import Config
from dnas.cost import energy, objective
from dnas.cost.latency import LatencyTable, Protocol
from dnas.cost.model import KINDS, CostModel
from dnas.errors import ConfigError, DnasError, check_number, choose_from
from dnas.nn import places
from dnas.schema import build, complete, get
from dnas.space import macro
from dnas.space.space import SearchSpace
from dnas.strategy import budgets, pricing
from dnas.task import timing


@dataclasses.dataclass(frozen=True)
class Priced:
  """What a search needs to know of cost.

  Attributes:
    costs: the models that are watched.
    budgets: name of a cost -> the most that is allowed.
    pricing: the costs as part of the loss of alpha.
  """

  costs: Mapping[str, CostModel]
  budgets: Mapping[str, float]
  pricing: pricing.Pricing


def settings_of(config: Config) -> ConfigDict | None:
  """`config.cost` with every field; None where it asks for nothing.

  Raises:
    ConfigError: a field is unknown, or does not go with the rest of the config.
  """
  settings = complete("cost", get(config, "cost") or {})
  limited = [name for name in KINDS if settings[name] is not None]
  if not limited and settings.objective is None:
    return None
  _check(config, settings, limited)
  return settings


def watched(settings: Config) -> tuple[str, ...]:
  """The costs that have a budget or are priced."""
  priced = settings.priced if settings.objective is not None else None
  return tuple(name for name in KINDS if settings[name] is not None or name == priced)


def _check(config: Config, settings: Config, limited: list[str]) -> None:
  search = config.search
  if search.get("strategy") is not None:
    raise ConfigError(
      "config.cost is for searches by gradient; a strategy has config.search.costs and its scores"
    )
  if settings.objective is not None:
    if settings.priced not in KINDS:
      raise ConfigError(choose_from("name in config.cost.priced:", settings.priced, KINDS))
    if (named := naming.name_of(settings.objective)) in objective.REWARDS:
      raise ConfigError(
        f"config.cost.objective: {named} is a reward for black-box strategies; "
        f"valid here: {', '.join(objective.LOSSES)}"
      )
    if search.get("projection") is not None:
      raise ConfigError(
        "config.cost.objective: cannot be combined with search.projection, which looks at the loss"
      )
  for name in limited:
    check_number(f"config.cost.{name}", settings[name], kind=ConfigError)
  if get(config, "train.macs") is not None:
    raise ConfigError("config.cost: cannot be combined with train.macs, which changes the widths")
  if limited:
    for name in ("projection", "stop"):
      if search.get(name) is not None:
        raise ConfigError(f"config.cost.{limited[0]}: cannot be combined with search.{name}")
    last = {**search, **(stages[-1] if (stages := search.get("stages")) else {})}
    decides = naming.name_of(last["discretize"])
    if decides not in ("argmax", "top_k_edges"):
      raise ConfigError(
        f"config.cost.{limited[0]}: needs search.discretize argmax or top_k_edges, whose strengths "
        f"a budget maximises, got {decides!r}"
      )
  if "latency_ms" in watched(settings):
    check_measurable(config)
  if settings.latency_ms is not None and get(config, "seeds") > 1:
    raise ConfigError("config.cost.latency_ms: one seed at a time, so that each can be measured")
  protocol(config)


def check_measurable(config: Config) -> None:
  """ConfigError unless latency is measured in the type that the network computes in."""
  if (dtype := config.task.get("dtype", "float32")) != "float32":
    raise ConfigError(
      f"config.task.dtype = {dtype!r}: latency is measured in float32 as yet; valid with a latency "
      "in config.cost: 'float32'"
    )


def protocol(config: Config) -> Protocol:
  """The protocol of the measurements that the config asks for."""
  return build(Protocol, "config.cost.latency", get(config, "cost.latency"))


def trained(config: Config, space: SearchSpace) -> SearchSpace:
  """The space in the network that its genotypes are trained in."""
  network = get(config, "train.network")
  if network is None:
    return space
  return naming.bind(network, macro, space, field="config.train.network")


def pricer(
  config: Config,
  task: tasks.Task,
  workdir: pathlib.Path,
  fill: Callable[[SearchSpace, LatencyTable], None] | None = None,
) -> Callable[..., Priced | None]:
  """space -> what a search of it needs to know of cost; None where `config.cost` asks for nothing.

  The function also takes `accumulate` (1), the batches to an update of alpha: the multipliers move
  with each batch, by as much less. Latency is measured when first asked for, unless the table has
  it.

  Args:
    config: of the search.
    task: of the search.
    workdir: gets `latency.json`, unless `config.cost.table` is another file.
    fill: see `timing.latency_model`.

  Raises:
    ConfigError: `config.cost` is wrong; when called, DnasError: a budget is out of reach.
  """
  settings: Config = settings_of(config)
  if settings is None:
    return lambda space, accumulate=1: None
  limits = {name: float(settings[name]) for name in KINDS if settings[name] is not None}
  wanted = watched(settings)
  goal = None
  if settings.objective is not None:
    goal = naming.bind(settings.objective, objective, field="config.cost.objective")

  def price(space: SearchSpace, accumulate: int = 1) -> Priced:
    network = trained(config, space)
    found = timing.places_of(task, network)
    costs: dict[str, CostModel] = {**places.counts(network, found)}
    if "energy_mj" in wanted:
      costs["energy_mj"] = places.energy_estimate(network, found, **settings.energy)
    budgets.check(network, costs, {n: b for n, b in limits.items() if n in costs})
    if "latency_ms" in wanted:
      table = LatencyTable(settings.table or workdir / "latency.json", protocol(config))
      costs["latency_ms"] = timing.latency_model(task, network, table, fill=fill)
      budgets.check(network, costs, limits)
    costs = {name: costs[name] for name in wanted}
    rate = settings.rate and settings.rate / accumulate
    made = pricing.pricing(costs, limits, goal, settings.priced, rate)
    return Priced(costs, limits, made)

  return price


def energies(
  config: Config,
  task: tasks.Task,
  space: SearchSpace,
  genotype: SearchSpace,
  given: Protocol,
  seconds: float,
) -> tuple[float, float | str]:
  """Millijoules an image: the estimate; and as measured, or why nothing can be measured here.

  Args:
    config: `config.cost.energy` has the estimate's arguments.
    task: of the config.
    space: as trained.
    genotype: of the space.
    given: whose batch is run.
    seconds: for how long it is measured.

  Raises:
    SpaceError: the genotype is not of the space.
  """
  found = timing.places_of(task, space)
  estimate = places.energy_estimate(space, found, **get(config, "cost.energy")).of(genotype)
  try:
    energy.check_counters()
    measured = energy.measure_mj(timing.network_program(task, genotype, given.batch), seconds)
  except DnasError as error:
    return estimate, str(error)
  return estimate, measured / given.batch
