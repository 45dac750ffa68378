# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which form an operation takes: the one that is fast where we run, or the one for elsewhere."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

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


def isolated(function: Callable[..., Any], *operands: Any) -> Any:
  """function(*operands), on a CPU compiled as a unit of its own.

  XLA on a CPU fuses elementwise producers into each of their consumers: a weighted sum of
  normalised features that a pool reads is computed anew for each of its nine taps, and with a
  transposition for each of its strides. `optimization_barrier` does not stop it (it is removed
  before). Nothing is fused across the border of a conditional, so the function becomes the branch
  that is always taken, except that a NaN in the first number of the last operand gives NaN.

  Of convolutions only those of `dense` and `depthwise` belong inside: of others XLA computes the
  gradients by slow loops there.

  Args:
    function: of arrays; what it closes over is traced into it.
    operands: pytrees of arrays; the last leaf is of a floating-point type.
  """
  if not on_cpu():
    return function(*operands)
  probe = jnp.ravel(jax.tree.leaves(operands)[-1])[0]
  made: list[Any] = []  # The shapes of the first branch, so that it need not be traced for them.

  def taken(*operands):
    result = function(*operands)
    made.append(jax.tree.map(jax.typeof, result))
    return result

  def never(*operands):
    shapes = made[0] if made else jax.eval_shape(function, *operands)
    number = lambda dtype: jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else 0
    return jax.tree.map(lambda s: lax.full(s.shape, number(s.dtype), s.dtype), shapes)

  return lax.cond(probe == probe, taken, never, *operands)
