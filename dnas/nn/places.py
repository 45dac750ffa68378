# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Where the candidate operations of a space stand in a network, at which size, and what each costs.

found = places(space, model, call, image)      # model: a network of the space, search=False
model_of_macs = cost_model("macs", space, found, total, lambda place: place.macs)
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dnas import naming
from dnas.cost import count, energy
from dnas.cost.model import CostModel
from dnas.nn import blocks, functional, mixed, ops, qarepvgg
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Backbone
from dnas.nn.yolo_nas import YoloNas
from dnas.space.space import SearchSpace


class Operation(NamedTuple):
  """An operation at one size: what a measurement belongs to.

  Attributes:
    name: as in a space.
    c_in, c_out: channels.
    height, width: of its input, px.
    stride: 1 or 2.
  """

  name: str
  c_in: int
  c_out: int
  height: int
  width: int
  stride: int

  def __str__(self) -> str:
    return f"{self.name} {self.c_in}->{self.c_out} {self.height}x{self.width} stride {self.stride}"

  @property
  def activations(self) -> int:
    """Numbers in its input and its output, for one image."""
    height, width = -(-self.height // self.stride), -(-self.width // self.stride)
    return self.c_in * self.height * self.width + self.c_out * height * width


class Place(NamedTuple):
  """A candidate at one place of a network.

  Attributes:
    cell, edge, op: name of the cell, number of the edge, number of the operation on it.
    operation: what it is.
    params, macs: what it costs there.
    does_work: False for the zero operation and the identity.
  """

  cell: str
  edge: int
  op: int
  operation: Operation
  params: int
  macs: int
  does_work: bool


@dataclasses.dataclass(frozen=True)
class Places:
  """All candidates of a space in one network, and the whole network with all of them.

  Attributes:
    found: the candidates, in the network's order.
    params, macs: of what is no candidate.
  """

  found: tuple[Place, ...]
  params: int
  macs: int

  @property
  def operations(self) -> tuple[Operation, ...]:
    """Each operation that does work at each of its sizes, once."""
    return tuple(dict.fromkeys(p.operation for p in self.found if p.does_work))


def uniform(space: SearchSpace) -> dict[str, tuple[np.ndarray, ...]]:
  """Equal mixing weights for every edge of the searched cells."""
  row = lambda edge: np.full(len(edge.ops), 1 / len(edge.ops), np.float32)
  return {name: tuple(row(edge) for edge in space.cells[name].edges) for name in space.searched}


def places(
  space: SearchSpace,
  model: nnx.Module,
  call: Callable[[Any, Any, jax.Array, Mode], Any],
  image: Sequence[int],
) -> Places:
  """The candidates of a space in a network of it; nothing is run, shapes are traced.

  Args:
    space: the search space.
    model: its network, built with `Rngs(None)` and `search=False`, so that norms are those of
      derived networks.
    call: (model, mixing weights, images, mode) -> anything: how it is run.
    image: height and width.
  """
  weights = uniform(space)
  counted = count.count(model, lambda m, images: call(m, weights, images, Mode()), (*image, 3))
  nodes = list(nnx.iter_graph(model))
  backbones = [node for _, node in nodes if isinstance(node, Backbone)]
  names = {id(c): n for b in backbones for c, n in zip(b.cells, b.names, strict=True)}
  if isinstance(model, YoloNas):
    names |= {id(cell): name for name, cell in model.named_cells()}
  found = []
  for path, node in nodes:
    if not isinstance(node, mixed.Cell) or node.cell.is_decided:
      continue
    name = names.get(id(node), "fusion")  # What else stands outside the backbone is a neck's.
    for e, edge in enumerate(node.edges):
      at = "/".join(map(str, (*path, "edges", e)))
      (_, height, width, _) = counted.inputs[at][0]
      for o, op in enumerate(edge.ops):
        inside = [row for row in counted.rows if row[0].startswith(f"{at}/ops/{o}/")]
        inside += [row for row in counted.rows if row[0] == f"{at}/ops/{o}"]
        operation = Operation(edge.names[o], edge.c_in, edge.c_out, height, width, edge.stride)
        params, macs = sum(r[1] for r in inside), sum(r[2] for r in inside)
        works = not isinstance(op, blocks.Identity | blocks.Zero)
        found.append(Place(name, e, o, operation, params, macs, works))
  params, macs = sum(p.params for p in found), sum(p.macs for p in found)
  return Places(tuple(found), counted.params - params, counted.macs - macs)


def cost_model(
  name: str,
  space: SearchSpace,
  found: Places,
  fixed: float,
  cost: Callable[[Place], float],
  dead_is_free: bool = False,
) -> CostModel:
  """The cost model whose operations cost the sum of `cost(place)` over their places.

  Args:
    name: of the cost.
    space: the search space.
    found: its places.
    fixed: what else a network costs.
    cost: of a candidate at a place; asked only where it does work.
    dead_is_free: see `CostModel`.
  """
  table = {
    cell: tuple(np.zeros(len(edge.ops)) for edge in space.cells[cell].edges)
    for cell in space.searched
  }
  for place in found.found:
    if place.does_work:
      table[place.cell][place.edge][place.op] += cost(place)
  return CostModel(name, space, fixed, table, dead_is_free)


def counts(space: SearchSpace, found: Places) -> dict[str, CostModel]:
  """The models of what can be counted: `macs` and `params`, exact for every genotype."""
  return {
    "macs": cost_model("macs", space, found, found.macs, lambda place: place.macs),
    "params": cost_model("params", space, found, found.params, lambda place: place.params),
  }


def energy_estimate(space: SearchSpace, found: Places, **options: str) -> CostModel:
  """The estimated energy, `energy.estimate_mj`, of every genotype.

  Activations are counted where candidates stand; of the rest of the network, which all genotypes
  share, MACs and weights are.

  Args:
    space: the search space.
    found: its places.
    **options: `precision`, `weights_in`, `activations_in` of `energy.estimate_mj`.
  """

  def cost(place: Place) -> float:
    return energy.estimate_mj(place.macs, place.params, place.operation.activations, **options)

  fixed = energy.estimate_mj(found.macs, found.params, 0, **options)
  return cost_model("energy_mj", space, found, fixed, cost, dead_is_free=True)


def program(operation: Operation, batch: int, dtype: str, copies: int) -> Callable[[], Any]:
  """A function that runs an operation `copies` times on the device, in one compiled program.

  So the time of starting a program, which a network pays once, counts little. The copies have
  weights of their own, constants of the program as in a network that is deployed; where sizes allow
  it each gets the output of the one before, as in a network, else an input of its own. It is
  compiled and run once here.

  Args:
    operation: what to run, as in evaluation: blocks with branches as one convolution each.
    batch: images.
    dtype: of activations and weights.
    copies: 1 or more.
  """
  build = naming.resolve(operation.name, ops)
  shape = (operation.c_in, operation.c_out, operation.stride)
  modules = [build(*shape, affine=True, rngs=Rngs(jax.random.key(i))) for i in range(copies)]
  parts = [functional.split(qarepvgg.fuse(module)) for module in modules]
  statics = [static for static, _, _ in parts]
  state = jax.tree.map(
    lambda x: jnp.asarray(x, dtype), [(params, stats) for _, params, stats in parts]
  )
  chained = operation.stride == 1 and operation.c_in == operation.c_out
  size = (batch, operation.height, operation.width, operation.c_in)
  inputs = [
    jax.random.normal(jax.random.key(i), size).astype(dtype)
    for i in range(1 if chained else copies)
  ]

  @jax.jit
  def run(inputs):
    outputs, y = [], inputs[0]
    for i, static in enumerate(statics):
      x = y if chained else inputs[i]
      y = static.merge(*state[i])(x, Mode())
      outputs.append(y)
    return y if chained else outputs

  compiled = run.lower(inputs).compile()
  start = lambda: jax.block_until_ready(compiled(inputs))
  start()
  return start
