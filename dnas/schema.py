# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a config, section by section: which must be set, and what the others are unset.

Sections that are not here (`task`, `space`, `search.network`, ...) name a function and its
arguments: see `naming.py`. What a field means stands in `configs/digits.py`, or here.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ml_collections import ConfigDict

from dnas.errors import ConfigError, choose_from

T = TypeVar("T")


class Section(NamedTuple):
  """What a section may hold.

  Attributes:
    required: the fields that must be set.
    optional: field -> what it is where it is not set.
  """

  required: tuple[str, ...]
  optional: Mapping[str, Any]


# A search by gradient. What is optional, DARTS has none of.
_SEARCH = Section(
  (
    *("network", "steps", "warmup_steps", "batch_size", "weight_share", "relaxation"),
    *("hypergradient", "weight_optimizer", "alpha_optimizer", "discretize"),
  ),
  {
    # Logits of edges, normalised over those that enter a node (PC-DARTS).
    "edge_weights": False,
    # Functions of dnas/strategy/regularization.py.
    "penalties": (),
    "perturbation": None,
    "weight_penalty": None,
    # A function of dnas/strategy/freezing.py.
    "freezing": None,
    # The last share of the bilevel steps over which alpha is averaged for the decision.
    "average": 0.0,
    # Fields of dnas.nn.supernet.Supernet.
    "supernet": {},
    # So many batches make one update, of the weights and of alpha.
    "accumulate": 1,
    # Drop-path while searching: the rate at the end, rising linearly from 0.
    "drop_path": 0.0,
    # Drop-out behind skip connections: the rate at first, falling to e^-3 of it.
    "skip_dropout": 0.0,
    # Overrides of these settings, one dict a stage, with `keep` and `inherit`: see dnas.search.
    "stages": (),
    # The fields of `search.projection`: a search that ends by perturbation.
    "projection": None,
    # The fields of `search.watch`.
    "watch": {},
    # A function of dnas/strategy/diagnostics.py: (eigenvalues) -> index or None.
    "stop": None,
  },
)

# A search by a strategy that asks and an estimate that answers: see dnas.explore.
_STRATEGY = Section(
  ("network", "strategy", "estimate", "budget"),
  {
    # Processes that evaluate, so many candidates at a time; 0: this one. Part of what is searched:
    # a strategy that asks for two at once knows less when it asks for the second.
    "workers": 0,
    # True: those processes are started by hand, on any machines that share the run's folder, with
    # the same command line and `--worker`. One that dies loses an evaluation, which another
    # repeats.
    "elsewhere": False,
    # "params", "macs": of the network that a candidate would be trained in, among its metrics.
    "costs": (),
  },
)

_SECTIONS = {
  "": Section(
    ("seed", "data", "task", "checkpoint", "log"),
    {
      # So many searches (seed, seed + 1, ...) at once, in one program.
      "seeds": 1,
      "mesh": {},
      "space": None,
      "search": None,
      "cost": {},
      "train": None,
      "evaluate": None,
    },
  ),
  # Devices: seeds are split over `seed`, batches over `data` (-1: all that are left).
  "mesh": Section((), {"seed": 1, "data": -1}),
  "data": Section(
    ("spec", "size", "train_split", "augment", "threads"),
    # See dnas.data.pipeline.Pipeline.
    {"content": None, "interpolation": "area"},
  ),
  # Every so many steps the search is observed (dnas.strategy.observe), with so many Hessian-vector
  # products on one batch; 0: never, none. The agreement is that of so many genotypes. Three
  # products cost as much as 2.3 steps of the quickstart's search (2 % of it) and 22 CPU seconds to
  # compile, measured on 2 CPU cores: with both, 3 % of the CPU time of its run.
  "search.watch": Section((), {"every_steps": 0, "hessian_steps": 3, "genotypes": 5}),
  # See dnas.strategy.projection.
  "search.projection": Section((), {"batches": 4, "tune_steps": 20, "seed": 0}),
  # What the network may cost: see dnas.hardware.
  "cost": Section(
    (),
    {
      # Budgets: the most that the genotype may cost; None: no limit. energy_mj is an estimate.
      "latency_ms": None,
      "macs": None,
      "params": None,
      "energy_mj": None,
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
    },
  ),
  "train": Section(
    ("steps", "batch_size", "optimizer", "ema", "drop_path"),
    {
      # None keeps the network of the search.
      "network": None,
      # Widens or narrows the stages to so many MACs; None leaves them.
      "macs": None,
      # So many batches make one update.
      "accumulate": 1,
      # What a fine-tuning starts from, written by dnas.finetune; None: from scratch.
      "start": None,
    },
  ),
  "evaluate": Section(("split", "batch_size"), {}),
  "checkpoint": Section(("every_steps", "every_minutes", "keep", "keep_best", "max_skipped"), {}),
  "log": Section(("every_steps", "words_every_steps"), {}),
}

