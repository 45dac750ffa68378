# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Spaces of YOLO-NAS' kind: how many blocks, how wide, of which type, in eight cross-stage layers.

The cells `stage1` to `stage4` stand in the backbone, `neck1` to `neck4` in the neck; each has one
edge, whose operation is a cross-stage partial layer, `csp_qarep_3x64_all`: three bottlenecks of
quantization-aware re-parametrised blocks, 64 channels wide, with every intermediate concatenated.
The cell `head` stands on each of the three scales: `yolo_head_50` has half the full width. YOLO-NAS
S, M and L are three genotypes of `yolo_nas()`.

>>> from dnas.space import yolo_nas
>>> space = yolo_nas.yolo_nas()
>>> str(space.choices(yolo_nas.genotype("yolo_nas_m"))["stage2"][0])
'csp_qarep_3x128_all'
"""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from dnas.errors import choose_from
from dnas.space import shapes
from dnas.space.space import SearchSpace, SpaceError, Stage

BLOCKS = ("qarep", "conv")
STAGES = ("stage1", "stage2", "stage3", "stage4")
NECK = ("neck1", "neck2", "neck3", "neck4")
# At strides 4, 8, 16 and 32.
CHANNELS = (96, 192, 384, 768)
# 65,536 as for any stage; a layer of more bottlenecks than this is none that anybody trains.
MAX_BLOCKS, MAX_HIDDEN = 100, 65_536


class Csp(NamedTuple):
  """A cross-stage partial layer.

  Attributes:
    block: what its bottlenecks are made of: "qarep" (re-parametrised) or "conv" (plain 3x3).
    blocks: number of bottlenecks.
    hidden: their width.
    all: whether the input and the output of every bottleneck are concatenated, or the last only.
  """

  block: str
  blocks: int
  hidden: int
  all: bool = False

  @property
  def name(self) -> str:
    """The operation's name: `csp_qarep_3x64`, or `csp_qarep_3x64_all`."""
    return f"csp_{self.block}_{self.blocks}x{self.hidden}" + "_all" * self.all


def parse(name: str) -> Csp | None:
  """The layer of this name; None if it is none."""
  found = re.fullmatch(rf"csp_({'|'.join(BLOCKS)})_([1-9]\d*)x([1-9]\d*)(_all)?", name)
  if found is None or max(len(found[2]), len(found[3])) > 5:
    return None
  csp = Csp(found[1], int(found[2]), int(found[3]), found[4] is not None)
  return csp if csp.blocks <= MAX_BLOCKS and csp.hidden <= MAX_HIDDEN else None


def parse_head(name: str) -> int | None:
  """The width of the head of this name in percent, 1 to 400; None if it is none."""
  found = re.fullmatch(r"yolo_head_([1-9]\d{0,2})", name)
  return int(found[1]) if found and int(found[1]) <= 400 else None


# Hidden width and number of blocks of the stages and of the neck, whether stages concatenate their
# intermediates, width of the head in percent. The neck's first two layers go up and have
# re-parametrised blocks, its last two go down and have plain ones.
_PUBLISHED = {
  "yolo_nas_s": (
    ((32, 2), (64, 3), (96, 5), (192, 2)),
    (False, False, False, False),
    ((64, 2), (48, 2), (64, 2), (64, 2)),
    50,
  ),
  "yolo_nas_m": (
    ((64, 2), (128, 3), (256, 5), (384, 2)),
    (True, True, True, False),
    ((192, 2), (64, 3), (192, 2), (256, 3)),
    75,
  ),
  "yolo_nas_l": (
    ((96, 2), (128, 3), (256, 5), (512, 2)),
    (True, True, True, True),
    ((128, 4), (128, 4), (128, 4), (256, 4)),
    100,
  ),
}
NAMES = tuple(_PUBLISHED)


def genotype(name: str) -> SearchSpace:
  """YOLO-NAS S, M or L.

  Source: the published configurations, Deci-AI/super-gradients (2023), arch_params/yolo_nas_*.

  Raises:
    SpaceError: the name is not in `NAMES`.
  """
  if name not in _PUBLISHED:
    raise SpaceError(choose_from("YOLO-NAS", name, NAMES))
  stages, every, neck, head = _PUBLISHED[name]
  layers = [Csp("qarep", n, hidden, all_) for (hidden, n), all_ in zip(stages, every, strict=True)]
  kinds = ("qarep", "qarep", "conv", "conv")
  layers += [Csp(kind, n, hidden) for (hidden, n), kind in zip(neck, kinds, strict=True)]
  ops = {cell: (csp.name,) for cell, csp in zip(STAGES + NECK, layers, strict=True)}
  return family({**ops, "head": (f"yolo_head_{head}",)})


