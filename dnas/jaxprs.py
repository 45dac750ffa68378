# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Traced functions (jaxprs) evaluated again, equation by equation.

`nn.fold` does so to fold batch norms, `finite` to find the first NaN, `export` for converters that
lack some operations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax.extend import core

Written = Mapping[str, Callable[..., Any]]

# Evaluated in place: without gradients, a custom rule is its function.
_CALLS = {
  *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2"),
  *("custom_jvp_call", "custom_vjp_call"),
}


def inside(eqn: core.JaxprEqn) -> tuple[core.Jaxpr, Sequence[Any]] | None:
  """The jaxpr that an equation calls, and its constants; None if the equation is no call."""
  if eqn.primitive.name not in _CALLS:
    return None
  inner: Any = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
  return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())  # Open ones have none.


def read(env: Mapping[Any, Any], atom: Any) -> Any:
  """The value of an equation's input."""
  return atom.val if isinstance(atom, core.Literal) else env[atom]


def bind(eqn: core.JaxprEqn, values: Sequence[Any]) -> list[Any]:
  """The results of an equation as it stands."""
  bound = eqn.primitive.get_bind_params(eqn.params)
  functions, params = bound if isinstance(bound, tuple) else ((), bound)  # Older jax: a pair.
  with eqn.ctx.manager:
    results = eqn.primitive.bind(*functions, *values, **params)
  return list(results) if eqn.primitive.multiple_results else [results]


def replay(
  jaxpr: core.Jaxpr, consts: Sequence[Any], args: Sequence[Any], written: Written
) -> list[Any]:
  """The outputs of a jaxpr, calls in place and some equations written otherwise.

  Args:
    jaxpr: what was traced.
    consts: of the jaxpr.
    args: its arguments.
    written: name of a primitive -> (equation, *values) -> its only result.
  """
  env = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, args, strict=True))
  for eqn in jaxpr.eqns:
    values = [read(env, atom) for atom in eqn.invars]
    if (call := inside(eqn)) is not None:
      results = replay(*call, values, written)
    elif eqn.primitive.name in written:
      results = [written[eqn.primitive.name](eqn, *values)]
    else:
      results = bind(eqn, values)
    env.update(zip(eqn.outvars, results, strict=True))
  return [read(env, atom) for atom in jaxpr.outvars]
