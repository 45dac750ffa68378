# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments of augmentations may be: some that are wrong would be drawn hours later."""

import functools
import math
from collections.abc import Callable
from typing import Any

from dnas.data import augment
from dnas.data.source import DataError
from dnas.errors import check_count, check_number

_number = functools.partial(check_number, kind=DataError)
_share = functools.partial(_number, least=0, most=1)


def _range(what: str, value: Any, **limits: float) -> None:
  """DataError unless `value` is two numbers within the limits, the lower one first."""
  if not isinstance(value, tuple | list) or len(value) != 2:
    raise DataError(f"{what} must be a range, (lowest, highest), got {value!r}")
  for k, bound in enumerate(value):
    check_number(f"{what}[{k}]", bound, kind=DataError, **limits)
  if value[0] > value[1]:
    raise DataError(f"{what} must be a range, (lowest, highest), got {tuple(value)!r}")


# By the argument's name, which means the same in all augmentations: (its name in words, value).
LIMITS: dict[str, Callable[[str, Any], None]] = {
  "probability": _share,
  "min_visible": _share,
  "strength": _share,
  "hue": _share,
  "scale": functools.partial(_range, above=0, below=math.inf),
  "area": functools.partial(_range, above=0, most=1),
  "aspect": functools.partial(_number, least=1, below=math.inf),
  "translate": functools.partial(_number, least=0, below=math.inf),
  "centre": functools.partial(_number, least=0, below=0.5),
  "alpha": functools.partial(_number, above=0, below=math.inf),
  "pad_px": functools.partial(check_count, least=0, kind=DataError),
  "length_px": functools.partial(check_count, least=0, kind=DataError),
  "fill": functools.partial(_number, least=0, most=255),
}


def check(change: functools.partial, size: tuple[int, int]) -> None:
  """Raises DataError for an argument of `dnas.data.augment`'s that is out of its range.

  Args:
    change: an augmentation with its arguments; of one of the user's own nothing is known.
    size: (h, w) in px of the canvas.
  """
  if change.func.__module__ != augment.__name__:
    return
  name = change.func.__name__
  for argument, value in change.keywords.items():
    LIMITS[argument](f"augmentation {name}: {argument}", value)
  if change.func is augment.dihedral and size[0] != size[1]:
    raise DataError(f"augmentation {name} needs a square canvas, not {size[0]} x {size[1]} px")
