# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Configs: files that return a `ConfigDict`, overrides from the command line, functions by name.

(What concerns single fields, and JSON, is in `fields.py`.)

A config names a function where a method has to be chosen:

    config.relaxation = dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1)

and the code that needs it says in which one module such names live:

    relax = resolve(config.relaxation, dnas.strategy.relaxation)     # a functools.partial

There is no registry: a function written in that module can be named at once, and a function of
one's own anywhere else is named by its dotted path, `my_lab.ops.my_op`.
"""

import argparse
import functools
import importlib
import importlib.util
import inspect
import pathlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from ml_collections import ConfigDict

from dnas.errors import ConfigError, choose_from, one_line_errors
from dnas.fields import diff, from_json, leaves, override, plain, to_json
from dnas.files import text_of

# A ConfigDict. For type checkers its fields may be anything, as they are.
Config: TypeAlias = Any

__all__ = [
  "Config",
  "ConfigError",
  "Parser",
  "bind",
  "changed",
  "command_line",
  "diff",
  "from_json",
  "functions",
  "load",
  "resolve",
  "to_json",
]


# ---------------------------------------------------------------------------------------------
# Functions by name


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


def resolve(spec: Any, module: types.ModuleType, given: int | None = None) -> functools.partial:
  """The function that a config entry names, with the entry's arguments bound: f -> f(., **args).

  Args:
    spec: `"softmax"`, or a dict or ConfigDict `dict(name="gumbel_softmax", tau_start=5.0)`. An
      argument that is itself a dict with a `name` becomes a function of the same module first; it
      is called if its own arguments leave nothing open (`solve=dict(name="neumann", steps=5)`).
    module: where a name without dots is looked up. A dotted name is imported.
    given: how many leading arguments the caller will pass by position. They cannot be set in the
      entry, and all others that lack a default must be. None: neither is checked.

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
  function, arguments = _look_up(spec, module)
  return _partial(function, arguments, given)


def bind(spec: Any, module: types.ModuleType, *args: Any, **offered: Any) -> Any:
  """What the factory that a config entry names returns: f(*args, **offered, **arguments).

  Args:
    spec: the entry, as in `resolve`.
    module: where its name is looked up.
    *args: leading arguments, which every factory of this module takes.
    **offered: each is passed if the function has a parameter of that name and the entry does not
      set it. (A factory `unrolled(lr, steps, momentum)` gets the momentum of the weight optimiser;
      `first_order()` does not have to take one.)

  Raises:
    ConfigError: as `resolve`.
  """
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


# ---------------------------------------------------------------------------------------------
# Files and overrides


