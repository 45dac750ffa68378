# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What is shared by all errors that a user can cause and mend (standard library only)."""

import contextlib
import difflib
import numbers
import sys
from collections.abc import Iterable, Iterator
from typing import Any


class DnasError(ValueError):
  """Something outside the code is wrong: a config, a file, a flag. The message says what to do."""


class ConfigError(DnasError):
  """A config names a field, a function, an argument or a value that does not exist or fit."""


def choose_from(what: str, given: object, valid: Iterable[str]) -> str:
  """The sentence `unknown WHAT 'GIVEN'; did you mean ...? Valid: ...` for an error message."""
  names = sorted(valid)
  close = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
  hint = f"; did you mean {close[0]!r}?" if close else "."
  return f"unknown {what} {given!r}{hint} Valid: {', '.join(names) or '(none)'}"


def install(extra: str) -> str:
  """How an extra of setup.cfg is installed, for an error message; dnas is on no package index."""
  return f"`EXTRAS={extra} bash scripts/setup.sh` in dnas' repository"


def check_count(what: str, value: object, least: int, kind: type[DnasError] = DnasError) -> None:
  """An error of the class `kind` unless `value` is a whole number, `least` or more."""
  if type(value) is not int or value < least:
    raise kind(f"{what} must be a whole number, {least} or more, got {value!r}")


def check_number(
  what: str,
  value: Any,
  *,
  least: float | None = None,
  most: float | None = None,
  above: float | None = None,
  below: float | None = None,
  kind: type[DnasError] = DnasError,
) -> None:
  """An error of the class `kind` unless `value` is a number within the limits; NaN is none.

  Of `least` and `above` one at most is given, the lower limit, which itself is valid or is not; of
  `most` and `below` likewise the upper limit.
  """
  is_number = issubclass(type(value), numbers.Real) and type(value) is not bool
  if (
    is_number
    and value == value
    and (least is None or value >= least)
    and (most is None or value <= most)
    and (above is None or value > above)
    and (below is None or value < below)
  ):
    return
  low, high = least if above is None else above, most if below is None else below
  if low is not None and high is not None:
    limits = f"in {'[' if above is None else '('}{low}, {high}{']' if below is None else ')'}"
  elif low is not None:
    limits = f"{low} or more" if above is None else f"above {low}"
  else:
    limits = f"{high} or less" if below is None else f"below {high}"
  if low is None and high is None:
    limits = "a number"
  elif not is_number:
    limits = f"a number ({limits})"
  raise kind(f"{what} must be {limits}, got {value!r}")


@contextlib.contextmanager
def in_field(field: str) -> Iterator[None]:
  """Lets a `DnasError` from within begin with `FIELD: `, unless it names a field already.

  Args:
    field: of a config, `config.search.relaxation`, or a flag; empty: errors stay as they are.
  """
  try:
    yield
  except DnasError as error:
    text = str(error)
    if field and field not in text and not text.startswith("config."):
      error.args = (f"{field}: {text}",)
    raise


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
  """Ends the process with one line on stderr instead of a traceback, for errors users can mend.

  Those are `DnasError` and `OSError` (a missing file, a full disk). Anything else is a fault of the
  code and keeps its traceback.

  Raises:
    SystemExit: with code 2.
  """
  try:
    yield
  except (DnasError, OSError) as error:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    raise SystemExit(2) from None
