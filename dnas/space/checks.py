# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How spaces are checked: the error that names the field, and values shown at a readable length."""

import reprlib
from collections.abc import Iterable
from typing import Any

from dnas.errors import DnasError


class SpaceError(DnasError):
  """A search space, genotype or decision is malformed; the message names the field."""


def check(condition: bool, field: str, message: str) -> None:
  """Raises SpaceError `field: message` unless the condition holds."""
  if not condition:
    raise SpaceError(f"{field}: {message}")


def is_int(value: Any) -> bool:
  """Whether `value` is a whole number; True and False are not."""
  return isinstance(value, int) and not isinstance(value, bool)


class _Short(reprlib.Repr):
  """`repr` for error messages: a malformed file may hold any amount at any depth."""

  def __init__(self):
    super().__init__()
    self.maxlist = self.maxtuple = self.maxdict = 12
    self.maxstring = self.maxother = 120


_short = _Short()


def show(value: Any) -> str:
  """`repr` cut to a readable length, see `_Short`; names and numbers, all but always, directly."""
  # Messages are written before it is known whether they are needed: 60 % of a genotype's making.
  parts = value if type(value) is tuple and len(value) <= _short.maxtuple else (value,)
  if all(
    (type(v) is str and len(v) < 60) or (type(v) is int and v.bit_length() < 64) for v in parts
  ):
    return repr(value)
  return _short.repr(value)


def as_tuple(value: Any, field: str, what: str) -> tuple:
  """`value` as a tuple; SpaceError unless it is iterable and no string."""
  if not isinstance(value, Iterable) or isinstance(value, str | bytes):
    raise SpaceError(f"{field}: must hold {what}, got {show(value)}")
  return tuple(value)
