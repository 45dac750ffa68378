# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Layers report their multiply-accumulates here while somebody listens (see `dnas.cost.count`).

Mixed operations report the size of what they are given, from which an operation can be measured by
itself (`dnas.nn.places`).
"""

import contextlib
import contextvars
from collections.abc import Iterator

from flax import nnx

_listener: contextvars.ContextVar[list[tuple[nnx.Module, int]] | None] = contextvars.ContextVar(
  "dnas_tally", default=None
)


@contextlib.contextmanager
def listening() -> Iterator[list[tuple[nnx.Module, int]]]:
  """Collects (layer, MACs per example) of every call made inside, in order."""
  calls: list[tuple[nnx.Module, int]] = []
  token = _listener.set(calls)
  try:
    yield calls
  finally:
    _listener.reset(token)


def active() -> bool:
  """Whether somebody listens; fused forms of a network then give way to the layers themselves."""
  return _listener.get() is not None


def record(layer: nnx.Module, macs: int) -> None:
  """Notes that `layer` has just done `macs` multiply-accumulates for each example."""
  calls = _listener.get()
  if calls is not None:
    calls.append((layer, macs))


_watcher: contextvars.ContextVar[list[tuple[nnx.Module, tuple[int, ...]]] | None] = (
  contextvars.ContextVar("dnas_tally_shapes", default=None)
)


@contextlib.contextmanager
def watching() -> Iterator[list[tuple[nnx.Module, tuple[int, ...]]]]:
  """Collects (module, shape of its input) of every mixed operation called inside, in order."""
  calls: list[tuple[nnx.Module, tuple[int, ...]]] = []
  token = _watcher.set(calls)
  try:
    yield calls
  finally:
    _watcher.reset(token)


def saw(module: nnx.Module, shape: tuple[int, ...]) -> None:
  """Notes that `module` was given an array of this shape."""
  calls = _watcher.get()
  if calls is not None:
    calls.append((module, shape))
