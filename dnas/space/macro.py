# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The networks that cells stand in: each function gives a space (or genotype) its stages and stem.

>>> from dnas.space import cells, macro
>>> space = macro.cifar(cells.darts(), channels=16, layers=8)
>>> [(stage.cell, stage.repeats, stage.channels) for stage in space.stages]
[('normal', 2, 16), ('reduce', 1, 32), ('normal', 2, 32), ('reduce', 1, 64), ('normal', 2, 64)]
"""

from collections.abc import Sequence

from dnas.space import shapes
from dnas.space.checks import as_tuple, is_int
from dnas.space.space import SearchSpace, SpaceError, Stage


def own(space: SearchSpace) -> SearchSpace:
  """The network that a space comes with (`dnas.space.mbconv`, genotypes from files).

  Raises:
    SpaceError: it comes with none.
  """
  if not space.stages:
    raise SpaceError("stages: are empty; these cells need one of the other networks")
  return space


def cifar(space: SearchSpace, channels: int = 36, layers: int = 20) -> SearchSpace:
  """DARTS' CIFAR network (1806.09055, section 3.2).

  A 3x3 convolution to 3 * channels, then `layers` cells; those at layers // 3 and 2 * layers // 3
  are reduction cells and double the width.

  Args:
    space: cells `normal` and `reduce` with two inputs.
    channels: width of each node of the first cells.
    layers: number of cells in all, 3 or more.

  Raises:
    SpaceError: a cell is missing, or `channels` or `layers` are too small.
  """
  stages = _normal_and_reduce(space, channels, layers)
  return space.replace(
    stages=stages, stem="conv3x3", stem_channels=3 * channels, pool_norm=True, final_norm=False
  )


def imagenet(space: SearchSpace, channels: int = 48, layers: int = 14) -> SearchSpace:
  """DARTS' ImageNet network: a stem of three stride-2 convolutions, then cells as in `cifar`.

  The first cell sees the stem's output at stride 8 and, as its other input, the one before at
  stride 4, as if the previous cell had been a reduction.
  """
  stages = _normal_and_reduce(space, channels, layers)
  return space.replace(
    stages=stages, stem="imagenet", stem_channels=channels, pool_norm=True, final_norm=False
  )


def nasbench201(space: SearchSpace, channels: int = 16, cells: int = 5) -> SearchSpace:
  """NAS-Bench-201's network (2001.00326, section 2.1).

  A 3x3 convolution, then three stages of `cells` cells at channels, 2 * channels and 4 * channels,
  with a residual block of stride 2 before the second and the third.

  Args:
    space: a cell named `cell` with one input.
    channels: width of the first stage.
    cells: cells per stage.
  """
  _require(space, ("cell",), inputs=1)
  if not is_int(cells) or cells < 1:
    raise SpaceError(f"cells: must be 1 or more per stage, got {cells!r}")
  _check_channels(channels)
  residual = shapes.chain([("residual_block",)])
  stages = [Stage("cell", cells, channels)]
  for factor in (2, 4):
    stages.append(Stage("residual", 1, factor * channels, stride=2))
    stages.append(Stage("cell", cells, factor * channels))
  return space.replace(
    cells={**space.cells, "residual": residual},
    stages=stages,
    stem="conv3x3",
    stem_channels=channels,
    pool_norm=False,
    final_norm=True,
  )


def detector(
  space: SearchSpace,
  channels: Sequence[int] = (32, 64, 96),
  repeats: int | Sequence[int] = 1,
  *,
  stem_channels: int = 16,
  down: str = "light_down",
  fusion: Sequence[str] = (),
  fusion_nodes: int = 1,
) -> SearchSpace:
  """A detector's backbone: a 3x3 stem of stride 2, then a stage at each stride 4, 8, 16, ...

  With a cell `cell` of one input, a stage is a down-sampling of one operation and `repeats` cells.
  With cells `normal` and `reduce`, it is a reduction cell and `repeats` normal ones.

  Args:
    space: the cells.
    channels: width of each node, per stage.
    repeats: cells per stage, or one number per stage.
    stem_channels: width of the stem.
    down: the operation that halves the resolution; `light_down` leaves the work to the cells.
    fusion: candidates of every edge of the neck's cell `fusion`, in which two scales meet:
      `skip_connect` (two make a plain sum), `nor_conv_1x1`, `sep_conv_3x3`, `channel_attention`
      (two make a sum weighted by attention). With `none` both scales may be dropped, which blinds
      the head. Empty: the space's own cell of that name, or a plain sum if it has none.
    fusion_nodes: computed nodes of that cell; the last is its output.

  Raises:
    SpaceError: neither of the two kinds of cells is there, or the lengths do not fit.
  """
  channels = as_tuple(channels, "channels", "the width of each stage")
  alike = isinstance(repeats, int | float)
  counts = (repeats,) * len(channels) if alike else as_tuple(repeats, "repeats", "cells per stage")
  if len(counts) != len(channels) or not counts:
    raise SpaceError(
      f"repeats: needs one number for each of the {len(channels)} stages, got {list(counts)}"
    )
  cells = dict(space.cells)
  if "cell" in cells and cells["cell"].inputs == 1:
    cells["down"] = shapes.chain([(down,)])
    first, rest = "down", "cell"
  elif all(name in cells and cells[name].inputs == 2 for name in ("normal", "reduce")):
    first, rest = "reduce", "normal"
  else:
    raise SpaceError(
      "cells: a detector needs `cell` with one input, or `normal` and `reduce` with two, got "
      f"{ {name: cell.inputs for name, cell in cells.items()} }"
    )
  if fusion:
    output = (1 + fusion_nodes,)
    cells["fusion"] = shapes.dense(tuple(fusion), fusion_nodes, inputs=2, output=output)
  stages = []
  for width, count in zip(channels, counts):
    stages.append(Stage(first, 1, width, stride=2))
    if count:
      stages.append(Stage(rest, count, width))
  used = {first, rest, "fusion"}
  return space.replace(
    cells={name: cell for name, cell in cells.items() if name in used},
    stages=tuple(stages),
    stem="conv3x3_stride2",
    stem_channels=stem_channels,
  )


def _normal_and_reduce(space: SearchSpace, channels: int, layers: int) -> Sequence[Stage]:
  _require(space, ("normal", "reduce"), inputs=2)
  if not is_int(layers) or layers < 3:
    raise SpaceError(f"layers: must be 3 or more (two of them are reduction cells), got {layers!r}")
  _check_channels(channels)
  first, second = layers // 3, 2 * layers // 3
  normal = [first, second - first - 1, layers - second - 1]
  stages = []
  for i, repeats in enumerate(normal):
    if i > 0:
      stages.append(Stage("reduce", 1, channels * 2**i, stride=2))
    if repeats > 0:
      stages.append(Stage("normal", repeats, channels * 2**i))
  return tuple(stages)


def _check_channels(channels: int) -> None:
  if not is_int(channels) or channels < 1:
    raise SpaceError(f"channels: must be 1 or more, got {channels!r}")


def _require(space: SearchSpace, names: Sequence[str], inputs: int) -> None:
  for name in names:
    if name not in space.cells:
      raise SpaceError(f"cells: this network needs a cell {name!r}, got {sorted(space.cells)}")
    if space.cells[name].inputs != inputs:
      raise SpaceError(
        f"cells.{name}.inputs: this network needs {inputs}, got {space.cells[name].inputs}"
      )
