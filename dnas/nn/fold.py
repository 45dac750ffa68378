# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Batch norms of a trained function folded into its convolutions and linear layers.

a * conv(x, k) + b = conv(x, a * k) + b, with a, b per output channel.

It works on what a function computes (its jaxpr), not on the modules that it is made of: so a
convolution that several batch norms share, or two that are concatenated before one, fold as well,
and networks written elsewhere do.
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from dnas import jaxprs


def fold(function: Callable[..., Any]) -> Callable[..., Any]:
  """The same function with every constant scale and shift behind a convolution in its kernel.

  A convolution is left alone if its output is used as it is as well. Weights must be constants of
  the function, not arguments. Shapes may be symbolic (`jax.export`).

  Args:
    function: arrays to a tree of arrays, traceable.

  Returns:
    A function like it, equal up to rounding, not meant for gradients.
  """

  def folded(*args: jax.Array) -> Any:
    specs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in args]
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*specs)
    results = [_plain(value) for value in _run(closed.jaxpr, closed.consts, args)]
    return jax.tree.unflatten(jax.tree.structure(shapes), results)

  return folded


@dataclasses.dataclass(frozen=True)
class _Constant:
  """A value that does not depend on the arguments."""

  value: Any


@dataclasses.dataclass(frozen=True)
class _Part:
  """scale * product(kernel) + shift, not computed yet.

  Attributes:
    product: kernel -> the convolution or matrix product.
    kernel: its constant factor.
    kernel_axis: of the kernel, whose index is the output channel.
    scale, shift: float64 [C].
  """

  product: Callable[[Any], jax.Array]
  kernel: np.ndarray
  kernel_axis: int
  scale: np.ndarray
  shift: np.ndarray

  def __call__(self, axis: int, ndim: int) -> jax.Array:
    """Computes it; `axis` is the channel's of `ndim` axes."""
    along = [1] * self.kernel.ndim
    along[self.kernel_axis] = -1
    dtype = self.kernel.dtype
    scaled = self.kernel.astype(np.float64) * self.scale.reshape(along)
    y = self.product(scaled.astype(dtype))
    if not self.shift.any():
      return y
    return y + _along(self.shift.astype(dtype), axis, ndim)


@dataclasses.dataclass(frozen=True)
class _Pending:
  """`_Part`s concatenated along the channels, waiting for what scales and shifts them."""

  parts: tuple[_Part, ...]
  axis: int
  ndim: int

  def compute(self) -> jax.Array:
    """The array."""
    values = [part(self.axis, self.ndim) for part in self.parts]
    return values[0] if len(values) == 1 else jnp.concatenate(values, axis=self.axis)

  def affine(self, scale: np.ndarray, shift: np.ndarray) -> "_Pending":
    """Scale * self + shift, each a number or float64 [C]."""
    width = sum(len(part.scale) for part in self.parts)
    scale, shift = np.broadcast_to(scale, width), np.broadcast_to(shift, width)
    parts, start = [], 0
    for part in self.parts:
      cut = slice(start, start + len(part.scale))
      start = cut.stop
      moved = part.shift * scale[cut] + shift[cut]
      parts.append(dataclasses.replace(part, scale=part.scale * scale[cut], shift=moved))
    return dataclasses.replace(self, parts=tuple(parts))


