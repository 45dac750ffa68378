# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a genotype or a search space is, and what its network costs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from dnas import terminal
from dnas.cost import count, model
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.space import genotypes
from dnas.space.cell import Cell
from dnas.space.published import SPACES, load_space, with_network
from dnas.space.space import SearchSpace

_CLASSES_AND_PX = {"cifar": (10, 32), "imagenet": (1000, 224), "nasbench201": (10, 32)}

Row = tuple[str, int, int]  # (what, parameters, MACs)


@dataclasses.dataclass(frozen=True)
class Info:
  """A network and what it costs.

  Attributes:
    space: the genotype or search space with the stages of the network.
    network: name of the network in `published.NETWORKS` with its channels and layers, or None for
      stages of the space's own.
    classes, image_size, auxiliary: of the network; the image is a square of `image_size` px.
    params: number of weights, those of the auxiliary head included.
    macs: multiply-accumulates for one image in evaluation, where the auxiliary head is off.
    stages, operations: rows (what, parameters, MACs) that sum up to these.
  """

  space: SearchSpace
  network: tuple[str, int, int] | None
  classes: int
  image_size: int
  auxiliary: bool
  params: int
  macs: int
  stages: tuple[Row, ...]
  operations: tuple[Row, ...]

  def to_dict(self) -> dict[str, Any]:
    """The same as a JSON object."""
    name, channels, layers = self.network or ("own stages", None, None)
    rows = lambda rows: [{"name": n, "params": p, "macs": m} for n, p, m in rows]
    return {
      "params": self.params,
      "macs": self.macs,
      "network": name,
      "channels": channels,
      "layers": layers,
      "classes": self.classes,
      "image_size": self.image_size,
      "auxiliary": self.auxiliary,
      "stages": rows(self.stages),
      "operations": rows(self.operations),
      **describe(self.space),
    }


