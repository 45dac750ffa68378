# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a config: set one to a value that fits, write, read and compare them.

(Which there are, and a section with all of them: `schema.py`.)
"""

import ast
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from dnas import schema
from dnas.errors import ConfigError, choose_from


def plain(value: Any) -> Any:
  """`value` with each ConfigDict in it as a dict: what JSON holds, tuples aside."""
  if isinstance(value, (ConfigDict, Mapping)):
    return {key: plain(item) for key, item in value.items()}
  if isinstance(value, (tuple, list)):
    return type(value)(plain(item) for item in value)
  return value


def override(config: ConfigDict, field: str, value: Any) -> None:
  """Sets the dotted `field`, converted to the type of what is there, or of its default.

  A dict for a section sets the fields that it names and leaves the others. A field that is not
  there stays away where it is set to its default, so that the config still equals one without it.

  Raises:
    ConfigError: there is no such field, or the value does not fit.
  """
  *parents, last = field.split(".")
  at: Any = config
  section, level = "", "config"
  new_sections = []
  for key in parents:
    optional = schema.fields_of(section, at).optional
    if key not in at and key not in optional:
      raise ConfigError(choose_from(f"field of {level}:", key, {*at, *optional}))
    inner = at[key] if key in at else _entry(optional[key])
    section, level = f"{section}.{key}".lstrip("."), f"{level}.{key}"
    if not isinstance(inner, ConfigDict):
      raise ConfigError(f"unknown field config.{field}: {level} is {inner!r}, which has no fields")
    if key not in at:
      new_sections.append((at, key, inner))
    at = inner
  optional = schema.fields_of(section, at).optional
  if last not in at and last not in optional and "name" not in at:
    if not at and not optional and parents:
      example = {last: _literal(value) if isinstance(value, str) else value}
      raise ConfigError(f"{level} is empty: give it a dict with its fields, {level}={example}")
    raise ConfigError(choose_from(f"field of {level}:", last, {*at, *optional}))
  old = at[last] if last in at else _entry(optional.get(last))
  # Back to a default of None; a whole part of the config stays.
  unset = bool(parents) and last in optional and optional[last] is None
  unset = unset and _literal(str(value)) is None
  new: Any = None if unset else _fit(f"config.{field}", value, old)
  if not unset and (_is_section(old) or (old is not None and field in schema.NAMES)):
    for key, item in new.items():
      override(config, f"{field}.{key}", item)
    return
  if last not in at and last in optional and new == optional[last]:
    return
  for above, key, inner in new_sections:
    with above.unlocked(), above.ignore_type():
      above[key] = inner
  with at.unlocked(), at.ignore_type():
    at[last] = new


def _entry(value: Any) -> Any:
  """A default as a config would hold it."""
  return ConfigDict(value) if isinstance(value, Mapping) else value


def _is_section(value: Any) -> bool:
  """Whether it holds fields, rather than a function and its arguments or nothing yet."""
  return isinstance(value, ConfigDict) and len(value) > 0 and "name" not in value


def _fit(field: str, value: Any, old: Any) -> Any:
  """`value` (text from a command line, or a Python value) as a replacement of `old`."""
  new = _literal(value) if isinstance(value, str) else plain(value)

  def refuse(expected: str) -> ConfigError:
    return ConfigError(f"{field} = {value!r}: expected {expected}; the config has {plain(old)!r}")

  if old is None:
    return new
  is_function = isinstance(new, dict) and isinstance(new.get("name"), str)
  if isinstance(old, ConfigDict):
    if "name" not in old:
      if isinstance(new, dict):
        return new
      if not len(old):
        raise refuse("a dict with its fields")
      raise ConfigError(
        f"{field} is a section, which no value can replace; set one of its fields: "
        f"{', '.join(sorted(old.keys()))}"
      )
    if new is None or is_function:
      return new
    if isinstance(new, str):
      return {"name": new}
    raise refuse('a function: a name, or {"name": ..., "argument": ...}, or None')
  if isinstance(old, str):
    # What the shell passes is the string, whatever it would be in Python; only a function's
    # entry, which may be given as a bare name, can be replaced by one with arguments.
    return new if is_function else value if isinstance(value, str) else _only(new, str, refuse)
  if isinstance(old, bool):
    return _only({"true": True, "false": False}.get(str(value).lower(), value), bool, refuse)
  if isinstance(old, int):
    return _only(new, int, refuse)
  if isinstance(old, float):
    return float(_only(_number(new), float, refuse))
  if isinstance(old, (tuple, list)):
    if not isinstance(new, (tuple, list)):
      raise refuse(f"a {type(old).__name__} such as (1, 2) or ('a', 'b')")
    kinds = {type(v) for v in old}
    if len(kinds) == 1 and (kind := kinds.pop()) in (int, float, str, bool):
      new = [_only(_number(v) if kind is float else v, kind, refuse) for v in new]
    return type(old)(new)
  raise refuse(f"a {type(old).__name__}, which cannot be given here")


def _only(value: Any, kind: type, refuse: Callable[[str], ConfigError]) -> Any:
  if type(value) is not kind:
    names = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    raise refuse(names[kind])
  return value


def _number(value: Any) -> Any:
  """An int, or one of the words that Python has no literal for, as a float; others unchanged."""
  if type(value) is int or str(value).lower() in ("inf", "-inf", "nan"):
    return float(value)
  return value


def _literal(text: str) -> Any:
  """A Python literal, or else the text itself."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
    return text


