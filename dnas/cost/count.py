# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Exact parameters and multiply-accumulates of any network, without running it.

Convention: MACs of convolutions and linear layers, padding counted as if dense; no bias, norm or
pooling. One MAC is one multiplication and one addition (two FLOPs).

>>> from dnas.cost.count import count
>>> from dnas.nn.init import Rngs
>>> from dnas.nn.layers import Conv
>>> from dnas.nn.mode import Mode
>>> conv = Conv(3, 8, 3, rngs=Rngs(None))  # no weights are drawn
>>> cost = count(conv, lambda conv, images: conv(images, Mode()), (32, 32, 3))
>>> cost.params, cost.macs == 32 * 32 * cost.params
(216, True)
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
from flax import nnx

from dnas.cost import tally


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs.

  Attributes:
    params: number of weights, batch statistics and architecture logits left out.
    macs: multiply-accumulates for one image.
    rows: (module path, params, MACs) of every layer that has weights or does work, in order.
    inputs: path of each mixed operation -> the shapes of its inputs at one image, call by call.
  """

  params: int
  macs: int
  rows: tuple[tuple[str, int, int], ...]
  inputs: Mapping[str, tuple[tuple[int, ...], ...]] = dataclasses.field(default_factory=dict)

  def by(self, depth: int) -> list[tuple[str, int, int]]:
    """`rows` summed over the first `depth` parts of the path, in order."""
    total: dict[str, list[int]] = {}
    for path, params, macs in self.rows:
      entry = total.setdefault("/".join(path.split("/")[:depth]), [0, 0])
      entry[0] += params
      entry[1] += macs
    return [(path, params, macs) for path, (params, macs) in total.items()]


def count(
  module: nnx.Module, call: Callable[[nnx.Module, jax.Array], object], image: Sequence[int]
) -> Cost:
  """Parameters and MACs of `call(module, images)` for one image.

  The call is only traced, on shapes: a network of any size is counted in about a second.

  Args:
    module: a network; built with `Rngs(None)`, which draws no weights, where it is only counted.
    call: how it is run, `lambda network, images: network(images, {}, Mode())`.
    image: height, width and channels.
  """
  graphdef, state = nnx.split(module)
  macs: dict[str, int] = {}
  inputs: dict[str, list[tuple[int, ...]]] = {}

  def run(state, images):
    merged = nnx.merge(graphdef, state)
    with tally.listening() as calls, tally.watching() as shapes:
      call(merged, images)
    paths = {id(node): _name(path) for path, node in nnx.iter_graph(merged)}
    for layer, amount in calls:
      macs[paths[id(layer)]] = macs.get(paths[id(layer)], 0) + amount
    for module, shape in shapes:
      inputs.setdefault(paths[id(module)], []).append(shape)
    return 0

  jax.eval_shape(run, state, jax.ShapeDtypeStruct((1, *image), "float32"))
  params: dict[str, int] = {}
  for path, variable in nnx.to_flat_state(nnx.state(module, nnx.Param)):
    name = _name(path[:-1])
    params[name] = params.get(name, 0) + int(variable.size)
  names = list(dict.fromkeys([*params, *macs]))
  rows = tuple((name, params.get(name, 0), macs.get(name, 0)) for name in names)
  taken = {path: tuple(shapes) for path, shapes in inputs.items()}
  return Cost(sum(params.values()), sum(macs.values()), rows, taken)


def _name(path: Sequence) -> str:
  return "/".join(str(part) for part in path)
