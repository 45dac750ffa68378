# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A traced function evaluated again equation by equation, for converters that lack some of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax.extend import core

Written = Mapping[str, Callable[..., Any]]


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
    name = eqn.primitive.name
    if name in ("jit", "pjit"):
      inner = eqn.params["jaxpr"]
      results = replay(inner.jaxpr, inner.consts, values, written)
    elif name in ("custom_jvp_call", "custom_vjp_call"):
      inner = eqn.params["call_jaxpr"]
      results = replay(inner.jaxpr, inner.consts, values, written)
    elif name in written:
      results = [written[name](eqn, *values)]
    else:
      results = bind(eqn, values)
    env.update(zip(eqn.outvars, results, strict=True))
  return [read(env, atom) for atom in jaxpr.outvars]


def read(env: Mapping[Any, Any], atom: Any) -> Any:
  """The value of an equation's input."""
  return atom.val if isinstance(atom, core.Literal) else env[atom]


def bind(eqn: core.JaxprEqn, values: Sequence[Any]) -> list[Any]:
  """The results of an equation as it stands."""
  results = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
  return list(results) if eqn.primitive.multiple_results else [results]