def to_json(config: ConfigDict | Mapping[str, Any]) -> str:
  """The config as JSON with one field a line.

  Raises:
    ConfigError: for a value that JSON does not have; name functions instead of holding them.
  """
  for field, value in leaves(config):
    try:
      json.dumps(value)
    except TypeError as error:
      raise ConfigError(f"config.{field} = {value!r} is no JSON value: use a name") from error
  return json.dumps(plain(config), indent=2) + "\n"


def from_json(text: str, source: str = "config.json") -> ConfigDict:
  """The config that `to_json` wrote, unlocked; arrays come back as tuples.

  Raises:
    ConfigError: for text that is not a JSON object; `source` is the file named in the message.
  """
  try:
    data = json.loads(text)
    if isinstance(data, dict):
      return ConfigDict({key: _tuples(value) for key, value in data.items()})
  # ValueError: also a number of 4,301 digits. The others: what no ConfigDict may hold.
  except (ValueError, RecursionError, AttributeError, TypeError) as error:
    raise ConfigError(f"{source} is no JSON config: {error}") from error
  raise ConfigError(f"{source}: a config is a JSON object, this is {type(data).__name__}")


def diff(old: Any, new: Any, only: Sequence[str] | None = None) -> list[str]:
  """The fields in which two configs differ, as lines `field: old -> new`.

  Args:
    old: a config.
    new: another.
    only: the fields that are compared, with all below them (`"search"`, `"log.every_steps"`).
      None: all.
  """
  absent = object()
  show = lambda v: "(absent)" if v is absent else repr(v)
  a, b = dict(leaves(old)), dict(leaves(new))
  lines = []
  for field in sorted(a.keys() | b.keys()):
    x, y = a.get(field, absent), b.get(field, absent)
    both_nan = all(isinstance(v, float) and math.isnan(v) for v in (x, y))
    compared = only is None or any(f"{field}.".startswith(f"{prefix}.") for prefix in only)
    if compared and not both_nan and (x != y or type(x) is not type(y)):
      lines.append(f"{field}: {show(x)} -> {show(y)}")
  return lines


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """The leaves of a config with their dotted names, lists as tuples."""
  for key, value in config.items():
    if isinstance(value, (ConfigDict, Mapping)) and len(value):
      yield from leaves(value, f"{prefix}{key}.")
    else:
      yield f"{prefix}{key}", _tuples(plain(value))


def _tuples(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _tuples(item) for key, item in value.items()}
  return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
