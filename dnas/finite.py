# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NaN and infinity in a step: the step is skipped and counted; too many in a row are explained."""

import dataclasses
import math
import pathlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from dnas import jaxprs
from dnas.errors import check_count

_LAG = 16


def skip_unless_finite(old: Any, new: Any, report: dict[str, jax.Array], *names: str):
  """State' = new if all of report[names] are finite, else old, with the step counted either way.

  A gradient's norm is finite only if each of its numbers is, so that losses and norms are enough.

  Args:
    old, new: states before and after the step: dataclasses with a field `step`.
    report: the step's metrics, scalars; those in `names` that it lacks do not count.

  Returns:
    The state, and the report with `skipped`, 1 or 0.
  """
  values = jnp.stack([report[name].astype(jnp.float32) for name in names if name in report])
  sound = jnp.isfinite(values).all()
  (after, structure), before = jax.tree.flatten(new), jax.tree.leaves(old)
  # What the step passes through (alpha while it is frozen) is not there to be chosen.
  moved = [i for i, (a, b) in enumerate(zip(after, before, strict=True)) if a is not b]
  pairs = [after[i] for i in moved], [before[i] for i in moved]
  if jax.default_backend() == "cpu":
    # Copies of arrays: a selection would be a program of its own for each, a quarter of the time
    # that a search step takes to compile.
    chosen = lax.cond(sound, lambda new, old: new, lambda new, old: old, *pairs)
  else:
    chosen = [jnp.where(sound, a, b) for a, b in zip(*pairs, strict=True)]
  for i, value in zip(moved, chosen, strict=True):
    after[i] = value
  kept = dataclasses.replace(jax.tree.unflatten(structure, after), step=new.step)
  return kept, {**report, "skipped": 1 - sound.astype(jnp.int32)}


class Skips:
  """Counts skipped steps, in all and in a row.

  The values are read some steps late, so that the device is not waited for; once a step was
  skipped each is read at once, so that the `limit`-th in a row is noticed where it happens.

  Attributes:
    total, in_a_row: as far as read.
  """

  def __init__(self, limit: int, total: int = 0, in_a_row: int = 0):
    check_count("checkpoint.max_skipped", limit, 1)
    self.limit, self.total, self.in_a_row = limit, total, in_a_row
    self._lag = min(limit - 1, _LAG)
    self._waiting: deque[jax.Array] = deque()

  def see(self, skipped: jax.Array) -> bool:
    """Takes the next step's `skipped`; True if it is the `limit`-th in a row."""
    self._waiting.append(skipped)
    while self._waiting and (self.in_a_row or len(self._waiting) > self._lag):
      self._read()
    return self.in_a_row >= self.limit

  def counts(self) -> dict[str, int]:
    """`total` and `in_a_row` with all steps read, for a checkpoint."""
    while self._waiting:
      self._read()
    return {"total": self.total, "in_a_row": self.in_a_row}

  def _read(self) -> None:
    skipped = int(self._waiting.popleft())
    self.total += skipped
    self.in_a_row = self.in_a_row + 1 if skipped else 0


class Value(NamedTuple):
  """What one operation put out.

  Attributes:
    where: the operation, its shape, and the lines of source that it came from.
    largest: max |x|; NaN or infinity if any number is.
  """

  where: str
  largest: float


def values(function: Callable, *args: Any) -> list[Value]:
  """Each floating-point value that `function(*args)` computes, in order, operation by operation.

  It is slow (nothing is compiled as a whole) and meant for the step that a run died of.
  """
  closed = jax.make_jaxpr(function)(*args)
  found: list[Value] = []
  _run(closed.jaxpr, closed.consts, jax.tree.leaves(args), found, False)
  return found


def explain(found: list[Value]) -> str:
  """Where the first infinite value and the first NaN arose, and the largest finite values.

  (An infinity alone may be meant: a mask before a softmax.)
  """
  infinite = next((value for value in found if math.isinf(value.largest)), None)
  nan = next((value for value in found if math.isnan(value.largest)), None)
  words = [f"first infinity in {infinite.where}"] if infinite else []
  words += [f"first NaN in {nan.where}"] if nan else []
  largest: dict[str, float] = {}
  for value in found:
    if math.isfinite(value.largest):
      largest[value.where] = max(value.largest, largest.get(value.where, 0.0))
  ranked = sorted(largest.items(), key=lambda item: -item[1])[:5]
  words += ["largest finite values: " + ", ".join(f"{size:.3g} in {at}" for at, size in ranked)]
  return "; ".join(words)


def describe(report: Mapping[str, Any]) -> str:
  """The numbers of a report as `name value, ...`; those of several seeds as `name [value, ...]`."""
  said = lambda v: f"[{', '.join(map(said, v))}]" if isinstance(v, list) else f"{v:.4g}"
  numbers = {k: np.asarray(v).tolist() for k, v in sorted(report.items()) if k != "skipped"}
  return ", ".join(f"{k} {said(v)}" for k, v in numbers.items())


def _run(jaxpr: Any, consts: Any, args: Any, found: list[Value], backward: bool) -> list[Any]:
  """Evaluates a jaxpr, that of a backward pass or not; what is not needed any more is let go of."""
  held: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args]))
  results = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)}
  last = {
    v: i for i, eqn in enumerate(jaxpr.eqns) for v in eqn.invars if not isinstance(v, core.Literal)
  }
  for i, eqn in enumerate(jaxpr.eqns):
    inputs = [jaxprs.read(held, v) for v in eqn.invars]
    here = backward or "transpose" in str(eqn.source_info.name_stack)
    if (call := jaxprs.inside(eqn)) is not None:
      outputs = _run(*call, inputs, found, here)
    else:
      outputs = jaxprs.bind(eqn, inputs)
      for x in outputs:
        if jnp.issubdtype(x.dtype, jnp.floating) and x.size:
          found.append(Value(_where(eqn, x.shape, here), float(jnp.abs(x).max())))
    held.update(zip(eqn.outvars, outputs))
    for v in [*eqn.invars, *eqn.outvars]:
      if not isinstance(v, core.Literal) and last.get(v, i) == i and v not in results:
        held.pop(v, None)
  return [jaxprs.read(held, v) for v in jaxpr.outvars]


def _where(eqn: Any, shape: tuple[int, ...], backward: bool) -> str:
  """`exp [8, 10] (nn/head.py:12 < nn/network.py:80), backward pass`."""
  package = pathlib.Path(__file__).parent
  libraries = ("site-packages", "dist-packages")
  lines = []
  for frame in getattr(eqn.source_info.traceback, "frames", ()):
    path = pathlib.Path(frame.file_name)
    inside = path.is_relative_to(package)  # Which may itself be installed among libraries.
    library = not inside and any(name in path.parts for name in libraries)
    if library or path == pathlib.Path(__file__):
      continue
    lines.append(f"{path.relative_to(package) if inside else path.name}:{frame.line_num}")
  words = f"{eqn.primitive.name} {list(shape)} ({' < '.join(lines[:3]) or '?'})"
  return f"{words}, backward pass" if backward else words