def yolo_nas(
  hidden: Sequence[Sequence[int]] | None = None,
  blocks: Sequence[Sequence[int]] | None = None,
  *,
  types: Sequence[str] = BLOCKS,
  intermediates: Sequence[bool] = (False, True),
  heads: Sequence[int] = (50, 75, 100),
  channels: Sequence[int] = CHANNELS,
) -> SearchSpace:
  """The search space: for each of the eight layers every combination of what is given.

  Args:
    hidden: widths of the bottlenecks, a list for each of stages 1 to 4 and necks 1 to 4; None:
      those of S, M and L.
    blocks: numbers of bottlenecks, likewise; None: those of S, M and L, one less and one more in
      the stages, 2 to 4 in the neck.
    types: block types, in every layer: some of BLOCKS.
    intermediates: for the stages, whether all intermediates are concatenated. (The neck of S, M and
      L never does.)
    heads: widths of the head in percent.
    channels: of the stages, see `family`.

  Raises:
    SpaceError: a list is empty or of another length, or a value is not valid.
  """
  cells = STAGES + NECK
  published = list(zip(*((*p[0], *p[2]) for p in _PUBLISHED.values()), strict=True))
  if hidden is None:
    hidden = [sorted({width for width, _ in choices}) for choices in published]
  if blocks is None:
    blocks = [[n - 1, n, n + 1] for _, n in _PUBLISHED["yolo_nas_s"][0]] + [[2, 3, 4]] * len(NECK)
  for field, lists in (("hidden", hidden), ("blocks", blocks)):
    if len(lists) != len(cells):
      raise SpaceError(f"{field}: needs a list for each of {', '.join(cells)}, got {len(lists)}")
  ops = {}
  for cell, widths, counts in zip(cells, hidden, blocks, strict=True):
    every = intermediates if cell in STAGES else (False,)
    options = itertools.product(types, counts, widths, every)
    ops[cell] = tuple(Csp(*option).name for option in options)
  return family({**ops, "head": tuple(f"yolo_head_{percent}" for percent in heads)}, channels)


def family(ops: dict[str, tuple[str, ...]], channels: Sequence[int] = CHANNELS) -> SearchSpace:
  """The network of YOLO-NAS around given candidates.

  A stem and four down-samplings of re-parametrised blocks, each before its stage; spatial pyramid
  pooling at the end. The neck is half as wide as the backbone at each scale.

  Args:
    ops: the candidates of `stage1` ... `stage4`, `neck1` ... `neck4` and `head`.
    channels: of the four stages, at strides 4, 8, 16 and 32; multiples of 4 from the second on (the
      neck halves them twice). The stem has half of the first.

  Raises:
    SpaceError: a cell is missing, a name is none of a layer or head, or channels do not fit.
  """
  wanted = (*STAGES, *NECK, "head")
  if set(ops) != set(wanted):
    raise SpaceError(f"ops: needs candidates of {', '.join(wanted)}, got {', '.join(ops)}")
  if len(channels) != 4 or any(c < 4 or c % 4 for c in channels):
    raise SpaceError(f"channels: must be four multiples of 4, got {tuple(channels)}")
  for cell, names in ops.items():
    read = parse_head if cell == "head" else parse
    form = "yolo_head_50" if cell == "head" else "csp_qarep_3x64 or csp_conv_3x64_all"
    for name in names:
      if read(name) is None:
        raise SpaceError(f"{cell}: {name!r} is not of the form {form}")
  one = lambda *names: shapes.chain([names])
  stages = []
  for cell, width in zip(STAGES, channels, strict=True):
    stages += [Stage("down", 1, width, 2), Stage(cell, 1, width)]
  return SearchSpace(
    cells={
      "down": one("qarep_3x3"),
      "context": one("spp_5_9_13"),
      **{cell: one(*ops[cell]) for cell in wanted},
    },
    stages=(*stages, Stage("context", 1, channels[-1])),
    stem="qarep_3x3_stride2",
    stem_channels=channels[0] // 2,
    pool_norm=False,
  )


def is_member(space: SearchSpace) -> bool:
  """Whether a space or genotype describes a network of this kind: neck and head, not only cells."""
  return {*NECK, "head"} <= set(space.cells)
