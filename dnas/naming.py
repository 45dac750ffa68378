# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Functions by name: how a config says which method is meant.

    config.relaxation = dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1)

and the code that needs it says in which one module such names live:

    relax = resolve(config.relaxation, dnas.strategy.relaxation)     # a functools.partial

With `field="config.search.relaxation"` errors begin with the place that the entry stands in.

There is no registry: a function written in that module can be named at once, and a function of
one's own anywhere else is named by its dotted path, `my_lab.ops.my_op`.
"""

import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from dnas.errors import ConfigError, choose_from, in_field
from dnas.fields import plain


def functions(module: types.ModuleType) -> dict[str, Callable]:
  """The functions in the `__all__` of `module`; without one, the public ones defined in it.

  (Imported ones and classes do not count. An `__all__` is how functions of several files get one
  module that names them.)
  """
  if hasattr(module, "__all__"):
    there = {name: getattr(module, name) for name in module.__all__}
    return {n: f for n, f in there.items() if callable(f) and not inspect.isclass(f)}
  return {
    name: value
    for name, value in vars(module).items()
    if callable(value)
    and not name.startswith("_")
    and not inspect.isclass(value)
    and getattr(value, "__module__", None) == module.__name__
  }


def resolve(
  spec: Any, module: types.ModuleType, given: int | None = None, *, field: str = ""
) -> functools.partial:
  """The function that a config entry names, with the entry's arguments bound: f -> f(., **args).

  Args:
    spec: `"softmax"`, or a dict or ConfigDict `dict(name="gumbel_softmax", tau_start=5.0)`. An
      argument that is itself a dict with a `name` becomes a function of the same module first; it
      is called if its own arguments leave nothing open (`solve=dict(name="neumann", steps=5)`).
    module: where a name without dots is looked up. A dotted name is imported.
    given: how many leading arguments the caller will pass by position. They cannot be set in the
      entry, and all others that lack a default must be. None: neither is checked.
    field: where the entry stands, `config.search.relaxation`; errors begin with it.

  >>> from dnas.strategy import relaxation
  >>> made = resolve({"name": "gumbel_softmax", "tau_end": 0.5}, relaxation)
  >>> made.func.__name__, made.keywords
  ('gumbel_softmax', {'tau_end': 0.5})

  Returns:
    A partial of the function. Call it at once if the function is a factory.

  Raises:
    ConfigError: an unknown name, an argument that the function does not take (the message lists
      what there is), or one that is missing.
  """
  with in_field(field):
    function, arguments = _look_up(spec, module)
    return _partial(function, arguments, given)


def name_of(spec: Any) -> Any:
  """The name in a config entry, which may be a bare name; None where it holds none."""
  return spec if isinstance(spec, str) else getattr(spec, "get", {}.get)("name")


def bind(spec: Any, module: types.ModuleType, *args: Any, field: str = "", **offered: Any) -> Any:
  """What the factory that a config entry names returns: f(*args, **offered, **arguments).

  Args:
    spec: the entry, as in `resolve`.
    module: where its name is looked up.
    *args: leading arguments, which every factory of this module takes.
    field: where the entry stands, `config.search.relaxation`; errors begin with it, those that the
      factory raises too.
    **offered: each is passed if the function has a parameter of that name and the entry does not
      set it. (A factory `unrolled(lr, steps, momentum)` gets the momentum of the weight optimiser;
      `first_order()` does not have to take one.)

  Raises:
    ConfigError: as `resolve`.
  """
  with in_field(field):
    function, arguments = _look_up(spec, module)
    takes = _parameters(function)[len(args) :]
    wanted = {p.name: offered[p.name] for p in takes if p.name in offered}
    return _partial(function, {**wanted, **arguments}, len(args))(*args)


def _look_up(spec: Any, module: types.ModuleType) -> tuple[Callable, dict[str, Any]]:
  """A config entry as (function, arguments), entries among the arguments looked up as well."""
  entry = plain(spec)
  if isinstance(entry, str):
    entry = {"name": entry}
  if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
    raise ConfigError(
      f"{entry!r} names no function of {module.__name__}: write a name or "
      f"dict(name=..., argument=...). Valid names: {', '.join(sorted(functions(module)))}"
    )
  arguments = {key: value for key, value in entry.items() if key != "name"}
  for key, value in arguments.items():
    if isinstance(value, dict) and "name" in value:
      inner, inner_arguments = _look_up(value, module)
      partial = _partial(inner, inner_arguments, None)
      arguments[key] = partial if _missing(inner, inner_arguments, 0) else partial()
  name = entry["name"]
  if "." in name:
    return _import_function(name), arguments
  if name not in (there := functions(module)):
    # A module may make functions from names that hold numbers (`csp_qarep_3x64`).
    if (made := getattr(module, "from_name", lambda name: None)(name)) is not None:
      return made, arguments
    raise ConfigError(choose_from(f"name in {module.__name__}:", name, there))
  return there[name], arguments


def _import_function(path: str) -> Callable:
  """The callable at a dotted path, `my_lab.ops.my_op`. Never one of the standard library.

  The last rule keeps a config that a stranger wrote from naming `os.system`. It is no sandbox:
  whatever else is installed can be named, as in any Python program.
  """
  module_name, _, name = path.rpartition(".")
  if not all(part.isidentifier() for part in path.split(".")):
    raise ConfigError(f"{path!r} is no dotted path such as 'my_lab.ops.my_op'")
  if path.split(".")[0] in sys.stdlib_module_names:
    raise ConfigError(f"{path!r} is in Python's standard library, which a config may not call")
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
      raise  # The module is there; something that it imports is not.
    raise ConfigError(
      f"cannot import {module_name!r} for {path!r}: no module {error.name!r}. Is its folder on "
      "PYTHONPATH?"
    ) from error
  function = getattr(module, name, None)
  if not callable(function):
    raise ConfigError(choose_from(f"function in {module_name}:", name, functions(module)))
  return function


def _parameters(function: Callable) -> list[inspect.Parameter]:
  try:
    return list(inspect.signature(function).parameters.values())
  except ValueError:  # A builtin without a signature takes anything as far as we can tell.
    return [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]


def _missing(function: Callable, arguments: Mapping[str, Any], given: int) -> list[str]:
  """Parameters after the first `given` with neither a default nor a value in `arguments`."""
  variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
  return [
    p.name
    for p in _parameters(function)[given:]
    if p.default is p.empty and p.kind not in variadic and p.name not in arguments
  ]


def _partial(
  function: Callable, arguments: Mapping[str, Any], given: int | None
) -> functools.partial:
  """`functools.partial(function, **arguments)`, its arguments checked."""
  parameters = _parameters(function)
  by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
  valid = [p.name for p in parameters[given or 0 :] if p.kind in by_name]
  name = f"{function.__module__}.{getattr(function, '__name__', function)}"
  if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
    for argument in arguments:
      if argument not in valid:
        raise ConfigError(choose_from(f"argument of {name}:", argument, valid))
  if given is not None and (missing := _missing(function, arguments, given)):
    raise ConfigError(f"{name} needs a value for: {', '.join(missing)}")
  return functools.partial(function, **arguments)
