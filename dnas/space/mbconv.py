# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Spaces of MobileNet's kind: chains of inverted residual blocks, each block chosen by itself.

A stage is one cell, a chain 0 -> 1 -> 2 -> ...; on each of its edges stands an inverted residual
block (MBConv) like `mbconv_5x5_e6_se`: depthwise 5x5, six times as wide inside, with
squeeze-and-excitation. `skip_connect` leaves a block out, so the depth is searched too. The spaces
of ProxylessNAS, FBNet and MnasNet differ in candidates and widths only, and EfficientNet-B0 is one
genotype of `mnasnet()`.

>>> from dnas.space import mbconv
>>> space = mbconv.mnasnet()
>>> space.choices(mbconv.efficientnet_b0())["mbconv2"]
('mbconv_3x3_e6_se_swish', 'mbconv_3x3_e6_se_swish', 'skip_connect', 'skip_connect')
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from dnas.space import shapes
from dnas.space.checks import as_tuple, is_int
from dnas.space.space import Cell, SearchSpace, SpaceError, Stage

ACTIVATIONS = ("relu", "relu6", "swish")
KERNELS, MAX_EXPANSION, GROUPS = (3, 5, 7), 16, (1, 2)
HEAD = "head"  # The cell of the 1x1 convolution before the classifier: it stands once, always.


class MBConv(NamedTuple):
  """An inverted residual block.

  Attributes:
    kernel: side of the depthwise convolution: 3, 5 or 7.
    expansion: width inside, as a multiple of the input's channels.
    groups: of the two 1x1 convolutions, 1 or 2; channels are shuffled between them (FBNet).
    squeeze: whether squeeze-and-excitation follows the depthwise convolution.
    activation: one of ACTIVATIONS.
  """

  kernel: int
  expansion: int
  groups: int = 1
  squeeze: bool = False
  activation: str = "relu"

  @property
  def name(self) -> str:
    """The operation's name: `mbconv_3x3_e6`, or `mbconv_5x5_e1_g2_se_swish`."""
    groups = f"_g{self.groups}" * (self.groups > 1)
    activation = f"_{self.activation}" * (self.activation != "relu")
    size = f"{self.kernel}x{self.kernel}"
    return f"mbconv_{size}_e{self.expansion}{groups}{'_se' * self.squeeze}{activation}"


_NAME = re.compile(r"mbconv_([357])x\1_e([1-9]\d?)(_g2)?(_se)?(?:_(relu6|swish))?")


def parse(name: str) -> MBConv | None:
  """The block of this name; None if it is none."""
  found = _NAME.fullmatch(name)
  if found is None or int(found[2]) > MAX_EXPANSION:
    return None
  groups = 2 if found[3] else 1
  return MBConv(int(found[1]), int(found[2]), groups, found[4] is not None, found[5] or "relu")


def parse_conv(name: str) -> str | None:
  """The activation of `conv_1x1_swish`, a convolution with batch norm; None if it is none."""
  activation = name.removeprefix("conv_1x1_")
  return activation if activation != name and activation in ACTIVATIONS else None


def blocks(
  kernels: Sequence[int],
  expansions: Sequence[int],
  *,
  groups: Sequence[int] = (1,),
  squeeze: Sequence[bool] = (False,),
  activation: str = "relu",
) -> tuple[str, ...]:
  """Names of all combinations: a stage's candidates.

  Raises:
    SpaceError: a value that no block has.
  """
  made = [
    MBConv(kernel, expansion, group, bool(se), activation)
    for kernel in kernels
    for expansion in expansions
    for group in groups
    for se in squeeze
  ]
  for block in made:
    if parse(block.name) != block:
      raise SpaceError(
        f"{block.name}: no such block as {block}; kernels {KERNELS}, expansions 1 to "
        f"{MAX_EXPANSION}, groups {GROUPS}, activations {', '.join(ACTIVATIONS)}"
      )
  return tuple(block.name for block in made)


def chain_of(cell: Cell) -> tuple[str, ...] | None:
  """The blocks of a decided chain, in order; None for any other cell.

  What `skip_connect` leaves out is left out, but for a first one, which may change the size.
  """
  n = len(cell.edges)
  straight = cell.inputs == 1 and all(
    (e.src, e.dst) == (i, i + 1) for i, e in enumerate(cell.edges)
  )
  if not (straight and cell.output == (n,) and all(len(e.ops) == 1 for e in cell.edges)):
    return None
  names = [edge.ops[0] for edge in cell.edges]
  names = [name for i, name in enumerate(names) if i == 0 or name != "skip_connect"]
  chosen = [name for name in names if name != "skip_connect"]
  return tuple(names) if chosen and all(map(parse, chosen)) else None


class Layers(NamedTuple):
  """A stage: `depth` blocks of `channels`, the first of `stride`, and their candidates.

  `skip` is false for blocks that always stand, whatever the network says.
  """

  channels: int
  depth: int
  stride: int
  ops: tuple[str, ...]
  skip: bool = True


