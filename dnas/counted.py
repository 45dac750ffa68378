# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a loaded detector costs, as trained and fused; nothing is run."""

from typing import NamedTuple

from rich.console import Group
from rich.text import Text

from dnas import terminal
from dnas.cost import count
from dnas.loaded import Loaded, Size
from dnas.nn import yolo_nas
from dnas.nn.mode import Mode


class Counted(NamedTuple):
  """The four numbers that people ask of a detector.

  Attributes:
    layers: convolutions and linear layers.
    parameters: weights, batch statistics left out, as trained (before fusing).
    gradients: of them, those that training moves: all.
    gflops: 1e9 floating-point operations for one image, two for each multiply-accumulate.
  """

  layers: int
  parameters: int
  gradients: int
  gflops: float


def counted(loaded: Loaded, size: Size = None) -> tuple[Counted, Group]:
  """The four numbers, and a page for the terminal.

  Args:
    loaded: the detector.
    size: of the image, see `Loaded.check_image`.
  """
  height, width = loaded.check_image(size)
  call = lambda module, images: loaded.task.forward(module, {}, images, Mode())
  module = loaded.module()
  cost = count.count(module, call, (height, width, 3))
  layers = sum(macs > 0 for _, _, macs in cost.rows)
  numbers = Counted(layers, cost.params, cost.params, 2 * cost.macs / 1e9)
  rows: list[tuple] = [*cost.by(1), ("total", cost.params, cost.macs)]
  fused = count.count(loaded.module(fused=True), call, (height, width, 3))
  if fused.params != cost.params:
    rows.append(("fused for evaluation", fused.params, fused.macs))
  if unused := yolo_nas.placeholder_params(module):
    rows.append(("in published files, placeholders included", cost.params + unused, ""))
  heading = (
    f"{loaded.name}: {layers} layers, {numbers.parameters:,} parameters, "
    f"{numbers.gradients:,} gradients, {numbers.gflops:.1f} GFLOPs"
  )
  image = f"{len(loaded.classes)} classes, image {width} x {height} px"
  table = terminal.table(("part", "parameters", "MACs"), rows)
  return numbers, Group(Text(heading, style="bold"), Text(image), Text(""), table)
