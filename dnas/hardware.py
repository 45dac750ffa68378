# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.cost`: what the network that is searched for may cost, on the device at hand.

    config.cost = dict(latency_ms=5.0)                          # a budget that the result keeps
    config.cost = dict(objective=dict(name="linear", reference=5.0), priced="latency_ms")

The costs are those of the network that is trained (`config.train.network`). Latency is measured,
operation by operation, into `latency.json` of the run's folder or the file `config.cost.table`.
"""

import dataclasses
import hashlib
import itertools
import json
import pathlib
import random
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dnas import config as configs
from dnas import task as tasks
from dnas.config import Config
from dnas.cost import energy, latency, objective
from dnas.cost.latency import LatencyTable, Protocol
from dnas.cost.model import KINDS, CostModel, computes
from dnas.errors import ConfigError, DnasError, choose_from
from dnas.nn import functional, places, qarepvgg
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import macro
from dnas.space.space import SearchSpace
from dnas.strategy import budgets, pricing

# What a config need not say, with what it then is.
DEFAULTS: dict[str, Any] = {
  # Budgets: the most that the genotype may cost; None: no limit. energy_mj is an estimate.
  **dict.fromkeys(KINDS),
  # A function of dnas/cost/objective.py for gradients, and the cost that it gets.
  "objective": None,
  "priced": "latency_ms",
  # How fast the multipliers of budgets move, a step of alpha.
  "rate": 0.05,
  # A latency table (scripts/profile.py); None: latency.json of the run's folder.
  "table": None,
  # Fields of dnas.cost.latency.Protocol.
  "latency": {},
  # Arguments of dnas.cost.energy.estimate_mj: precision, weights_in, activations_in.
  "energy": {},
}
CALIBRATION = 4  # networks by which a network's overhead is measured


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
  given = dict(config.get("cost", None) or {})
  for name in given:
    if name not in DEFAULTS:
      raise ConfigError(choose_from("field of config.cost:", name, DEFAULTS))
  settings = ConfigDict({**DEFAULTS, **given}, convert_dict=True)
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
    if settings.objective.get("name") in objective.REWARDS:
      raise ConfigError(
        f"config.cost.objective: {settings.objective.name} is a reward for black-box strategies; "
        f"valid here: {', '.join(objective.LOSSES)}"
      )
  for name in limited:
    if isinstance(settings[name], bool) or not isinstance(settings[name], int | float):
      raise ConfigError(f"config.cost.{name} must be a number, got {settings[name]!r}")
  if config.train.macs is not None:
    raise ConfigError("config.cost: cannot be combined with train.macs, which changes the widths")
  if limited:
    for name in ("projection", "stop"):
      if search.get(name) is not None:
        raise ConfigError(f"config.cost.{limited[0]}: cannot be combined with search.{name}")
    if search.discretize.name not in ("argmax", "top_k_edges"):
      raise ConfigError(
        f"config.cost.{limited[0]}: needs search.discretize argmax or top_k_edges, whose strengths "
        f"a budget maximises, got {search.discretize.name!r}"
      )
  if settings.latency_ms is not None and config.get("seeds", 1) > 1:
    raise ConfigError("config.cost.latency_ms: one seed at a time, so that each can be measured")
  protocol(settings)


def protocol(settings: Config) -> Protocol:
  """The protocol of the measurements that the settings ask for."""
  valid = [field.name for field in dataclasses.fields(Protocol)]
  for name in settings.latency:
    if name not in valid:
      raise ConfigError(choose_from("field of config.cost.latency:", name, valid))
  return Protocol(**settings.latency)


def trained(config: Config, space: SearchSpace) -> SearchSpace:
  """The space in the network that its genotypes are trained in."""
  network = config.train.network
  return space if network is None else configs.bind(network, macro, space)


def pricer(
  config: Config, task: tasks.Task, workdir: pathlib.Path
) -> Callable[[SearchSpace], Priced | None]:
  """space -> what a search of it needs to know of cost; None where `config.cost` asks for nothing.

  Latency is measured when first asked for, unless the table has it.

  Raises:
    ConfigError: `config.cost` is wrong; when called, DnasError: a budget is out of reach.
  """
  settings: Config = settings_of(config)
  if settings is None:
    return lambda space: None
  limits = {name: float(settings[name]) for name in KINDS if settings[name] is not None}
  wanted = watched(settings)
  goal = None
  if settings.objective is not None:
    goal = configs.bind(settings.objective, objective)

  def price(space: SearchSpace) -> Priced:
    network = trained(config, space)
    found = places_of(task, network)
    costs: dict[str, CostModel] = {**places.counts(network, found)}
    if "energy_mj" in wanted:
      costs["energy_mj"] = places.energy_estimate(network, found, **settings.energy)
    budgets.check(network, costs, {n: b for n, b in limits.items() if n in costs})
    if "latency_ms" in wanted:
      table = LatencyTable(settings.table or workdir / "latency.json", protocol(settings))
      costs["latency_ms"] = latency_model(task, network, table)
      budgets.check(network, costs, limits)
    costs = {name: costs[name] for name in wanted}
    made = pricing.pricing(costs, limits, goal, settings.priced, settings.rate)
    return Priced(costs, limits, made)

  return price


def places_of(task: tasks.Task, space: SearchSpace) -> places.Places:
  """The candidates of a space in the task's network."""
  model = task.build(space, Rngs(None), search=False)
  return places.places(space, model, task.forward, task.image)


