# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which form an operation takes: the one that is fast where we run, or the one for elsewhere."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_portable: contextvars.ContextVar[bool] = contextvars.ContextVar("dnas_portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
  """Convolutions and pools traced inside are single operations, as every compiler knows them.

  What is exported runs on devices that we do not see. There, k * k shifted slices are no depthwise
  convolution any more, neither for a compiler nor for a quantizer. Values are equal up to rounding.
  """
  token = _portable.set(True)
  try:
    yield
  finally:
    _portable.reset(token)


def is_portable() -> bool:
  """Whether the trace at hand is `portable`."""
  return _portable.get()


def on_cpu() -> bool:
  """Whether the forms that are fast with XLA on a CPU are wanted."""
  return jax.default_backend() == "cpu" and not is_portable()
