# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Compound scaling: any genotype wider, deeper and for larger images (Tan and Le, 1905.11946).

  width w:       channels -> round_filters(channels, w), a multiple of 8
  depth d:       n blocks of a stage -> ceil(d n)
  compound phi:  d = 1.2^phi, w = 1.1^phi, r = 1.15^phi        (section 3.3, equation 3)

>>> from dnas.space import mbconv, scaling
>>> b1 = scaling.scale(mbconv.efficientnet_b0(), width=1.0, depth=1.1, resolution=240)
>>> len(b1.genotype.cells["mbconv2"].edges), b1.resolution
(3, 240)
"""

import dataclasses
import math
from typing import NamedTuple

from dnas.space import mbconv, shapes, yolo_nas
from dnas.space.cell import Cell
from dnas.space.checks import is_int
from dnas.space.space import SearchSpace, SpaceError, Stage

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # depth, width, resolution
DIVISOR = 8


class Scaled(NamedTuple):
  """A genotype and the side of the images that it is for, in px."""

  genotype: SearchSpace
  resolution: int


def round_filters(channels: int, width: float) -> int:
  """Channels times `width`, to the nearest multiple of 8, not below 8 nor 90 % of the product."""
  if width == 1:
    return channels
  wanted = channels * width
  rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
  return rounded if rounded >= 0.9 * wanted else rounded + DIVISOR


def _round_repeats(repeats: int, depth: float) -> int:
  """ceil(depth * repeats)."""
  return math.ceil(depth * repeats)


def compound(phi: float) -> tuple[float, float, float]:
  """(width, depth, factor of the resolution) at a compound coefficient: 2^phi times the MACs."""
  return BETA**phi, ALPHA**phi, GAMMA**phi


def scale(genotype: SearchSpace, width: float, depth: float, resolution: int) -> Scaled:
  """A genotype of any space, scaled.

  Widths of stem and stages are rounded by `round_filters`. What a stage repeats grows in number:
  its cells, or, where the stage is one chain of inverted residual blocks, the last of the blocks.
  What stands once stays one: a reduction that further cells of its width follow, and a last
  convolution before the classifier (`mbconv.HEAD`). In genotypes of YOLO-NAS' kind the cross-stage
  layers grow inside: number and width of their bottlenecks.

  Args:
    genotype: with its stages.
    width, depth: factors, above 0; 1 changes nothing.
    resolution: side of the images, px. It changes no cell and is handed on.

  Raises:
    SpaceError: the space still holds a choice or has no stages, or a number is out of range.
  """
  for name, value in (("width", width), ("depth", depth)):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= 100:
      raise SpaceError(f"{name}: must be a factor above 0, at most 100, got {value!r}")
  if not is_int(resolution) or resolution < 1:
    raise SpaceError(f"resolution: must be 1 px or more, got {resolution!r}")
  if not genotype.is_genotype:
    raise SpaceError(f"scale: the space still holds choices in {list(genotype.searched)}")
  if not genotype.stages:
    raise SpaceError("stages: are empty; give the cells a network with dnas.space.macro")
  yolo = yolo_nas.is_member(genotype)
  cells, stages = dict(genotype.cells), []
  for n, stage in enumerate(genotype.stages):
    repeats = stage.repeats
    chain = mbconv.chain_of(cells[stage.cell])
    once = yolo or stage.cell == mbconv.HEAD or (not chain and _is_reduction(genotype.stages, n))
    if depth != 1 and not once and repeats == 1 and chain:
      shared = sum(other.cell == stage.cell for other in genotype.stages) > 1
      name = f"{stage.cell}_{n}" if shared else stage.cell
      lead = chain[0] == "skip_connect"  # It changes the size, and is no block.
      cells[name] = _chain(chain, lead + _round_repeats(len(chain) - lead, depth))
      stage = dataclasses.replace(stage, cell=name)
    elif not once:
      repeats = _round_repeats(repeats, depth)
    channels = round_filters(stage.channels, width)
    stages.append(dataclasses.replace(stage, repeats=repeats, channels=channels))
  if yolo:
    cells = {name: _inside(cell, width, depth) for name, cell in cells.items()}
  stem = round_filters(genotype.stem_channels, width)
  return Scaled(genotype.replace(cells=cells, stages=stages, stem_channels=stem), resolution)


def _is_reduction(stages: tuple[Stage, ...], n: int) -> bool:
  """Whether stage n is one cell that only brings features to the size of the next stage's."""
  here, following = stages[n], stages[n + 1 : n + 2]
  return (
    here.stride == 2
    and here.repeats == 1
    and any(
      (after.channels, after.stride) == (here.channels, 1) and after.cell != here.cell
      for after in following
    )
  )


def _chain(blocks: tuple[str, ...], length: int) -> Cell:
  """A chain of `length` blocks: the last one repeated, or the last ones left out."""
  return shapes.chain([(op,) for op in blocks[:length] + blocks[-1:] * (length - len(blocks))])


def _inside(cell: Cell, width: float, depth: float) -> Cell:
  """A cell whose cross-stage layers have more bottlenecks, and wider ones."""

  def scaled(name: str) -> str:
    csp = yolo_nas.parse(name)
    if csp is None:
      return name
    blocks, hidden = _round_repeats(csp.blocks, depth), round_filters(csp.hidden, width)
    return csp._replace(blocks=blocks, hidden=hidden).name

  edges = [dataclasses.replace(e, ops=tuple(map(scaled, e.ops))) for e in cell.edges]
  return dataclasses.replace(cell, edges=tuple(edges))