NAMES = tuple(filter(None, ("search", *_SECTIONS)))
"""The sections, by their dotted names."""


def fields_of(name: str, given: Any) -> Section:
  """What the section `name` may hold, of which `given` is there; without a name: the whole config.

  A section that names a function has no fields of its own.
  """
  if name == "search":
    return _SEARCH if given.get("strategy") is None else _STRATEGY
  return _SECTIONS.get(name, Section((), {}))


def get(config: Any, field: str) -> Any:
  """The dotted `field`, or its default where the config does not set it.

  >>> get({"seed": 0, "mesh": {"seed": 2}}, "mesh.data")
  -1
  """
  at, section = config, ""
  for key in field.split("."):
    own = at or {}  # A part that is None has its defaults.
    at = own[key] if key in own else fields_of(section, own).optional[key]
    section = f"{section}.{key}".lstrip(".")
  return at


def complete(section: str, given: Any) -> Any:
  """A section of a config with every field, as a ConfigDict: what is given, else its default.

  Args:
    section: its dotted name.
    given: the fields that a config sets.

  Raises:
    ConfigError: there is no such field, or one that must be set is missing.
  """
  level = f"config.{section}".rstrip(".")
  if not isinstance(given, (ConfigDict, Mapping)):
    raise ConfigError(f"{level} = {given!r}: a section has fields")
  required, optional = fields_of(section, given)
  if section == "search" and "strategy" in required:
    level += " with a strategy"
  fields = {name: given[name] for name in given}
  _check_known(level, fields, [*required, *optional])
  if missing := [name for name in required if name not in fields]:
    raise ConfigError(f"{level}: {', '.join(missing)} must be set")
  return ConfigDict({**optional, **fields}, convert_dict=True)


def check(config: Any, *needs: str) -> None:
  """ConfigError where a config has an unknown field, or lacks one that must be set.

  Args:
    config: of a run.
    needs: parts that it must have, of those that not every config has.
  """
  for name in needs:
    if config.get(name) is None:
      raise ConfigError(f"config.{name} must be set")
  for name, given in _sections(config):
    complete(name, given)
  if config["task"] is None:
    raise ConfigError("config.task must be set")


def unset(config: Any) -> Iterator[tuple[str, Any]]:
  """The fields that a config might set and does not, by their dotted names, with their defaults."""
  for name, given in _sections(config):
    for key, default in fields_of(name, given or {}).optional.items():
      field = f"{name}.{key}".lstrip(".")
      has_own = field in NAMES and default is not None  # They are listed for themselves.
      if key not in (given or {}) and not has_own and (name or default is not None):
        yield field, default


def _sections(config: Any) -> Iterator[tuple[str, Any]]:
  """The config itself, without a name, and each section that is there or by default empty."""
  yield "", config
  for name in NAMES:
    above, _, key = name.rpartition(".")
    at = config.get(above) if above else config
    if at is not None:
      required, optional = fields_of(above, at)
      given = at[key] if key in at else optional.get(key)
      if given is not None or key in required:
        yield name, given


def build(kind: type[T], section: str, given: ConfigDict | Mapping[str, Any]) -> T:
  """A dataclass of the fields that a section of a config gives.

  Raises:
    ConfigError: it has no such field.
  """
  fields = {name: given[name] for name in given}
  valid = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
  _check_known(section, fields, [field.name for field in valid])
  return kind(**fields)


def _check_known(section: str, given: Iterable[str], valid: Sequence[str]) -> None:
  """ConfigError for the first of the names in a section that is not valid."""
  for name in given:
    if name not in valid:
      raise ConfigError(choose_from(f"field of {section}:", name, valid))
