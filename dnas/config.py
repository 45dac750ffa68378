# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Configs: files that return a `ConfigDict`, and overrides from the command line.

(What concerns single fields, and JSON, is in `fields.py`; functions by name are in `naming.py`.)
"""

import argparse
import importlib
import importlib.util
import inspect
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from ml_collections import ConfigDict

from dnas.errors import ConfigError, DnasError, choose_from, one_line_errors
from dnas.fields import diff, from_json, leaves, override, to_json
from dnas.files import text_of
from dnas.schema import unset

# A ConfigDict. For type checkers its fields may be anything, as they are.
Config: TypeAlias = Any

__all__ = [
  "Config",
  "ConfigError",
  "Parser",
  "at_least",
  "changed",
  "command_line",
  "diff",
  "folder",
  "from_json",
  "load",
  "to_json",
]


# ---------------------------------------------------------------------------------------------
# Files and overrides


def load(path: str | pathlib.Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
  """The locked config of a file, with overrides.

  Args:
    path: a Python file with `get_config()`, `configs/x.py`; with `configs/x.py:arg` it is
      `get_config("arg")`. Or a `config.json` that an earlier run wrote.
    overrides: `["--config.search.steps=100", "search.seed=1"]` or `{"search.steps": 100}`. The
      value has to fit the present one, or the field's default (`schema.py`): a float takes an
      int, a tuple what literal_eval reads as one, None anything, and a function (a dict with a
      `name`) another name or a dict literal. None unsets what has None for its default. Arguments
      that a function's entry leaves at their default may be added.

  Raises:
    ConfigError: with the file, the field, the value and what is valid.
  """
  config = _read(path)[0]
  values = overrides if isinstance(overrides, Mapping) else by_field(overrides)
  for field, value in values.items():
    override(config, field, value)
  return config.lock()


def by_field(overrides: Sequence[str]) -> dict[str, str]:
  """`["--config.search.steps=100", "seed=1"]` as `{"search.steps": "100", "seed": "1"}`.

  Raises:
    ConfigError: one has no value.
  """
  pairs = [text.removeprefix("--").partition("=") for text in overrides]
  for text, (_, equals, _) in zip(overrides, pairs):
    if not equals:
      raise ConfigError(f"{text!r} sets nothing: write --config.field=value")
  return {field.removeprefix("config."): value for field, _, value in pairs}


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
    folder = file if file.is_dir() else file.parent
    found = (*folder.glob("*.py"), *folder.glob("config.json"))
    there = sorted(str(f) for f in found if not f.name.startswith("_"))
    if file.is_dir():
      hint = f"a file in it: {', '.join(there)}" if there else "a file"
      raise ConfigError(f"{file} is a folder, and a config is a file: name {hint}")
    if not there:
      raise ConfigError(f"config file {file} is missing, and {folder.resolve()} holds no other")
    raise ConfigError(f"{file} is missing: {choose_from('config file:', str(file), there)}")
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
    if argument and not inspect.signature(get_config).parameters:
      raise ConfigError(f"{file}: get_config() takes no argument, so {argument!r} cannot be given")
    config = get_config(argument) if argument else get_config()
  except SyntaxError as error:
    where = f"{error.filename}, line {error.lineno}"
    raise ConfigError(f"{where}: {error.msg}: {(error.text or '').strip()!r}") from error
  except DnasError:
    raise
  except Exception as error:
    # A slip in the file itself is one line; what it calls has a traceback to be mended by.
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename != os.path.abspath(file):
      raise
    what = f"{type(error).__name__}: {error}"
    raise ConfigError(f"{file}, line {last.lineno}: {what}") from error
  finally:
    sys.path.remove(root)
  if not isinstance(config, ConfigDict):
    raise ConfigError(f"{file}: get_config() returned {type(config).__name__}, not a ConfigDict")
  return config, inspect.getdoc(module) or ""


# ---------------------------------------------------------------------------------------------
# Command lines


def folder(text: str) -> pathlib.Path:
  """The type of flags that name a folder, which need not be there yet; a file is an error."""
  path = pathlib.Path(text)
  for part in (path, *path.parents):
    if os.path.exists(part):
      if not os.path.isdir(part):
        raise argparse.ArgumentTypeError(f"{part} is a file; valid: a folder, made if need be")
      break
  return path


def at_least(least: int) -> Callable[[str], int]:
  """The type of flags that take a whole number, `least` or more."""

  def number(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or int(text) < least:
      raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more, got {text!r}")
    return int(text)

  return number


class _Help(argparse.RawDescriptionHelpFormatter):
  """Descriptions stay as they are written; behind each flag stands its default, if it has one."""

  def _get_help_string(self, action: argparse.Action) -> str:
    text = action.help or ""
    none = action.default is None or action.default is False or action.default == []
    silent = none or action.default is argparse.SUPPRESS or "default" in text
    return text if silent else f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
  """The ArgumentParser of all scripts: flags are written out, and errors are one line.

  The description is the script's docstring: what it does, and examples. Where there is a parser,
  `my_lab.ops.my_op` is found in the folder in which the command was given.
  """

  def __init__(self, **options: Any):
    super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **options})
    if "" not in sys.path and str(pathlib.Path.cwd()) not in sys.path:
      sys.path.append(str(pathlib.Path.cwd()))

  def error(self, message: str) -> NoReturn:
    """Ends the process with code 2 and one line on stderr."""
    self.exit(2, f"error: {message} (see --help)\n")

  def refuse(self, flags: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """An error if one of these flags was given where it would do nothing.

    Args:
      flags: as parsed.
      names: of flags whose default is None or False.
      why: goes on after the flag's name: `--port belongs to --serve`.
    """
    for name in names:
      if getattr(flags, name) is not None and getattr(flags, name) is not False:
        self.error(f"--{name} {why}")

  def add_fields(self, help_: str) -> None:
    """Shows `--config.FIELD=VALUE` in the help, for scripts that call `parse`."""
    self.add_argument("--config.FIELD=VALUE", dest="_", metavar="", help=help_)

  def parse(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The flags, and each `--config.FIELD=VALUE` as it was given, for `load` and `by_field`."""
    # Taken out first, because argparse takes an argument with a space in it for no flag at all.
    overrides, rest = _split_overrides(sys.argv[1:] if argv is None else argv)
    return self.parse_args(rest), overrides


