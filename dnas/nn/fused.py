# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The edges of a searched cell evaluated together: the one place that decides how.

All edges that leave one node share its ReLU and its pools; equal convolutions become one with E
times the channels; and `mixing.mix` normalises, weighs and adds in one pass. The weights stay where
they are, in the modules of `mixed.Cell`, whose one-by-one form is the reference that this equals.

Only what is recognised here by its type is fused (`key_of`); any other operation, a user's own, is
called as it is, beside the fused ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dnas.cost import tally
from dnas.nn import blocks, dense, layers, mixing
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm, standardize

# Up to so many channels depthwise and pointwise convolution are merged into a dense one on a CPU.
MERGE_CHANNELS = 32


class Term(NamedTuple):
  """What one kind of operation gives for the edges of one source.

  Attributes:
    value: `[B, H, W, n * C]`, one part per edge; or `[B, H, W, C]`, the same for all of them.
    edges: indices of its n edges.
    indices: the operation's index in each of these edges.
    norms: the batch norm of each edge that follows, or () for none.
    shared: whether `value` is the same for all its edges.
    drops: whether drop-path drops it.
  """

  value: jax.Array
  edges: tuple[int, ...]
  indices: tuple[int, ...]
  norms: tuple[BatchNorm, ...]
  shared: bool
  drops: bool


def applies(weights: Sequence[jax.Array] | None, mode: Mode) -> bool:
  """Whether a call may be fused: training with mixing weights, not counted."""
  return weights is not None and mode.train and not tally.active()


def leaving(
  edges: Sequence[Any], x: jax.Array, weights: Sequence[jax.Array], modes: Sequence[Mode]
) -> list[jax.Array]:
  """What each of the edges that leave one node gives: [sum over o of w_eo * op_eo(x) for e].

  Args:
    edges: `MixedOp` modules of one stride and width.
    x: the node, `[B, H, W, C]`.
    weights: mixing weights `[O_e]` per edge.
    modes: how the pass of each edge is meant.

  Returns:
    For each edge `[B, H', W', C']`.
  """
  found: dict[tuple, list[tuple[int, int, Any]]] = {}
  rest: list[list[jax.Array]] = [[] for _ in edges]
  for e, edge in enumerate(edges):
    for i, op in enumerate(edge.ops):
      if isinstance(op, blocks.Zero):
        continue
      key = key_of(op)
      # What is dropped number by number is another value for each edge.
      if key is None or (key == (_identity,) and modes[e].skip_dropout is not None):
        rest[e].append(weights[e][i].astype(x.dtype) * blocks.drop(op, x, modes[e].at(i)))
      else:
        found.setdefault(key, []).append((e, i, op))
  relu: Any = _relu(x)
  terms = []
  for (kind, *_), members in found.items():
    where, indices, ops = (tuple(part) for part in zip(*members, strict=True))
    value, norms, shared = kind(x, relu, ops)
    terms.append(Term(value, where, indices, norms, shared, kind is not _identity))
  if terms:
    sums = _mix(terms, weights, modes, x.shape[0])
    rest = [[*([] if s is None else [s]), *others] for s, others in zip(sums, rest, strict=True)]
  zero = lambda edge: edge.ops[0](x, modes[0])
  return [sum(parts[1:], parts[0]) if parts else zero(e) for e, parts in zip(edges, rest)]


@jax.custom_vjp
def _relu(x: jax.Array) -> jax.Array:
  """max(x, 0), which keeps its value for the gradient, as what follows does, and nothing else."""
  return jnp.maximum(x, 0)


def _relu_forward(x):
  y = jnp.maximum(x, 0)
  return y, y


def _relu_backward(y, dy):
  return (jnp.where(y > 0, dy, 0),)


_relu.defvjp(_relu_forward, _relu_backward)