def measure(
  space: SearchSpace,
  network: tuple[str, int, int] | None,
  classes: int | None = None,
  image_size: int | None = None,
  auxiliary: bool = False,
) -> Info:
  """Counts a network with a classifier; nothing is run.

  Args:
    space: a genotype, or a search space for its supernet.
    network: what gave the space its stages (see `published.with_network`).
    classes: by default 1000 for the ImageNet network, 10 for others.
    image_size: side of the image in px; by default 224 with a stem that reduces the image, 32 else.
    auxiliary: whether an auxiliary head is there.

  Raises:
    SpaceError, ConfigError: the network cannot be built, or the image is too small.
  """
  small = space.stem == "conv3x3"
  by_stem = _CLASSES_AND_PX["cifar" if small else "imagenet"]
  default = _CLASSES_AND_PX[network[0]] if network else (10, by_stem[1])
  classes = default[0] if classes is None else classes
  image_size = default[1] if image_size is None else image_size
  module = Network(space, classes, auxiliary=auxiliary, rngs=Rngs(None))
  if module.auxiliary is not None:
    features = -(-image_size // module.backbone.strides[module.auxiliary_at])
    module.auxiliary.check_size(features, features)
  weights = {
    name: tuple(np.ones(len(edge.ops), np.float32) for edge in space.cells[name].edges)
    for name in space.searched
  }
  call = lambda net, images: net(images, weights, Mode())
  cost = count.count(module, call, (image_size, image_size, 3))
  stages, operations = _rows(module, cost)
  return Info(
    space, network, classes, image_size, auxiliary, cost.params, cost.macs, stages, operations
  )


def _rows(module: Network, cost: count.Cost) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
  """The rows of a count summed by stage and by operation, both in the order of the network."""
  backbone = module.backbone
  stage_of = [
    f"stage {n}: {s.repeats} x {s.cell}, {s.channels} channels" + (", stride 2" * (s.stride == 2))
    for n, s in enumerate(backbone.space.stages, start=1)
    for _ in range(s.repeats)
  ]
  rest = {"final_norm": "classifier", "linear": "classifier", "auxiliary": "auxiliary head"}
  stages: dict[str, list[int]] = {name: [0, 0] for name in dict.fromkeys(["stem", *stage_of])}
  operations: dict[str, list[int]] = {"stem": [0, 0], "inputs of cells": [0, 0]}
  operations |= {name: [0, 0] for cell in backbone.space.cells.values() for name in _names(cell)}
  for path, params, macs in cost.rows:
    part, *parts = path.split("/")
    if part != "backbone":
      stage = operation = rest[part]
    elif parts[0] == "stem":
      stage = operation = "stem"
    else:
      cell = int(parts[1])
      stage, operation = stage_of[cell], "inputs of cells"
      if parts[2] == "edges":
        operation = backbone.cells[cell].edges[int(parts[3])].names[int(parts[5])]
    for entry in (stages.setdefault(stage, [0, 0]), operations.setdefault(operation, [0, 0])):
      entry[0] += params
      entry[1] += macs
  for rows in (stages, operations):
    if "auxiliary head" in rows:
      rows["auxiliary head"] = rows.pop("auxiliary head")  # the last
  operations = {name: entry for name, entry in operations.items() if any(entry)}
  as_rows = lambda rows: tuple((name, params, macs) for name, (params, macs) in rows.items())
  return as_rows(stages), as_rows(operations)


def _names(cell: Cell) -> list[str]:
  return list(dict.fromkeys(op for edge in cell.edges for op in edge.ops))


def describe(space: SearchSpace) -> dict[str, Any]:
  """A space without its network as a JSON object: kind, size, and its cells in words."""
  return {
    "is_genotype": space.is_genotype,
    "size": space.size,
    "cells": {name: words(cell) for name, cell in space.cells.items()},
  }


def words(cell: Cell) -> str:
  """A decided cell node by node; one with choices by what may be chosen."""
  if cell.is_decided:
    return str(cell)
  kept = "" if cell.keep is None else f", {cell.keep} edges kept per node"
  kinds = {edge.ops for edge in cell.edges}
  if len(kinds) == 1:
    what = "on each edge " + " | ".join(cell.edges[0].ops)
  else:
    what = ", ".join(f"{e.src}-{e.dst} {' | '.join(e.ops)}" for e in cell.edges)
  if cell.keep is not None and any("none" in kind for kind in kinds):
    what += " (`none` while searching only)"
  nodes, edges = len(cell.nodes), len(cell.edges)
  return f"{cell.size:,} genotypes; {nodes} nodes, {edges} edges{kept}; {what}"


def render(name: str, space: SearchSpace, info: Info | None) -> Group:
  """A page for the terminal: the cells in words, then the costs."""
  kind = "genotype" if space.is_genotype else f"search space of {space.size:,} genotypes"
  parts: list[Any] = [Text(f"{name}: {kind}", style="bold")]
  for cell, value in space.cells.items():
    parts.append(Text(f"  {cell}  {words(value)}"))
    if value.is_decided and (note := model.idle(value)):
      parts.append(Text(f"  {' ' * len(cell)}  {note}", style="yellow"))
  if info is None:
    return Group(*parts)
  own = "own stages"
  if info.network is not None:
    network, channels, layers = info.network
    unit = "cells per stage" if network == "nasbench201" else "cells"
    own = f"{network}, {channels} channels, {layers} {unit}"
  unused = sorted(set(space.cells) - {stage.cell for stage in space.stages})
  if unused:
    parts.append(Text(f"  not in this network, and not counted: {', '.join(unused)}"))
  what = "network" if space.is_genotype else "supernet"
  parts += [
    Text(""),
    Text(f"{what}: {own}; {info.classes} classes, image {info.image_size} x {info.image_size} px"),
  ]
  for title, rows in (("stage", info.stages), ("operation", info.operations)):
    total = ("total", info.params, info.macs)
    parts += [Text(""), terminal.table((title, "parameters", "MACs"), [*rows, total])]
  return Group(*parts)


def report(
  genotype: str | None,
  space: str | None,
  supernet: bool,
  network: Mapping[str, Any],
) -> tuple[str, SearchSpace, Info | None]:
  """(name, space, costs) of what a command line asks for.

  Args:
    genotype: a published name, a file, or a NAS-Bench-201 string.
    space: a name in `published.SPACES` or a file; either this or `genotype` is None.
    supernet: whether the space's supernet is counted; without it a space is only described.
    network: `network`, `channels`, `layers`, `classes`, `image_size`, `auxiliary`.

  Raises:
    SpaceError, ConfigError: a name, file or number is not valid, or they do not fit together.
  """
  given = dict(network)
  sizes = {name: given.pop(name) for name in ("classes", "image_size", "auxiliary")}
  if genotype is not None:
    found = genotypes.decided(genotype)
  else:
    found = load_space(space or "")
    if not supernet:
      return space or "", found, None
    by_cells = {"cell", "normal"} & set(found.cells)
    if space in SPACES and given["network"] is None and by_cells:
      given["network"] = "nasbench201" if space == "nasbench201" else "cifar"
  built, name = with_network(found, **given)
  return genotype or space or "", built, measure(built, name, **sizes)
