# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cells in a detector: the backbone's stages, and the cell in which the neck fuses two scales.

>>> from dnas.space import cells, detection
>>> space = detection.network(cells.nasbench201(), fusion=detection.fusion_cell())
>>> [(stage.cell, stage.channels, stage.stride) for stage in space.stages[:4]]
[('down', 32, 2), ('cell', 32, 1), ('down', 64, 2), ('cell', 64, 1)]
>>> space.searched, space.cells["fusion"].size
(('cell', 'fusion'), 16)
"""

from collections.abc import Sequence

from dnas.space.space import Cell, Edge, SearchSpace, SpaceError, Stage

# Two of the first make a plain sum of both scales, two of the last a sum weighted by attention.
# `none` is left out: a fusion that drops both scales would blind the head.
FUSION_OPS = ("skip_connect", "nor_conv_1x1", "sep_conv_3x3", "channel_attention")


def fusion_cell(ops: Sequence[str] = FUSION_OPS, nodes: int = 1) -> Cell:
  """The cell in which two scales meet: inputs 0 and 1 become the last node.

  Args:
    ops: candidates of every edge.
    nodes: computed nodes; from the second on they see both inputs and all nodes before.

  Raises:
    SpaceError: `nodes` is below 1.
  """
  if nodes < 1:
    raise SpaceError(f"nodes: must be 1 or more, got {nodes!r}")
  edges = [Edge(src, dst, tuple(ops)) for dst in range(2, 2 + nodes) for src in range(dst)]
  return Cell(inputs=2, edges=tuple(edges), output=(1 + nodes,))


def network(
  space: SearchSpace,
  channels: Sequence[int] = (32, 64, 96),
  repeats: int | Sequence[int] = 1,
  *,
  stem_channels: int = 16,
  down: str = "light_down",
  fusion: Cell | None = None,
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
    fusion: the neck's cell, stored as `fusion`; None leaves the space's own, if it has one.

  Raises:
    SpaceError: neither of the two kinds of cells is there, or the lengths do not fit.
  """
  counts = [repeats] * len(channels) if isinstance(repeats, int) else list(repeats)
  if len(counts) != len(channels) or not counts:
    raise SpaceError(
      f"repeats: needs one number for each of the {len(channels)} stages, got {counts}"
    )
  cells = dict(space.cells)
  if "cell" in cells and cells["cell"].inputs == 1:
    cells["down"] = Cell(inputs=1, edges=(Edge(0, 1, (down,)),), output=(1,))
    first, rest = "down", "cell"
  elif all(name in cells and cells[name].inputs == 2 for name in ("normal", "reduce")):
    first, rest = "reduce", "normal"
  else:
    raise SpaceError(
      "cells: a detector needs `cell` with one input, or `normal` and `reduce` with two, got "
      f"{ {name: cell.inputs for name, cell in cells.items()} }"
    )
  if fusion is not None:
    cells["fusion"] = fusion
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