def _mix(
  terms: Sequence[Term], weights: Sequence[jax.Array], modes: Sequence[Mode], batch: int
) -> Sequence[jax.Array | None]:
  """The weighted sum of the terms for each edge, with the running statistics moved."""
  epsilon = lambda term: term.norms[0].epsilon if term.norms else None
  layout = tuple((term.edges, epsilon(term), term.shared) for term in terms)
  factors = [weights[e][i] for term in terms for e, i in zip(term.edges, term.indices, strict=True)]
  values = tuple(term.value for term in terms)
  survival = _survival(terms, modes, batch)
  mixed: Any = mixing.mix(values, survival, jnp.stack(factors), layout, len(modes))
  sums, means, variances = mixed
  for term, mean, var in zip(terms, means, variances, strict=True):
    _track(term.value, term.norms, term.shared, mean, var)
  return sums


def _survival(terms, modes: Sequence[Mode], batch: int) -> tuple[jax.Array | None, ...]:
  """`blocks.survival` of each term, `[n, batch]`; None of those that nothing drops."""
  dropped = [term.drops and modes[0].drop_path is not None for term in terms]
  places = [
    modes[e].at(i)
    for term, drops in zip(terms, dropped, strict=True)
    for e, i in zip(term.edges, term.indices, strict=True)
    if drops
  ]
  drawn = iter(blocks.survival(places, batch) if places else ())
  return tuple(
    jnp.stack([next(drawn) for _ in term.edges]) if drops else None
    for term, drops in zip(terms, dropped, strict=True)
  )


def _track(value, norms: Sequence[BatchNorm], shared: bool, mean, var) -> None:
  """Moves the running statistics of each edge's batch norm by its part of mean and variance."""
  count = value.size // value.shape[-1]
  width = value.shape[-1] // (1 if shared else max(len(norms), 1))
  for n, norm in enumerate(norms):
    part = (0, width) if shared else (n * width, (n + 1) * width)
    norm.track(lax.slice(mean, part[:1], part[1:]), lax.slice(var, part[:1], part[1:]), count)


# ---------------------------------------------------------------------------------------------
# Kinds of operations: (x, relu(x), operations) -> (value, norms, shared)


def _identity(x, relu, ops):
  return x, (), True


def _pool(x, relu, ops):
  return ops[0].pool(x, ops[0].stride), (), True


def _pool_norm(x, relu, ops):
  pool = ops[0].layers[0]
  return pool.pool(x, pool.stride), tuple(op.layers[1] for op in ops), True


def _conv(x, relu, ops):
  conv = ops[0].layers[1]
  kernel = _side_by_side([op.layers[1] for op in ops], x.dtype)
  norms = tuple(op.layers[2] for op in ops)
  if kernel.shape[:2] == (1, 1):
    return layers.conv2d(relu, kernel, conv.stride, conv.dilation, conv.padding), norms, False
  # Beside other operations processor time counts, and XLA's own gradient takes less of it.
  return _stock(relu, kernel, conv), norms, False


def _depthwise(x, relu, ops):
  return _convolved(relu, ops, len(ops) > 1), tuple(op.layers[3] for op in ops), False


def _separable(x, relu, ops):
  first, second = ([op.layers[i] for op in ops] for i in (0, 1))
  merge = len(ops) > 1
  y = _convolved(relu, first, merge)
  norms = tuple(op.layers[3] for op in first)
  standard: Any = standardize(y, norms[0].epsilon)
  y, mean, var = standard
  _track(y, norms, False, mean, var)
  width = y.shape[-1] // len(ops)
  cut = lambda n: lax.slice_in_dim(y, n * width, (n + 1) * width, axis=3)
  parts = [_convolved(_relu(cut(n)), [op], merge) for n, op in enumerate(second)]
  value = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
  return value, tuple(op.layers[3] for op in second), False


