# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.search` with every field, checked, and the stages that it describes."""

from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dnas import naming
from dnas.config import Config
from dnas.errors import ConfigError, check_count
from dnas.fields import complete

# What a config need not say, with what it then is: DARTS has none of it.
DEFAULTS: dict[str, Any] = {
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
  # A search that ends by perturbation: fields of PROJECTION.
  "projection": None,
  # every_steps, hessian_steps and genotypes, see WATCH.
  "watch": {},
  # A function of dnas/strategy/diagnostics.py: (eigenvalues) -> index or None.
  "stop": None,
}
REQUIRED = (
  "network",
  "steps",
  "warmup_steps",
  "batch_size",
  "weight_share",
  "relaxation",
  "hypergradient",
  "weight_optimizer",
  "alpha_optimizer",
  "discretize",
)
# Every so many steps the search is observed (dnas.strategy.observe), with so many Hessian-vector
# products on one batch; 0: never, none. The agreement is that of so many genotypes. Three products
# cost as much as 2.3 steps of the quickstart's search (2 % of it) and 22 CPU seconds to compile,
# measured on 2 CPU cores: with both, 3 % of the CPU time of its run.
WATCH = {"every_steps": 0, "hessian_steps": 3, "genotypes": 5}


# See dnas.strategy.projection.
PROJECTION = {"batches": 4, "tune_steps": 20, "seed": 0}


class Stage(NamedTuple):
  """One stage of a search.

  Attributes:
    settings: `config.search` with the stage's own values.
    keep: operations that each edge keeps after it; None for the last.
    inherit: whether weights and alpha go on from the stage before; else they start anew.
  """

  settings: Config
  keep: int | None
  inherit: bool


def settings_of(search: Config, **overrides: Any) -> ConfigDict:
  """`config.search` with every field, those of `overrides` replaced.

  Raises:
    ConfigError: a field is missing or unknown.
  """
  given = {**{name: search[name] for name in search}, **overrides}
  settings = complete("config.search", given, DEFAULTS, REQUIRED)
  settings.watch = complete("config.search.watch", settings.watch, WATCH)
  if settings.projection is not None:
    projection = complete("config.search.projection", settings.projection, PROJECTION)
    settings.projection = projection
  _check(settings)
  return settings


def stages_of(settings: Config) -> list[Stage]:
  """The stages of a search; one without overrides where `stages` is empty."""
  if not settings.stages:
    return [Stage(settings, None, False)]
  found = []
  for n, given in enumerate(settings.stages):
    overrides = dict(given)
    keep, inherit = overrides.pop("keep", None), overrides.pop("inherit", False)
    if banned := [name for name in ("stages", "projection", "stop") if name in overrides]:
      raise ConfigError(f"config.search.stages[{n}]: cannot set {banned[0]}")
    if (keep is None) != (n == len(settings.stages) - 1):
      raise ConfigError(f"config.search.stages[{n}]: keep must be set in all stages but the last")
    if inherit and n == 0:
      raise ConfigError("config.search.stages[0]: has no stage before it to inherit from")
    if n < len(settings.stages) - 1 and settings.stop is not None:
      raise ConfigError("config.search.stop: cannot be combined with stages")
    stage = Stage(settings_of(settings, **overrides, stages=()), keep, inherit)
    if inherit and stage.settings.edge_weights and not found[-1].settings.edge_weights:
      raise ConfigError(
        f"config.search.stages[{n}]: inherits alpha from a stage without edge_weights: set them in "
        "both or in none"
      )
    found.append(stage)
  return found


def check_seeds(seeds: Any, settings: Config) -> None:
  """ConfigError unless so many searches, with these settings, fit into one program."""
  check_count("config.seeds", seeds, 1, ConfigError)
  if seeds > 1:
    alone = ("stages", "projection", "stop")
    used = [name for name in alone if settings[name]] + ["watch"] * bool(settings.watch.every_steps)
    if used:
      raise ConfigError(
        f"config.seeds = {seeds}: several searches in one program have no {', '.join(used)} "
        "(config.search); search the seeds one after another instead"
      )


def check_accumulate(section: str, accumulate: Any, steps: int) -> None:
  """ConfigError unless `accumulate` batches an update fit into `steps`."""
  if type(accumulate) is not int or accumulate < 1 or steps % accumulate:
    raise ConfigError(
      f"{section}.accumulate must be 1 or more and divide steps = {steps}, got {accumulate!r}"
    )


def _check(settings: Config) -> None:
  for name, least in (("every_steps", 0), ("hessian_steps", 0), ("genotypes", 1)):
    check_count(f"config.search.watch.{name}", settings.watch[name], least, ConfigError)
  for name, rate in (("drop_path", settings.drop_path), ("skip_dropout", settings.skip_dropout)):
    if not 0 <= rate < 1:
      raise ConfigError(f"config.search.{name} must be in [0, 1), got {rate!r}")
  check_accumulate("config.search", settings.accumulate, settings.steps)
  _check_curvature(settings)
  if settings.hypergradient is None and settings.weight_share != 1.0:
    raise ConfigError(
      "config.search.weight_share must be 1.0 with hypergradient=None: with one level alpha and "
      f"weights see the same data; got {settings.weight_share!r}"
    )
  if settings.projection and settings.average:
    raise ConfigError(
      "config.search.average: a search with `projection` is not decided by alpha, so its mean is "
      "not used; set average to 0"
    )
  if settings.stop is not None and not (
    settings.watch.every_steps and settings.watch.hessian_steps
  ):
    raise ConfigError(
      "config.search.stop looks at the Hessian's eigenvalues: set watch.every_steps and "
      "watch.hessian_steps"
    )


def _check_curvature(settings: Config) -> None:
  if not (settings.watch.every_steps and settings.watch.hessian_steps):
    return
  spec = settings.relaxation
  while spec is not None:  # straight_through holds another
    if naming.name_of(spec) == "dirichlet":
      raise ConfigError(
        "config.search.watch.hessian_steps must be 0: dirichlet has no second derivative in alpha, "
        f"got {settings.watch.hessian_steps}"
      )
    spec = None if isinstance(spec, str) else spec.get("relaxation")
