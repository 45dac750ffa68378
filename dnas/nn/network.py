# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a space describes: `Backbone`, and `Network` with a classifier on top.

Supernet and genotype network are the same class. A space with choices is called with mixing
weights for its searched cells; a genotype needs none.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dnas import naming
from dnas.nn import functional, layers, mixed
from dnas.nn import stem as stems
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Function, Linear
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space.space import Cell, SearchSpace, SpaceError

Weights = Mapping[str, Sequence[jax.Array]]  # cell name -> mixing weights [O] per edge
IMAGE_CHANNELS = 3  # RGB


class Backbone(nnx.Module):
  """Stem and cells of a space; the output of every cell, from the image on.

  Args:
    space: search space or genotype with its stages.
    search: batch norms without scale and bias, pools normed where the space says so. By default
      true exactly while a choice is left; true for a genotype gives the supernet's own path.
    supernet: how the cells that hold choices are built.
    rngs: initialises the weights.

  Attributes:
    channels, strides: of every cell's output, strides against the image.
  """

  def __init__(
    self,
    space: SearchSpace,
    *,
    search: bool | None = None,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    if not space.stages:
      raise SpaceError("stages: are empty; give the cells a network with dnas.space.macro")
    search = not space.is_genotype if search is None else search
    self.space = space
    self.stem = naming.resolve(space.stem, stems)(IMAGE_CHANNELS, space.stem_channels, rngs=rngs)
    channels, strides = list(self.stem.channels), list(self.stem.strides)
    cells = []
    for n, stage in enumerate(space.stages):
      cell = space.cells[stage.cell]
      if cell.inputs > len(channels):
        raise SpaceError(
          f"stages[{n}].cell: {stage.cell!r} has {cell.inputs} inputs, but only {len(channels)} "
          "feature maps come before it (two from the stem)"
        )
      for i in range(stage.repeats):
        stride = stage.stride if i == 0 else 1
        built = mixed.Cell(
          cell,
          channels[-cell.inputs :],
          strides[-cell.inputs :],
          stage.channels,
          stride,
          affine=not search,
          pool_norm=search and space.pool_norm,
          supernet=supernet,
          rngs=rngs,
        )
        cells.append(built)
        channels.append(built.c_out)
        strides.append(strides[-1] * stride)
    self.cells = nnx.List(cells)
    self.remat = supernet.remat
    self.names = tuple(stage.cell for stage in space.stages for _ in range(stage.repeats))
    self.channels, self.strides = tuple(channels[2:]), tuple(strides[2:])

  def __call__(self, image: jax.Array, weights: Weights, mode: Mode) -> list[jax.Array]:
    """The output of every cell.

    Args:
      image: `[B, H, W, 3]`.
      weights: mixing weights of the searched cells, `[O]` per edge, or `[places, O]` with a row for
        each place where the cell stands; `{}` for a genotype.
      mode: how the pass is meant.

    Returns:
      For each cell `[B, H / stride, W / stride, channels]`.
    """
    missing = sorted(set(self.names) & set(self.space.searched) - set(weights))
    if missing:
      raise ValueError(f"cells {missing} hold choices and need mixing weights, got {[*weights]}")
    outputs = [*self.stem(image, mode.at(0))]
    for i, (name, cell) in enumerate(zip(self.names, self.cells, strict=True), start=1):
      place = self.names[: i - 1].count(name)
      own = _at_place(weights.get(name), place)
      call = lambda cell, inputs, own, i=i: cell(inputs, own, mode.at(i))
      inputs = outputs[-cell.cell.inputs :]
      recompute = self.remat and mode.train and own is not None
      outputs.append(
        functional.rematerialised(cell, call, inputs, own) if recompute else call(cell, inputs, own)
      )
    return outputs[2:]

  def levels(self) -> dict[int, int]:
    """Stride -> index of the last cell at that stride: the feature maps that a neck takes."""
    return {stride: i for i, stride in enumerate(self.strides)}


def _at_place(edges: Sequence[jax.Array] | None, place: int) -> Sequence[jax.Array] | None:
  """The mixing weights of a cell at one of its places."""
  return None if edges is None else [w[place] if w.ndim == 2 else w for w in edges]


class AuxiliaryHead(nnx.Module):
  """DARTS' auxiliary classifier: average pool 5x5, 1x1 to 128, 2x2 to 768, linear.

  Args:
    c_in: channels of the features.
    classes: number of classes.
    imagenet: pool with stride 2 and leave the last batch norm out, as on ImageNet (stride 3 else).
    rngs: initialises the weights.
  """

  def __init__(self, c_in: int, classes: int, *, imagenet: bool, rngs: Rngs):
    self.pool_stride = 2 if imagenet else 3
    self.first = layers.Sequence(Conv(c_in, 128, 1, rngs=rngs), BatchNorm(128), jax.nn.relu)
    norm = [] if imagenet else [BatchNorm(768)]
    self.second = layers.Sequence(Conv(128, 768, 2, padding=(0, 0), rngs=rngs), *norm, jax.nn.relu)
    self.linear = Linear(768, classes, rngs=rngs)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, classes]`; H and W must be 8 (ImageNet: 7) or more."""
    self.check_size(*x.shape[1:3])
    x = nnx.avg_pool(jax.nn.relu(x), (5, 5), (self.pool_stride, self.pool_stride))
    x = self.second(self.first(x, mode), mode)
    return self.linear(x.astype(jnp.float32).mean((1, 2)))

  def check_size(self, height: int, width: int) -> None:
    """Raises SpaceError unless features of this size are large enough."""
    smallest = 5 + self.pool_stride
    if min(height, width) < smallest:
      raise SpaceError(
        f"the auxiliary head needs features of {smallest} x {smallest} or more, got "
        f"{height} x {width}: use larger images or no auxiliary head"
      )


class Network(nnx.Module):
  """A classifier on a space's backbone: supernet and derived network alike.

  Args:
    space: search space or genotype with its stages.
    classes: number of classes.
    search: as in `Backbone`.
    auxiliary: whether an auxiliary head stands behind the first cell of the last resolution.
    supernet: as in `Backbone`.
    rngs: initialises the weights.
  """

  def __init__(
    self,
    space: SearchSpace,
    classes: int,
    *,
    search: bool | None = None,
    auxiliary: bool = False,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    self.backbone = Backbone(space, search=search, supernet=supernet, rngs=rngs)
    channels = self.backbone.channels
    self.final_norm = BatchNorm(channels[-1]) if space.final_norm else None
    self.relu = Function(jax.nn.relu)
    self.linear = Linear(channels[-1], classes, rngs=rngs)
    self.auxiliary_at = self.backbone.strides.index(self.backbone.strides[-1])
    width, on_imagenet = channels[self.auxiliary_at], space.stem == "imagenet"
    self.auxiliary = (
      AuxiliaryHead(width, classes, imagenet=on_imagenet, rngs=rngs) if auxiliary else None
    )

  def __call__(
    self, image: jax.Array, weights: Weights, mode: Mode
  ) -> tuple[jax.Array, jax.Array | None]:
    """Logits `[B, classes]`, and the auxiliary head's while training (None otherwise).

    Args:
      image: `[B, H, W, 3]`.
      weights: mixing weights of the searched cells; `{}` for a genotype.
      mode: how the pass is meant.
    """
    outputs = self.backbone(image, weights, mode)
    x = outputs[-1]
    if self.final_norm is not None:
      x = self.relu(self.final_norm(x, mode), mode)
    logits = self.linear(x.astype(jnp.float32).mean((1, 2)))
    if self.auxiliary is None or not mode.train:
      return logits, None
    return logits, self.auxiliary(outputs[self.auxiliary_at], mode)


def inherit(supernet: nnx.Module, network: nnx.Module, widen: bool = False) -> None:
  """Gives a network the weights and batch statistics that it has inside a supernet.

  The operation on edge k of a decided cell takes those of the same operation on the edge that k
  decides, and each operation of a pruned edge its own; everything else those at the same place. The
  arrays are shared, not copied.

  Args:
    supernet: a `Backbone`, `Network` or detector of a search space.
    network: the same for a genotype of that space, or for a space with fewer operations on the same
      edges, built with `search=True`; changed in place.
    widen: whether arrays may be longer than their counterparts along some axes, never shorter:
      entry j is then entry j mod n of the n there are (a supernet with a smaller `partial`, DrNAS,
      2006.10355, section 3.4; there the copies are drawn at random).

  Raises:
    SpaceError: the genotype is not in the supernet's space, or something in `network` has no
      counterpart of its shape.
  """
  cells = {path: node for path, node in nnx.iter_graph(supernet) if isinstance(node, mixed.Cell)}
  places: dict[tuple, tuple] = {}  # operation of `network` -> operation of `supernet`
  for path, node in nnx.iter_graph(network):
    if isinstance(node, mixed.Cell) and path in cells:
      several = cells[path]
      for k, i in enumerate(_counterparts(several.cell, node.cell, _text(path))):
        for o, name in enumerate(node.edges[k].names):
          chosen = several.edges[i].names.index(name)
          places[*path, "edges", k, "ops", o] = (*path, "edges", i, "ops", chosen)
  source = dict(nnx.to_flat_state(nnx.state(supernet)))
  inherited = []
  for path, variable in nnx.to_flat_state(nnx.state(network)):
    at = next((path[:n] for n in range(len(path)) if path[:n] in places), ())
    origin = source.get((*places.get(at, ()), *path[len(at) :]))
    if origin is None or not _fits(origin.shape, variable.shape, widen):
      there = "nothing" if origin is None else origin.shape
      valid = "build the genotype's network like the supernet and with search=True"
      raise SpaceError(
        f"{_text(path)}: the supernet has {there} for this {variable.shape}; "
        f"{'valid: the same layers, none of them narrower' if widen else valid}"
      )
    inherited.append((path, variable.replace(_repeated(origin[...], variable.shape))))
  nnx.update(network, nnx.from_flat_state(inherited))


def _counterparts(several: Cell, fewer: Cell, field: str) -> Sequence[int]:
  """For each edge of a pruned or decided cell the index of the edge that it comes from."""
  ends = lambda cell: [(edge.src, edge.dst) for edge in cell.edges]
  if ends(several) == ends(fewer) and all(
    set(b.ops) <= set(a.ops) for a, b in zip(several.edges, fewer.edges, strict=True)
  ):
    return range(len(fewer.edges))
  return several.match(fewer, field)


def _fits(origin: Sequence[int], shape: Sequence[int], widen: bool) -> bool:
  """Whether an array of this shape can take the entries of its origin."""
  longer = len(origin) == len(shape) and all(a <= b for a, b in zip(origin, shape, strict=True))
  return longer if widen else origin == shape


def _repeated(x: jax.Array, shape: Sequence[int]) -> jax.Array:
  """x with its entries along each axis repeated in turn to `shape`."""
  for axis, size in enumerate(shape):
    if x.shape[axis] != size:
      x = x.take(np.arange(size) % x.shape[axis], axis=axis)
  return x


def _text(path: Sequence) -> str:
  return "/".join(map(str, path))


def image_to_float(image: jax.Array) -> jax.Array:
  """Bytes in [0, 255] to numbers in about [-2, 2]: (x - 127.5) / 64."""
  return (image.astype(jnp.float32) - 127.5) / 64
