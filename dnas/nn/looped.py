# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Edges of a searched cell that differ in their numbers only, one after another in a loop.

On a CPU a depthwise convolution is a program of its own for each kernel, stride and width
(`depthwise`), and to trace and compile those of all edges of the DARTS space takes minutes. In a
loop there are those of one edge, traced once for all cells where an edge has that size.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dnas.nn import blocks, functional, rows
from dnas.nn.mode import Mode
from dnas.space.cell import Cell

Ends = tuple[tuple[int, int, int], ...]  # (source, target, number in the cell) of each edge
Call = Callable[[Any, Mode, jax.Array, jax.Array], jax.Array]


def pays(edges: Sequence[Any]) -> bool:
  """Whether a loop is worth while: on CPUs, where some edge may be a depthwise convolution."""
  return _has_depthwise(edges) and jax.default_backend() == "cpu"


def groups(cell: Cell, edges: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
  """The edges of a cell in the order of a loop, or of two: from the inputs, then from its nodes.

  () where a loop pays nowhere and where edges that would share one differ. It does not ask what
  device there is: a network may be built where none is wanted, to be counted.
  """
  if not _has_depthwise(edges):
    return ()
  kinds = [functional.split(edge)[0] for edge in edges]
  order = [i for node in cell.nodes for i in cell.incoming(node)]
  first = tuple(i for i in order if cell.edges[i].src < cell.inputs)
  then = tuple(i for i in order if cell.edges[i].src >= cell.inputs)
  equal = lambda members: all(kinds[i] == kinds[members[0]] for i in members)
  if then and equal(order):
    return (tuple(order),)
  return tuple(filter(None, (first, then))) if equal(first) and equal(then) else ()


def _has_depthwise(edges: Sequence[Any]) -> bool:
  slow = blocks.ReluDepthwiseNorm | blocks.Separable
  return any(isinstance(op, slow) for edge in edges for op in edge.ops)


def nodes(
  cell: Cell,
  edges: Sequence[Any],
  loops: Sequence[Sequence[int]],
  inputs: Sequence[jax.Array],
  weights: Sequence[jax.Array],
  mode: Mode,
  call: Call,
) -> list[jax.Array]:
  """All nodes of a cell: its inputs, and sum over edges (s, t) of what `call` gives.

  Args:
    cell: what its edges join.
    edges: modules; their batch statistics move.
    loops: their `groups`.
    inputs: `[B, H, W, C]` each.
    weights: mixing weights of each edge, `[O]`.
    mode: how the pass is meant.
    call: (edge, its mode, its source, its weights) -> what it adds to its target. A function of a
      module, for it is traced once for edges that are built alike.
  """
  given, at = jnp.stack(inputs), cell.inputs
  batch, *size, _ = given.shape[1:]
  stride, channels = edges[loops[0][0]].stride, edges[0].c_out
  shape = len(cell.nodes), batch, *(-(-n // stride) for n in size), channels
  sums = jnp.zeros(shape, given.dtype)
  for members in loops:
    chosen = [cell.edges[i] for i in members]
    part = [edges[i] for i in members], [weights[i] for i in members], mode, call
    outer = [edge.src < at for edge in chosen]
    ends = [(edge.src, edge.dst, i) for edge, i in zip(chosen, members, strict=True)]
    if all(outer):
      sums = _sums(*part, tuple((s, t - at, i) for s, t, i in ends), given, sums)
    elif not any(outer):
      sums = _sums(*part, tuple((s - at, t - at, i) for s, t, i in ends), None, sums)
    else:
      sums = _sums(*part, tuple(ends), None, jnp.concatenate([given, sums]))
      return [sums[n] for n in range(at + len(cell.nodes))]
  return [*inputs, *(sums[n] for n in range(len(cell.nodes)))]


def _sums(edges, weights, mode, call, ends: Ends, sources: jax.Array | None, sums: jax.Array):
  """sums[t] + sum over edges (s, t) of call(.., sources[s], weights), in the order of the edges.

  Where there are no sources they are the sums: an edge sees what those before it have added.
  """
  kind = _Kind(functional.split(edges[0])[0], call)
  variables = [functional.variables(edge) for edge in edges]
  params, stats = (
    [rows.stack([own.get_value() for own in alike]) for alike in zip(*lists, strict=True)]
    for lists in zip(*variables, strict=True)
  )
  numbers: Any = _add(kind, ends, sources, sums, params, jnp.stack(weights), stats, mode)
  # Without gradient, or it takes an eighth of the time to trace everything.
  sums, moved = numbers[0], lax.stop_gradient(numbers[1])
  for number, whole in enumerate(moved):
    for (_, own), value in zip(variables, rows.cut(whole), strict=True):
      own[number].set_value(value)
  return sums


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _add(kind, ends: Ends, sources, sums, params, weights, stats, mode: Mode):
  """(`_sums`, moved statistics), for edges of one `_Kind`.

  The rule is there because JAX' own would add to the gradients of all nodes for each edge, which
  costs more than a convolution.
  """
  return _forward(kind, ends, sources, sums, params, weights, stats, mode)[0]


def _forward(kind, ends: Ends, sources, sums, params, weights, stats, mode):
  def step(sums, edge):
    params, weights, stats, (source, target, number) = edge
    x = _at(sums if sources is None else sources, source)
    y, stats = _value(kind, params, weights, x, stats, mode.at(number))
    return _add_at(sums, target, y), stats

  sums, moved = lax.scan(step, sums, (params, weights, stats, _numbers(ends)))
  return (sums, moved), (sources, sums, params, weights, stats, mode)


def _backward(kind, ends: Ends, residuals, cotangents):
  """dsources[s] += the edge's gradient of x at dsums[t], from the last edge to the first.

  What an edge computes is computed anew: to keep it for all edges takes as long, and the memory.
  """
  sources, sums, params, weights, stats, mode = residuals
  own, dsums = sources is None, cotangents[0]

  def step(gradients, edge):
    params, weights, stats, (source, target, number) = edge
    x = _at(sums if own else sources, source)  # No edge adds to a node behind one that leaves it.
    dy = _at(gradients if own else dsums, target)
    *rest, dx = _slopes(kind, params, weights, x, stats, mode.at(number), dy)
    return _add_at(gradients, source, dx), rest

  start = dsums if own else jnp.zeros_like(sources)
  edges = params, weights, stats, _numbers(ends)
  total, rest = lax.scan(step, start, edges, reverse=True)
  dstats = jax.tree.map(jnp.zeros_like, stats)
  return None if own else total, total if own else dsums, *rest, dstats, None


_add.defvjp(_forward, _backward)


class _Kind(NamedTuple):
  """What edges that are built alike have in common; hashable."""

  static: functional.Static
  call: Call

  def __call__(self, params, weights, x, stats, mode: Mode):
    """(What the edge adds, its moved statistics)."""
    module = self.static.merge(params, stats)
    return self.call(module, mode, x, weights), jax.tree.leaves(functional.stats_of(module))


@functools.partial(jax.jit, static_argnums=0)
def _value(kind: _Kind, params, weights, x, stats, mode: Mode):
  """What an edge gives, in operations that forward mode passes: it does not pass other rules."""
  run = lambda params, weights, x: kind(params, weights, x, stats, mode)
  y, _, moved = jax.vjp(run, params, weights, x, has_aux=True)
  return y, moved


@functools.partial(jax.jit, static_argnums=0)
def _slopes(kind: _Kind, params, weights, x, stats, mode: Mode, dy):
  """The gradients of an edge's params, weights and x, for that of what it gives."""
  run = lambda params, weights, x: kind(params, weights, x, stats, mode)[0]
  _, pull = jax.vjp(run, params, weights, x)
  return pull(dy)


def _numbers(ends: Ends) -> tuple[jax.Array, ...]:
  return tuple(jnp.asarray(end, jnp.int32) for end in zip(*ends, strict=True))


def _at(x: jax.Array, index: jax.Array) -> jax.Array:
  return lax.dynamic_index_in_dim(x, index, keepdims=False)


def _add_at(x: jax.Array, index: jax.Array, y: jax.Array) -> jax.Array:
  return lax.dynamic_update_index_in_dim(x, _at(x, index) + y, index, 0)