def latency_model(
  task: tasks.Task, space: SearchSpace, table: LatencyTable, calibration: int = CALIBRATION
) -> CostModel:
  """The predicted latency of every genotype; what the table lacks is measured now.

  latency(x) = overhead + sum of the times of the operations that matter; the overhead is the median
  of what whole networks take beyond it, over `calibration` random genotypes.

  Raises:
    DnasError: something is missing and cannot be measured here: see `LatencyTable.add`; or there
      are several processes, which would measure different times.
  """
  found = places_of(task, space)
  key = network_key(task, space, found)
  names = {str(operation): operation for operation in found.operations}
  if jax.process_count() > 1 and not (key in table.overheads and set(names) <= set(table.entries)):
    raise DnasError(
      f"{table.path}: several processes cannot measure one table; make it with one, by "
      "scripts/profile.py latency, and name it in config.cost.table"
    )
  given = table.protocol
  table.add(
    {
      name: lambda operation=operation: places.program(
        operation, given.batch, given.dtype, given.copies
      )
      for name, operation in names.items()
    },
    copies=given.copies,
  )
  model = places.cost_model(
    "latency_ms",
    space,
    found,
    0.0,
    lambda place: table.ms(str(place.operation)),
    dead_is_free=True,
  )
  if key not in table.overheads:
    drawn = sampled(space, calibration, seed=0)
    genotypes = {f"{key}/{i}": genotype for i, genotype in drawn.items()}
    measure_networks(task, genotypes, table)
    whole = np.array([table.ms(name) for name in genotypes])
    parts = np.array([model.of(genotype) for genotype in genotypes.values()])
    table.overheads[key] = max(float(np.median(whole - parts)), 0.0)
    table.write()
  return dataclasses.replace(model, fixed=table.overheads[key])


def sampled(space: SearchSpace, count: int, seed: int) -> dict[int, SearchSpace]:
  """The first `count` random genotypes that compute something, by their number in the sequence.

  A cell whose output depends on no input makes all before it superfluous; compilers leave it out,
  and searches never decide for one.
  """
  rng, found = random.Random(seed), {}
  for number in itertools.count():
    if len(found) == count:
      return found
    genotype = space.sample(rng)
    choices = space.choices(genotype)
    if all(computes(space.cells[name], choices[name]) for name in space.searched):
      found[number] = genotype
  raise AssertionError("unreachable")


def network_key(task: tasks.Task, space: SearchSpace, found: places.Places) -> str:
  """What the overhead belongs to: stages, stem and what else stands around the candidates."""
  around = [space.to_json(), found.params, found.macs, *task.image]
  return "network " + hashlib.sha256(json.dumps(around).encode()).hexdigest()[:12]


def measure_networks(
  task: tasks.Task, genotypes: Mapping[str, SearchSpace], table: LatencyTable
) -> None:
  """Adds the times of whole networks, by name, to the table; those it has are left."""
  table.add(
    {
      name: lambda genotype=genotype: network_program(task, genotype, table.protocol.batch)
      for name, genotype in genotypes.items()
    },
    group=4,
  )


def network_program(task: tasks.Task, genotype: SearchSpace, batch: int) -> Callable[[], Any]:
  """A function that runs a genotype's network once on random images, fused, as a detector runs."""
  module = qarepvgg.fuse(task.build(genotype, Rngs(jax.random.key(0))))
  static, params, stats = functional.split(module)
  images = jax.numpy.asarray(
    np.random.default_rng(0).integers(0, 256, (batch, *task.image, 3), np.uint8)
  )

  @jax.jit
  def run(params, stats, images):
    return task.forward(static.merge(params, stats), {}, images, Mode())

  compiled = run.lower(params, stats, images).compile()
  start = lambda: jax.block_until_ready(compiled(params, stats, images))
  start()
  return start


def energies(
  config: Config,
  task: tasks.Task,
  space: SearchSpace,
  genotype: SearchSpace,
  given: Protocol,
  seconds: float = 10.0,
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
  options = {**DEFAULTS, **dict(config.get("cost", None) or {})}["energy"]
  estimate = places.energy_estimate(space, places_of(task, space), **options).of(genotype)
  try:
    energy.check_counters()
    measured = energy.measure_mj(network_program(task, genotype, given.batch), seconds)
  except DnasError as error:
    return estimate, str(error)
  return estimate, measured / given.batch


def measured_ms(task: tasks.Task, genotype: SearchSpace, given: Protocol) -> float:
  """The latency of a genotype's network now."""
  return latency.measure({"": network_program(task, genotype, given.batch)}, given)[""].ms