def _run(jaxpr: core.Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
  """The values of the outputs: arrays, `_Constant`s or `_Pending`s."""
  used = [v for eqn in jaxpr.eqns for v in eqn.invars if not isinstance(v, core.Literal)]
  uses = collections.Counter(used + [v for v in jaxpr.outvars if not isinstance(v, core.Literal)])
  env: dict[Any, Any] = {}

  def write(var: Any, value: Any) -> None:
    shared = isinstance(value, _Pending) and uses[var] > 1
    env[var] = value.compute() if shared else value

  def read(atom: Any) -> Any:
    return _Constant(atom.val) if isinstance(atom, core.Literal) else env[atom]

  for var, value in zip(jaxpr.constvars, consts, strict=True):
    write(var, value if isinstance(value, (_Constant, _Pending)) else _Constant(value))
  for var, value in zip(jaxpr.invars, args, strict=True):
    write(var, value)
  for eqn in jaxpr.eqns:
    if any(uses[var] for var in eqn.outvars):
      for var, value in zip(eqn.outvars, _evaluate(eqn, [read(v) for v in eqn.invars])):
        write(var, value)
  return [read(v) for v in jaxpr.outvars]


def _evaluate(eqn: core.JaxprEqn, values: list[Any]) -> Sequence[Any]:
  """The values that an equation gives."""
  if (call := jaxprs.inside(eqn)) is not None:
    return _run(*call, values)
  if values and all(isinstance(v, _Constant) for v in values) and _is_small(eqn):
    with jax.ensure_compile_time_eval():
      return [_Constant(value) for value in jaxprs.bind(eqn, [v.value for v in values])]
  rule = _RULES.get(eqn.primitive.name)
  result = rule(eqn, values) if rule else None
  return [result] if result is not None else jaxprs.bind(eqn, [_plain(v) for v in values])


def _plain(value: Any) -> Any:
  if isinstance(value, _Constant):
    return value.value
  return value.compute() if isinstance(value, _Pending) else value


def _is_small(eqn: core.JaxprEqn) -> bool:
  """Whether the result of constants is worth storing: not larger than they are, and of one size."""
  size = lambda var: int(np.prod(_shape(var)))
  sizes = [d for var in eqn.outvars for d in _shape(var)]
  if not all(isinstance(d, int) for d in sizes):
    return False
  return sum(map(size, eqn.outvars)) <= sum(map(size, eqn.invars))


def _shape(var: Any) -> tuple[Any, ...]:
  return getattr(var.aval, "shape", ())


def _convolution(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
  """conv_general_dilated with a constant kernel."""
  numbers = eqn.params["dimension_numbers"]
  if eqn.params["batch_group_count"] != 1:
    return None
  return _product(eqn, values, numbers.rhs_spec[0], numbers.out_spec[1])


def _dot(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
  """dot_general with a constant matrix on the right that has one axis left."""
  (_, contracted), (batch, _) = eqn.params["dimension_numbers"]
  free = [axis for axis in range(len(_shape(eqn.invars[1]))) if axis not in contracted]
  if batch or len(free) != 1:
    return None
  return _product(eqn, values, free[0], len(_shape(eqn.outvars[0])) - 1)


def _product(eqn, values, kernel_axis: int, axis: int) -> _Pending | None:
  left, right = values
  kernel = right.value if isinstance(right, _Constant) else None
  out: Any = eqn.outvars[0].aval
  if kernel is None or not np.issubdtype(out.dtype, np.floating):
    return None
  kernel, x = np.asarray(kernel), _plain(left)
  channels = kernel.shape[kernel_axis]
  product = lambda scaled: jaxprs.bind(eqn, [x, scaled])[0]
  part = _Part(product, kernel, kernel_axis, np.ones(channels), np.zeros(channels))
  return _Pending((part,), axis, out.ndim)


def _concatenate(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
  """Pending products side by side, along their channels."""
  if not all(isinstance(v, _Pending) and v.axis == eqn.params["dimension"] for v in values):
    return None
  parts = tuple(part for v in values for part in v.parts)
  return dataclasses.replace(values[0], parts=parts)


def _affine(sign_left: int, sign_right: int) -> Callable[[core.JaxprEqn, list[Any]], Any]:
  """sign_left * left + sign_right * right, one of them pending and the other constant."""

  def rule(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
    left, right = values
    signs = sign_left, sign_right
    if not isinstance(left, _Pending):
      left, right, signs = right, left, signs[::-1]
    shift = _per_channel(right, left)
    return (
      None if shift is None else left.affine(np.asarray(signs[0], np.float64), signs[1] * shift)
    )

  return rule


def _times(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
  left, right = values if isinstance(values[0], _Pending) else values[::-1]
  scale = _per_channel(right, left)
  return None if scale is None else left.affine(scale, np.zeros(()))


def _over(eqn: core.JaxprEqn, values: list[Any]) -> _Pending | None:
  scale = _per_channel(values[1], values[0])
  return None if scale is None else values[0].affine(1 / scale, np.zeros(()))


def _per_channel(value: Any, pending: Any) -> np.ndarray | None:
  """A constant as float64 [] or [C] for the channels of a pending product; None if it is none."""
  if not isinstance(value, _Constant) or not isinstance(pending, _Pending):
    return None
  array = np.asarray(value.value, np.float64)
  if array.size == 1:
    return array.reshape(())
  elsewhere = [n for i, n in enumerate(array.shape) if i != pending.axis]
  aligned = array.ndim == pending.ndim and all(n == 1 for n in elsewhere)
  return array.reshape(-1) if aligned else None


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
  shape = [1] * ndim
  shape[axis] = -1
  return values.reshape(shape)


_RULES: dict[str, Callable[[core.JaxprEqn, list[Any]], Any]] = {
  "conv_general_dilated": _convolution,
  "dot_general": _dot,
  "concatenate": _concatenate,
  "add": _affine(1, 1),
  "sub": _affine(1, -1),
  "mul": _times,
  "div": _over,
}
