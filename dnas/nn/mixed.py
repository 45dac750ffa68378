# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The mixed operation of an edge, and the cell: the same modules searched and decided."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from dnas import naming
from dnas.cost import tally
from dnas.nn import blocks, fused, looped, ops
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.nn.supernet import PLAIN, Supernet, bypass, only_largest, sampled, seen
from dnas.space import space as spaces

FUSE = True  # Whether cells evaluate their edges together where they can (see `dnas.nn.fused`).


class MixedOp(nnx.Module):
  """y = sum over o of w_o * op_o(x), or y = op(x) where one operation is left (1806.09055, eq. 2).

  Args:
    names: operations by name (`dnas.nn.ops`) or dotted path.
    c_in, c_out, stride: what each of them maps.
    affine: whether batch norms have scale and bias.
    pool_norm: whether batch norm follows pooling.
    supernet: what there is besides the weighted sum.
    rngs: initialises the weights.
  """

  def __init__(
    self,
    names: Sequence[str],
    c_in: int,
    c_out: int,
    stride: int,
    *,
    affine: bool,
    pool_norm: bool,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    self.names = tuple(names)
    self.c_in, self.c_out, self.stride = c_in, c_out, stride
    self.partial = supernet.partial
    c_seen, c_made = seen(c_in, c_out, self.partial), c_out // self.partial
    built = []
    for name in names:
      op = naming.resolve(name, ops)(c_seen, c_made, stride, affine=affine, rngs=rngs)
      if pool_norm and isinstance(op, blocks.Pool):
        op = blocks.PoolNorm(op, BatchNorm(c_made, affine=affine))
      built.append(op)
    self.ops = nnx.List(built)
    self.single = supernet.single_path
    self.auxiliary = (
      ops.skip_connect(c_in, c_out, stride, affine=affine, rngs=rngs)
      if supernet.auxiliary_skip
      else None
    )

  def __call__(self, x: jax.Array, weights: jax.Array | None, mode: Mode) -> jax.Array:
    """Applies the operations.

    Args:
      x: `[B, H, W, c_in]`.
      weights: mixing weights `[O]`; None where one operation is left.
      mode: how the pass is meant.

    Returns:
      `[B, ceil(H / stride), ceil(W / stride), c_out]`.
    """
    tally.saw(self, x.shape)
    if weights is None:
      if len(self.ops) != 1:
        raise ValueError(f"{len(self.ops)} operations {self.names} need mixing weights")
      return blocks.drop(self.ops[0], x, mode)
    if weights.shape != (len(self.ops),):
      raise ValueError(
        f"weights of shape {weights.shape} for {len(self.ops)} operations {self.names}"
      )
    part = self.part(x)
    if self.single and not looped.pays([self]):
      y = sampled(self.ops, part, weights, mode, blocks.drop)
    else:
      masked = self.masked(weights)
      # The zero operation adds nothing; its weight only takes from the others.
      terms = [
        masked[i].astype(x.dtype) * blocks.drop(op, part, mode.at(i))
        for i, op in enumerate(self.ops)
        if not isinstance(op, blocks.Zero)
      ]
      y = functools.reduce(jnp.add, terms) if terms else self.ops[0](part, mode)
    return self.whole(y, x, weights, mode)

  def part(self, x: jax.Array) -> jax.Array:
    """The channels that the operations see: `[B, H, W, C / K]`."""
    return x if self.partial == 1 else x[..., : x.shape[-1] // self.partial]

  def masked(self, weights: jax.Array) -> jax.Array:
    """The mixing weights as they count."""
    return only_largest(weights) if self.single else weights

  def whole(self, y: jax.Array, x: jax.Array, weights: jax.Array, mode: Mode) -> jax.Array:
    """The edge's output, from the weighted sum `y` and the input `x`."""
    if self.partial > 1:
      y = bypass(y, x, jnp.sum(weights), self.partial, self.stride)
    if self.auxiliary is not None and mode.auxiliary_skip is not None:
      skip = self.auxiliary(x, mode)  # pyright: ignore[reportCallIssue]
      y = y + jnp.asarray(mode.auxiliary_skip).astype(y.dtype) * skip
    return y


class Cell(nnx.Module):
  """A cell of a space as a module: inputs brought to size, nodes summed, outputs concatenated.

  node_j = sum over edges (i, j) of mixed_ij(node_i); y = concat(node_j for j in output).

  Args:
    cell: the description.
    c_in: channels of each input.
    stride_in: stride of each input against the image; the last input's counts, an earlier one may
      have half of it (the cell before was a reduction).
    channels: width of each node.
    stride: 1 or 2, on the edges that leave the inputs.
    affine, pool_norm, rngs: as in `MixedOp`.
    supernet: as in `MixedOp`, if the cell holds a choice.
  """

  def __init__(
    self,
    cell: spaces.Cell,
    c_in: Sequence[int],
    stride_in: Sequence[int],
    channels: int,
    stride: int,
    *,
    affine: bool,
    pool_norm: bool,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    self.cell = cell
    self.channels = channels
    supernet = PLAIN if cell.is_decided else supernet
    self.fused = FUSE
    if cell.inputs == 1:
      self.prepare = None
      widths = [c_in[0]]
    else:
      self.prepare = nnx.List(
        blocks.bring_to(c, channels, stride_in[-1] // s, affine=affine, rngs=rngs)
        for c, s in zip(c_in, stride_in, strict=True)
      )
      widths = [channels] * cell.inputs
    self.edges = nnx.List(
      MixedOp(
        edge.ops,
        widths[edge.src] if edge.src < cell.inputs else channels,
        channels,
        stride if edge.src < cell.inputs else 1,
        affine=affine,
        pool_norm=pool_norm,
        supernet=supernet,
        rngs=rngs,
      )
      for edge in cell.edges
    )
    self.loops = () if cell.is_decided else looped.groups(cell, self.edges)

  @property
  def c_out(self) -> int:
    """Channels of the output."""
    return self.channels * len(self.cell.output)

  def __call__(
    self,
    inputs: Sequence[jax.Array],
    weights: Sequence[jax.Array] | None,
    mode: Mode,
  ) -> jax.Array:
    """Computes the cell.

    Args:
      inputs: the last `cell.inputs` feature maps, `[B, H, W, C]` each.
      weights: mixing weights `[O]` per edge; None for a decided cell.
      mode: how the pass is meant.
    """
    inputs = list(inputs)
    if self.prepare is not None:
      inputs = [prepare(x, mode) for prepare, x in zip(self.prepare, inputs, strict=True)]
    nodes = dict(enumerate(inputs))
    nodes = self._nodes(nodes, weights, mode)
    outputs = [nodes[node] for node in self.cell.output]
    return outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=-1)

  def _nodes(self, nodes, weights, mode: Mode) -> dict[int, jax.Array]:
    """All nodes, from the inputs, in the form that is fast."""
    single = any(edge.single for edge in self.edges)
    together = self.fused and fused.applies(weights, mode)
    alone = self.fused and single and weights is not None and not tally.active()
    pays = (together or alone) and looped.pays(self.edges)
    if self.loops and pays:
      return self._nodes_in_loops(nodes, weights, mode)
    if together and (not single or pays):
      return self._nodes_by_source(nodes, weights, mode)
    return self._nodes_by_edge(nodes, weights, mode)

  def _nodes_by_edge(self, nodes, weights, mode: Mode) -> dict[int, jax.Array]:
    """All nodes, edge by edge and operation by operation."""
    for node in self.cell.nodes:
      terms = [
        self.edges[i](
          nodes[self.cell.edges[i].src], None if weights is None else weights[i], mode.at(i)
        )
        for i in self.cell.incoming(node)
      ]
      nodes[node] = functools.reduce(jnp.add, terms)
    return nodes

  def _nodes_in_loops(self, nodes, weights, mode: Mode) -> dict[int, jax.Array]:
    """All nodes, one edge after another in loops."""
    given = [nodes[n] for n in range(self.cell.inputs)]
    found = looped.nodes(self.cell, self.edges, self.loops, given, weights, mode, _alone)
    return dict(enumerate(found))

  def _nodes_by_source(self, nodes, weights, mode: Mode) -> dict[int, jax.Array]:
    """All nodes, the edges that leave one of them together."""
    for source in range(self.cell.inputs + len(self.cell.nodes)):
      chosen = [i for i, edge in enumerate(self.cell.edges) if edge.src == source]
      if not chosen:
        continue
      edges, x = [self.edges[i] for i in chosen], nodes[source]
      masked = [edge.masked(weights[i]) for i, edge in zip(chosen, edges, strict=True)]
      modes = [mode.at(i) for i in chosen]
      terms = fused.leaving(edges, edges[0].part(x), masked, modes)
      for i, edge, y in zip(chosen, edges, terms, strict=True):
        term, node = edge.whole(y, x, weights[i], mode.at(i)), self.cell.edges[i].dst
        nodes[node] = nodes[node] + term if node in nodes else term
    return nodes


def _alone(edge: MixedOp, mode: Mode, x: jax.Array, weights: jax.Array) -> jax.Array:
  """What one edge gives, `edge(x, weights, mode)` in the form that is fast."""
  part = edge.part(x)
  if edge.single:
    y = sampled(edge.ops, part, weights, mode, blocks.drop)
  else:
    (y,) = fused.leaving([edge], part, [weights], [mode])
  return edge.whole(y, x, weights, mode)
