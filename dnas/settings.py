# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.search` with every field, checked, and the stages that it describes."""

from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dnas import naming
from dnas.config import Config
from dnas.errors import ConfigError, check_count, check_number
from dnas.schema import complete
from dnas.strategy.bilevel import check_warmup


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
  settings = complete("search", {**{name: search[name] for name in search}, **overrides})
  settings.watch = complete("search.watch", settings.watch)
  if settings.projection is not None:
    settings.projection = complete("search.projection", settings.projection)
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
  """ConfigError unless `accumulate` batches an update fit into `steps`, which is 1 or more."""
  check_count(f"{section}.steps", steps, 1, ConfigError)
  if type(accumulate) is not int or accumulate < 1 or steps % accumulate:
    raise ConfigError(
      f"{section}.accumulate must be 1 or more and divide steps = {steps}, got {accumulate!r}"
    )


def _check(settings: Config) -> None:
  for name, least in (("every_steps", 0), ("hessian_steps", 0), ("genotypes", 1)):
    check_count(f"config.search.watch.{name}", settings.watch[name], least, ConfigError)
  check_count("config.search.batch_size", settings.batch_size, 1, ConfigError)
  check_accumulate("config.search", settings.accumulate, settings.steps)
  check_count("config.search.warmup_steps", settings.warmup_steps, 0, ConfigError)
  if not settings.stages:  # They have their own.
    what = "config.search.warmup_steps"
    check_warmup(what, settings.warmup_steps, settings.steps, ConfigError)
  for name in ("drop_path", "skip_dropout", "average"):
    check_number(f"config.search.{name}", settings[name], least=0, below=1, kind=ConfigError)
  _check_curvature(settings)
  if settings.hypergradient is None and settings.weight_share != 1.0:
    raise ConfigError(
      "config.search.weight_share must be 1.0 with hypergradient=None: with one level alpha and "
      f"weights see the same data; got {settings.weight_share!r}"
    )
  if settings.hypergradient is not None:
    share = settings.weight_share
    check_number("config.search.weight_share", share, above=0, below=1, kind=ConfigError)
  _check_partners(settings)
  if settings.projection and settings.stop is not None:
    raise ConfigError(
      "config.search.stop: a search that is stopped early is decided by alpha, so its `projection` "
      "would not be used; set one of them to None"
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


# What is right with some relaxations only: (where it is named, its name, those, what else happens).
_PARTNERS = (
  (
    "alpha_optimizer",
    "exponentiated_gradient",
    ("softmax",),
    "it divides the gradient by softmax(alpha), which no other relaxation multiplied it with",
  ),
  (
    "discretize",
    "threshold",
    ("sigmoid",),
    "its threshold is one of sigmoids, which other relaxations push nowhere",
  ),
)
_ONE_HOT = ("straight_through", "score_function")
_WITHOUT_NOISE = ("softmax", "sigmoid", "sparsemax")


def _check_partners(settings: Config) -> None:
  """ConfigError for parts of a method that compute something else together; dotted names may."""
  relaxation = naming.name_of(settings.relaxation) or ""
  if "." in relaxation:
    return
  for field, name, valid, why in _PARTNERS:
    if naming.name_of(settings[field]) == name and relaxation not in valid:
      raise ConfigError(
        f"config.search.{field}: {name} needs the relaxation {' or '.join(valid)}, got "
        f"{relaxation}: {why}"
      )
  if settings.supernet.get("single_path") and relaxation not in _ONE_HOT:
    raise ConfigError(
      f"config.search.supernet.single_path: needs a relaxation that is one-hot and learns from one "
      f"path ({', '.join(_ONE_HOT)}), got {relaxation}: the other operations would have no gradient"
    )
  if settings.projection and relaxation not in _WITHOUT_NOISE:
    raise ConfigError(
      f"config.search.projection: needs a relaxation without noise ({', '.join(_WITHOUT_NOISE)}), "
      f"got {relaxation}: taking away an operation that was not drawn changes nothing"
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