def load(path: str | pathlib.Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
  """The locked config of a file, with overrides.

  Args:
    path: a Python file with `get_config()`, `configs/x.py`; with `configs/x.py:arg` it is
      `get_config("arg")`. Or a `config.json` that an earlier run wrote.
    overrides: `["--config.search.steps=100", "search.seed=1"]` or `{"search.steps": 100}`. The
      value has to fit the present one: a float takes an int, a tuple what literal_eval reads as
      one, None anything, and a function (a dict with a `name`) another name or a dict literal.
      Arguments that a function's entry leaves at their default may be added.

  Raises:
    ConfigError: with the file, the field, the value and what is valid.
  """
  config = _read(path)[0]
  if not isinstance(overrides, Mapping):
    pairs = [text.removeprefix("--").partition("=") for text in overrides]
    for text, (_, equals, _) in zip(overrides, pairs):
      if not equals:
        raise ConfigError(f"{text!r} sets nothing: write --config.field=value")
    overrides = {field.removeprefix("config."): value for field, _, value in pairs}
  for field, value in overrides.items():
    override(config, field, value)
  return config.lock()


def changed(config: Config, overrides: Mapping[str, Any]) -> Config:
  """A locked copy of a config with other values, `{"search.steps": 100}`; see `load`."""
  copy = ConfigDict(config).copy_and_resolve_references()  # ConfigDict alone shares its sections.
  for field, value in overrides.items():
    override(copy, field, value)
  return copy.lock()


def _read(path: str | pathlib.Path) -> tuple[ConfigDict, str]:
  """A config file as (config, docstring)."""
  path, _, argument = str(path).partition(".py:")
  file = pathlib.Path(f"{path}.py" if argument else path)
  if not file.is_file():
    there = sorted(str(f) for f in file.parent.glob("*.py") if not f.name.startswith("_"))
    raise ConfigError(choose_from("config file:", str(file), there))
  if file.suffix == ".json":
    return from_json(text_of(file, kind=ConfigError), source=str(file)), ""
  spec = importlib.util.spec_from_file_location(f"dnas_config_{file.stem}", file)
  if spec is None or spec.loader is None:
    raise ConfigError(f"{file}: a config is a Python file with get_config(), or a config.json")
  module = importlib.util.module_from_spec(spec)
  # So that configs can build on each other: `from configs import digits`, from any folder below.
  above = [path.parent for path in file.resolve().parents if path.name == "configs"]
  root = str(above[0] if above else file.resolve().parents[1])
  sys.path.insert(0, root)
  try:
    spec.loader.exec_module(module)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
      raise ConfigError(f"{file} defines no function get_config()")
    if argument and not _parameters(get_config):
      raise ConfigError(f"{file}: get_config() takes no argument, so {argument!r} cannot be given")
    config = get_config(argument) if argument else get_config()
  finally:
    sys.path.remove(root)
  if not isinstance(config, ConfigDict):
    raise ConfigError(f"{file}: get_config() returned {type(config).__name__}, not a ConfigDict")
  return config, inspect.getdoc(module) or ""


# ---------------------------------------------------------------------------------------------
# Command lines


class Parser(argparse.ArgumentParser):
  """An ArgumentParser whose errors are one line; the usage is what `--help` is for."""

  def error(self, message: str) -> NoReturn:
    """Ends the process with code 2 and one line on stderr."""
    self.exit(2, f"error: {message} (see --help)\n")


def command_line(
  description: str,
  argv: Sequence[str] | None = None,
  extra: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
  default: str | None = None,
) -> tuple[ConfigDict, pathlib.Path, argparse.Namespace]:
  """Reads `--config FILE --workdir DIR --config.any.field=value`, and `--help`, which lists fields.

  Args:
    description: what the script does; the first line of its help.
    argv: the arguments; None: those of the process.
    extra: adds a script's own flags: `lambda p: p.add_argument("--json", action="store_true")`.
    default: the config file where none is named. None: `--config` is required.

  Returns:
    The locked config; the work folder (`runs/NAME` for `configs/NAME.py`, not created here); the
    values of the extra flags.

  Raises:
    SystemExit: code 2 after one line on stderr for anything wrong, code 0 after `--help`.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  parser = Parser(description=description, add_help=False, allow_abbrev=False)
  parser.formatter_class = argparse.RawDescriptionHelpFormatter
  parser.add_argument("--config", metavar="FILE", default=default, help=default or "required")
  parser.add_argument("--workdir", metavar="DIR", type=pathlib.Path, help="default: runs/CONFIG")
  parser.add_argument(
    "--config.FIELD=VALUE", dest="_", metavar="", help="sets any field (listed by --help)"
  )
  parser.add_argument("--help", action="store_true", help="this text and the fields of --config")
  extra(parser)
  # Taken out first, because argparse takes an argument with a space in it for no flag at all.
  overrides, rest = _split_overrides(argv)
  flags = parser.parse_args(rest)
  with one_line_errors():
    if flags.help:
      parser.epilog = _help(flags.config) if flags.config else "--config FILE --help lists fields."
      parser.print_help()
      raise SystemExit(0)
    if flags.config is None:
      parser.error("--config FILE is required")
    # So that `my_lab.ops.my_op` is found in the folder where the command was given.
    if "" not in sys.path and str(pathlib.Path.cwd()) not in sys.path:
      sys.path.append(str(pathlib.Path.cwd()))
    config = load(flags.config, overrides)
  file = pathlib.Path(flags.config.partition(".py:")[0])
  name = file.resolve().parent.name if file.name == "config.json" else file.stem
  return config, flags.workdir or pathlib.Path("runs", name), flags


def _split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
  """(`--config.a=b` and `--config.a b` as `--config.a=b`, all other arguments)."""
  overrides: list[str] = []
  rest: list[str] = []
  words = iter(argv)
  for word in words:
    if not word.startswith("--config."):
      rest.append(word)
    elif "=" in word:
      overrides.append(word)
    else:
      value = next(words, None)
      overrides.append(word if value is None or value.startswith("--") else f"{word}={value}")
  return overrides, rest


def _help(path: str) -> str:
  config, docstring = _read(path)
  fields = [f"  --config.{field}={value!r}" for field, value in leaves(config)]
  return "\n".join([f"{path}:", docstring, "", "fields:", *fields])
