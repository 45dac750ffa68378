# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a tuning may change: ranges and choices, in the shape of the config that they belong to.

ConfigDict(dict(train=dict(
optimizer=dict(lr=dict(low=1e-3, high=1e-2, log=True)),
ema=dict(choices=(0.99, 0.995, 0.998)),
)))
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dnas import config as configs
from dnas.config import Config
from dnas.errors import ConfigError, choose_from
from dnas.fields import leaves, plain
from dnas.schema import get

# What a trial of the derived network alone does not depend on, or what must stay as it is.
SEARCHED = ("space", "search", "cost", "seeds")
_FIXED = ("seed", "evaluate", "checkpoint", "log")
_KEYS = ("low", "high", "log", "step")
_ON_GRID = 1e-8  # Of a step; as Optuna has it.


@dataclasses.dataclass(frozen=True)
class Range:
  """The values of one field.

  Attributes:
    name: dotted.
    about: `low`, `high`, `log` and `step`, or `choices`.
  """

  name: str
  about: Mapping[str, Any]

  def suggest(self, trial: Any) -> Any:
    """A value that an Optuna trial proposes."""
    about = dict(self.about)
    if "choices" in about:
      return self.value(trial.suggest_categorical(self.name, list(self._labels)))
    kind = trial.suggest_int if self._whole else trial.suggest_float
    step = {} if about.get("step") is None else {"step": about["step"]}
    return kind(self.name, about["low"], about["high"], log=about.get("log", False), **step)

  def value(self, label: Any) -> Any:
    """What a value that Optuna keeps stands for: of choices it keeps their JSON."""
    return self._labels[label] if "choices" in self.about else label

  def label(self, value: Any) -> Any:
    """What Optuna keeps for a value; None if it is not in the range."""
    if "choices" in self.about:
      text = json.dumps(value)
      return text if text in self._labels else None
    low, step = self.about["low"], self.about.get("step")
    if not _is_number(value) or not low <= value <= self.about["high"]:
      return None
    steps = 0 if step is None else (value - low) / step
    return value if abs(steps - round(steps)) < _ON_GRID else None

  def ends(self) -> list[Any]:
    """Values that must fit the config: all choices, or both ends."""
    if "choices" in self.about:
      return list(self._labels.values())
    return [self.about["low"], self.about["high"]]

  def check_step(self) -> None:
    """ConfigError unless `step` is a number above 0, whole where the values are, without `log`."""
    if (step := self.about.get("step")) is None:
      return
    if not _is_number(step) or (self._whole and not isinstance(step, int)) or not step > 0:
      kind = "whole number" if self._whole else "number"
      raise ConfigError(f"{self.name}: step must be a {kind} above 0, got {step!r}")
    if self.about.get("log"):
      raise ConfigError(f"{self.name}: log and step cannot be combined, got step = {step!r}")

  @property
  def _labels(self) -> dict[str, Any]:
    return {json.dumps(choice): choice for choice in self.about["choices"]}

  @property
  def _whole(self) -> bool:
    return all(isinstance(self.about[end], int) for end in ("low", "high"))


def read(space: Config, config: Config, *, whole: bool) -> dict[str, Range]:
  """The ranges by field, checked against the config.

  Args:
    space: nested like the config; see the module.
    config: what is tuned.
    whole: whether fields of the search may be among them.

  Raises:
    ConfigError: no range at all, one that is malformed, or whose values the config does not take.
  """
  found = {}
  for name, about in _walk(plain(space), ""):
    part = name.split(".")[0]
    if part in _FIXED:
      raise ConfigError(f"{name}: cannot be tuned; {', '.join(_FIXED)} stay as they are")
    if part in SEARCHED and not whole:
      raise ConfigError(f"{name}: belongs to the search; with --whole each trial searches")
    field = found[name] = Range(name, _checked(name, about))
    taken = [get(configs.changed(config, {name: value}), name) for value in field.ends()]
    if "low" in about:  # As the config has them: where it has 0.5, 1 and 3 are 1.0 and 3.0.
      found[name] = Range(name, {**about, "low": taken[0], "high": taken[1]})
      found[name].check_step()
  if not found:
    raise ConfigError("the space of a tuning names no field: see dnas/tune/ranges.py")
  return found


def base(ranges: Mapping[str, Range], config: Config) -> dict[str, Any] | None:
  """The config's own values as Optuna keeps them; None if one is not within its range."""
  there = dict(leaves(config))
  labels = {}
  for name, field in ranges.items():
    try:
      own = there[name] if name in there else plain(get(config, name))
    except KeyError:  # An argument of a function, at its default.
      return None
    labels[name] = field.label(own)
    if labels[name] is None:
      return None
  return labels


def _walk(tree: Any, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
  for key, value in tree.items():
    name = f"{prefix}{key}"
    if not isinstance(value, Mapping):
      raise ConfigError(f"{name} = {value!r}: write dict(low=..., high=...) or dict(choices=...)")
    if "choices" in value or "low" in value or "high" in value:
      yield name, value
    else:
      yield from _walk(value, f"{name}.")


def _checked(name: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
  valid = ("choices",) if "choices" in about else _KEYS
  for key in about:
    if key not in valid:
      raise ConfigError(choose_from(f"key of the range {name}:", key, valid))
  if "choices" in about:
    if not isinstance(about["choices"], (tuple, list)) or not about["choices"]:
      raise ConfigError(f"{name}: choices must be a tuple of values, got {about['choices']!r}")
    return about
  numbers: list[Any] = [about.get(end) for end in ("low", "high")]
  if not all(map(_is_number, numbers)):
    raise ConfigError(f"{name}: low and high must be numbers, got {numbers}")
  if not numbers[0] < numbers[1] or (about.get("log") and numbers[0] <= 0):
    raise ConfigError(f"{name}: low must be below high, and above 0 with log, got {numbers}")
  return about


def _is_number(value: Any) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)