def network(
  layers: Sequence[Layers],
  *,
  stem_channels: int,
  head_channels: int,
  activation: str = "relu",
  skip: bool = True,
) -> SearchSpace:
  """Stem (3x3, stride 2), the stages `mbconv1`, `mbconv2`, ..., and a 1x1 convolution.

  Args:
    layers: the stages.
    stem_channels, head_channels: of the first and the last convolution.
    activation: of these two.
    skip: whether `skip_connect` is a candidate too, wherever a block keeps its input's size.
  """
  cells, stages, before = {}, [], stem_channels
  for n, (channels, depth, stride, ops, optional) in enumerate(layers, start=1):
    kept = [*ops, "skip_connect"] if skip and optional else ops
    first = kept if stride == 1 and before == channels else ops
    cells[f"mbconv{n}"] = shapes.chain([first] + [kept] * (depth - 1))
    stages.append(Stage(f"mbconv{n}", 1, channels, stride))
    before = channels
  cells[HEAD] = shapes.chain([(f"conv_1x1_{activation}",)])
  return SearchSpace(
    cells=cells,
    stages=(*stages, Stage(HEAD, 1, head_channels)),
    stem=f"conv3x3_stride2_{activation}",
    stem_channels=stem_channels,
    pool_norm=False,
  )


def mbconv(
  channels: Sequence[int],
  depths: Sequence[int],
  strides: Sequence[int],
  *,
  kernels: Sequence[int] = (3, 5, 7),
  expansions: Sequence[int] = (3, 6),
  groups: Sequence[int] = (1,),
  squeeze: Sequence[bool] = (False,),
  activation: str = "relu",
  skip: bool = True,
  stem_channels: int = 16,
  head_channels: int = 128,
) -> SearchSpace:
  """A space of one's own: the same candidates in every block.

  Args:
    channels, depths, strides: of each stage, from the stem's stride 2 on.
    kernels, expansions, groups, squeeze: whose combinations are the candidates, see `blocks`.
    activation, skip, stem_channels, head_channels: see `network`.

  Raises:
    SpaceError: the lists differ in length, or a value is not valid.
  """
  given = {"channels": channels, "depths": depths, "strides": strides}
  channels, depths, strides = (as_tuple(v, k, "a number for each stage") for k, v in given.items())
  if not len(channels) == len(depths) == len(strides) > 0:
    raise SpaceError(
      f"channels, depths, strides: need equal lengths, 1 or more, got {len(channels)}, "
      f"{len(depths)}, {len(strides)}"
    )
  if not all(is_int(depth) and depth >= 1 for depth in depths):
    raise SpaceError(f"depths: must be whole numbers, 1 or more, got {depths}")
  ops = blocks(kernels, expansions, groups=groups, squeeze=squeeze, activation=activation)
  layers = [Layers(*stage, ops) for stage in zip(channels, depths, strides, strict=True)]
  around = dict(stem_channels=stem_channels, head_channels=head_channels)
  return network(layers, **around, activation=activation, skip=skip)


def proxylessnas() -> SearchSpace:
  """ProxylessNAS' space (1812.00332, section 4.2): kernels 3, 5, 7, expansions 3, 6, 21 blocks.

  One fixed block of expansion 1 stands before them. Widths as in its published code, from memory:
  unverified.
  """
  ops = blocks((3, 5, 7), (3, 6), activation="relu6")
  fixed = Layers(16, 1, 1, blocks((3,), (1,), activation="relu6"), skip=False)
  sizes = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))
  layers = [fixed, *(Layers(*size, ops) for size in sizes)]
  return network(layers, stem_channels=32, head_channels=1280, activation="relu6")


def fbnet() -> SearchSpace:
  """FBNet's space (1812.03443, tables 1 and 2): 22 blocks; kernels 3, 5, expansions 1, 3, 6.

  Blocks of expansion 1 come with grouped 1x1 convolutions too. Widths from memory: unverified.
  """
  ops = tuple(
    name
    for kernel in (3, 5)
    for name in (*blocks((kernel,), (1,), groups=(1, 2)), *blocks((kernel,), (3, 6)))
  )
  sizes = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
  layers = [Layers(*size, ops) for size in sizes]
  return network(layers, stem_channels=16, head_channels=1504)


def mnasnet() -> SearchSpace:
  """MnasNet's space around EfficientNet's stages: kernels 3, 5, expansions 1, 3, 6, with and
  without squeeze-and-excitation, up to four blocks a stage.

  MnasNet (1807.11626, section 3) decides once for each stage, among other convolutions and widths
  too; here each block is decided by itself, and widths are EfficientNet's.
  """
  ops = blocks((3, 5), (1, 3, 6), squeeze=(False, True), activation="swish")
  layers = [Layers(channels, _DEPTH, stride, ops) for channels, _, stride, _, _ in _B0]
  return network(layers, stem_channels=32, head_channels=1280, activation="swish")


_DEPTH = 4  # blocks of a stage at most
# Channels, blocks, stride, kernel, expansion of each stage (1905.11946, table 1).
_B0 = (
  (16, 1, 1, 3, 1),
  (24, 2, 2, 3, 6),
  (40, 2, 2, 5, 6),
  (80, 3, 2, 3, 6),
  (112, 3, 1, 5, 6),
  (192, 4, 2, 5, 6),
  (320, 1, 1, 3, 6),
)


def efficientnet_b0() -> SearchSpace:
  """EfficientNet-B0 (1905.11946, table 1), a genotype of `mnasnet()`.

  B1 to B7 follow by `dnas.space.scaling.scale`.
  """
  choices = {}
  for n, (_, depth, _, kernel, expansion) in enumerate(_B0, start=1):
    block = MBConv(kernel, expansion, squeeze=True, activation="swish").name
    choices[f"mbconv{n}"] = (block,) * depth + ("skip_connect",) * (_DEPTH - depth)
  return mnasnet().decide(choices)