def _convolved(relu, ops: Sequence[Any], merge: bool) -> jax.Array:
  """Depthwise and pointwise convolution: of one operation, or merged of several.

  Merged they are one dense convolution, kernel dw * pw. Exact; more multiplications and more time,
  but at the rate of matrix products and with a fraction of the programs to compile.
  """
  if not merge:
    (op,) = ops
    return op.layers[2](op.layers[1](relu))
  kernels = []
  for op in ops:
    depthwise, pointwise = (op.layers[i].kernel[...].astype(relu.dtype) for i in (1, 2))
    kernels.append(depthwise[:, :, 0, :, None] * pointwise)
  kernel = kernels[0] if len(kernels) == 1 else jnp.concatenate(kernels, axis=-1)
  return _stock(relu, kernel, ops[0].layers[1])


def _stock(x: jax.Array, kernel: jax.Array, conv: layers.Conv) -> jax.Array:
  """XLA's convolution with this kernel, in the stride, dilation and padding of `conv`."""
  stride, pads = conv.stride, conv.padding
  if pads is None:
    height, width = (layers.same_padding(k, conv.dilation) for k in kernel.shape[:2])
    pads = height, width
  strides = (stride, stride) if isinstance(stride, int) else stride
  return dense.stock(x, kernel, strides, conv.dilation, pads)


def _side_by_side(convs: Sequence[layers.Conv], dtype) -> jax.Array:
  """The kernels of several convolutions as that of one with all their output channels."""
  kernels = [conv.kernel[...].astype(dtype) for conv in convs]
  return kernels[0] if len(kernels) == 1 else jnp.concatenate(kernels, axis=-1)


def key_of(op: Any) -> tuple | None:
  """(kind, what has to be equal to be evaluated together), None for what is not known here."""
  kind = type(op)  # The very type: a subclass may compute something else.
  if kind is blocks.Identity:
    return (_identity,)
  if kind is blocks.Pool and op.project is None:
    return _pool, op.pool, op.stride
  if kind is blocks.PoolNorm and op.layers[0].project is None and _plain(op.layers[1]):
    return _pool_norm, op.layers[0].pool, op.layers[0].stride, op.layers[1].epsilon
  if kind is blocks.ReluConvNorm and _dense(op.layers[1]) and _rectified(op, op.layers[2]):
    return _conv, _shape(op.layers[1]), op.layers[2].epsilon
  if kind is blocks.ReluDepthwiseNorm and _known(op):
    return _depthwise, _shape(op.layers[1]), op.layers[3].epsilon, _alone(op, op)
  if kind is blocks.Separable and all(_known(part) for part in op.layers):
    first, second = op.layers
    shapes = _shape(first.layers[1]), _shape(second.layers[1])
    return _separable, *shapes, first.layers[3].epsilon, second.layers[3].epsilon, _alone(op, first)
  return None


def _known(op: Any) -> bool:
  """Whether depthwise and pointwise convolution and batch norm are evaluated here: on CPUs."""
  depthwise, pointwise, batch_norm = op.layers[1:]
  each = depthwise.groups == depthwise.kernel.shape[3] and depthwise.kernel.shape[2] == 1
  free = depthwise.bias is None and depthwise.padding is None
  plain = pointwise.kernel.shape[:2] == (1, 1) and (pointwise.stride, pointwise.padding) == (
    1,
    None,
  )
  here = jax.default_backend() == "cpu"
  return here and each and free and plain and _dense(pointwise) and _rectified(op, batch_norm)


def _alone(op: Any, part: Any) -> int | None:
  """What keeps an operation from being merged with others: that it has many channels."""
  return id(op) if max(part.layers[2].kernel.shape[2:]) > MERGE_CHANNELS else None


def _dense(conv: layers.Conv) -> bool:
  """Whether a convolution has no groups and no bias."""
  return conv.groups == 1 and conv.bias is None


def _rectified(op: Any, norm: BatchNorm) -> bool:
  """Whether what begins with a ReLU does so, and ends with a norm that is plain."""
  first = op.layers[0]
  return isinstance(first, layers.Function) and first.function is jax.nn.relu and _plain(norm)


def _plain(norm: BatchNorm) -> bool:
  return norm.scale is None and norm.bias is None


def _shape(conv: layers.Conv) -> tuple:
  return conv.kernel.shape, conv.stride, conv.dilation, conv.padding
