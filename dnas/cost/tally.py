# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Layers report their multiply-accumulates here while somebody listens (see `dnas.cost.count`)."""

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
