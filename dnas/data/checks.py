# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Checks that all kinds of data sets share."""

import math
from collections.abc import Collection

from dnas.data.source import DataError, Report
from dnas.errors import choose_from

_SYNONYMS = ("validation", "val", "valid", "dev")
_SLACK_PX = 1e-3  # Less than this outside the image is rounding.
_LARGEST = 1e15
_SIDE_PX = 1e-2  # Boxes thinner than this have no area.


def is_number(value: object) -> bool:
  """Whether a value from JSON or YAML is a finite number (true and false are none)."""
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    return False
  return -_LARGEST < value < _LARGEST  # False for NaN; and Python's integers have no end.


def split_candidates(split: str) -> tuple[str, ...]:
  """The names under which `split` may be found: "val" and "validation" mean the same."""
  return (split, *_SYNONYMS) if split in _SYNONYMS else (split,)


def pick_split(split: str, there: Collection[str], spec: str) -> str:
  """`split` as the data set spells it.

  Raises:
    DataError: the data set has no such split; the message lists those it has.
  """
  for candidate in split_candidates(split):
    if candidate in there:
      return candidate
  raise DataError(choose_from(f"split of {spec}:", split, there))


def fit_box(
  box: tuple[float, float, float, float], width: int, height: int, where: str, report: Report
) -> tuple[float, float, float, float] | None:
  """(x1, y1, x2, y2) px clipped to the image, or None if nothing is left of it.

  What is mended is counted in `report`; a coordinate that is no finite number is fatal.
  """
  if not all(math.isfinite(v) for v in box):
    report.stop(where, f"box {tuple(float(v) for v in box)} has a coordinate that is no number")
    return None
  x1, y1, x2, y2 = box
  if x2 - x1 < _SIDE_PX or y2 - y1 < _SIDE_PX:
    report.mend("box without area dropped", where)
    return None
  left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
  if right - left < _SIDE_PX or bottom - top < _SIDE_PX:
    report.mend("box outside its image dropped", where)
    return None
  if max(left - x1, top - y1, x2 - right, y2 - bottom) > _SLACK_PX:
    report.mend("box clipped to its image", where)
  return left, top, right, bottom
