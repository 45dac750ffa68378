# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays cut into rows, and rows stacked again: what they were cut from, where that is known."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# (row, what it was cut from, its number) by the row's id. The row is held so that its id stays its.
_known: contextvars.ContextVar[dict[int, tuple[Any, Any, int]] | None]
_known = contextvars.ContextVar("dnas_rows", default=None)


@contextlib.contextmanager
def remembered() -> Iterator[None]:
  """Inside, `stack` of all the rows of an array is that array: nothing is cut and copied."""
  token = _known.set({})
  try:
    yield
  finally:
    _known.reset(token)


def cut(whole: jax.Array | np.ndarray) -> tuple[Any, ...]:
  """The rows of an array along its first axis."""
  if isinstance(whole, np.ndarray):
    return tuple(whole)
  parts = jnp.unstack(whole)  # One operation, whose gradient is the stack.
  if (known := _known.get()) is not None:
    known.update((id(part), (part, whole, n)) for n, part in enumerate(parts))
  return parts


def stack(parts: Sequence[Any]) -> Any:
  """Arrays as the rows of one; NumPy's stay on the host."""
  known = _known.get() or {}
  origins = [known.get(id(part), (None, None, -1)) for part in parts]
  whole = origins[0][1]
  known_whole = whole is not None and len(whole) == len(parts)
  if known_whole and all(of is whole and n == i for i, (_, of, n) in enumerate(origins)):
    return whole
  return np.stack(parts) if all(isinstance(x, np.ndarray) for x in parts) else jnp.stack(parts)