def command_line(
  description: str | None,
  argv: Sequence[str] | None = None,
  extra: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> tuple[ConfigDict, pathlib.Path, argparse.Namespace]:
  """Reads `--config FILE --workdir DIR --config.any.field=value`, and `--help`, which lists fields.

  Args:
    description: the script's docstring, with which its help begins.
    argv: the arguments; None: those of the process.
    extra: adds a script's own flags: `lambda p: p.add_argument("--json", action="store_true")`.

  Returns:
    The locked config; the work folder (`runs/NAME` for `configs/NAME.py`, not created here); the
    values of the extra flags.

  Raises:
    SystemExit: code 2 after one line on stderr for anything wrong, code 0 after `--help`.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  parser = Parser(description=description, add_help=False)
  parser.add_argument("--config", metavar="FILE", help="required")
  parser.add_argument("--workdir", metavar="DIR", type=folder, help="default: runs/CONFIG")
  parser.add_fields("sets any field (listed by --help)")
  parser.add_argument(
    "-h", "--help", action="store_true", help="this text and the fields of --config"
  )
  extra(parser)
  if {"-h", "--help"} & {*argv}:
    for action in parser._actions:
      action.required = False
  flags, overrides = parser.parse(argv)
  with one_line_errors():
    if flags.help:
      parser.epilog = _help(flags.config) if flags.config else "--config FILE --help lists fields."
      parser.print_help()
      raise SystemExit(0)
    if flags.config is None:
      parser.error("--config FILE is required")
    config = load(flags.config, overrides)
  file = pathlib.Path(flags.config.partition(".py:")[0])
  name = file.resolve().parent.name if file.name == "config.json" else file.stem
  return config, flags.workdir or pathlib.Path("runs", name), flags


def add_resume(parser: argparse.ArgumentParser) -> None:
  """The flag of scripts whose runs go on where they were, see `runs.folder`."""
  parser.add_argument(
    "--resume", default="auto", help="auto, force (with a changed config) or never"
  )


def _split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
  """(`--config.a=b` and `--config.a b` as `--config.a=b`, all other arguments)."""
  overrides: list[str] = []
  rest: list[str] = []
  words = list(argv)
  while words:
    word = words.pop(0)
    if not word.startswith("--config."):
      rest.append(word)
    elif "=" in word or not words or words[0].startswith("--"):
      overrides.append(word)
    else:
      overrides.append(f"{word}={words.pop(0)}")
  return overrides, rest


def _help(path: str) -> str:
  config, docstring = _read(path)
  shown = lambda fields: [f"  --config.{field}={value!r}" for field, value in fields]
  there, others = shown(leaves(config)), shown(unset(config))
  defaults = ["", "fields that it leaves at their defaults:", *others] if others else []
  return "\n".join([f"{path}:", docstring, "", "fields:", *there, *defaults])
