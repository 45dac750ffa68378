# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of inverted residual blocks: names, sizes of the published spaces, EfficientNet-B0."""

import random

import pytest

from dnas.space import mbconv, shapes
from dnas.space.mbconv import MBConv
from dnas.space.space import SearchSpace, SpaceError


@pytest.mark.parametrize(
  ("name", "block"),
  [
    ("mbconv_3x3_e6", MBConv(3, 6)),
    ("mbconv_5x5_e1_g2", MBConv(5, 1, groups=2)),
    ("mbconv_7x7_e3_relu6", MBConv(7, 3, activation="relu6")),
    ("mbconv_5x5_e6_se_swish", MBConv(5, 6, squeeze=True, activation="swish")),
  ],
)
def test_names_and_blocks(name, block):
  assert mbconv.parse(name) == block
  assert block.name == name


@pytest.mark.parametrize(
  "name",
  [
    *("mbconv_4x4_e6", "mbconv_3x5_e6", "mbconv_3x3_e0", "mbconv_3x3_e17", "mbconv_3x3_e6_g4"),
    *("mbconv_3x3_e6_gelu", "mbconv_3x3_e6_se_", "mbconv_3x3_e6_swish_se", "sep_conv_3x3"),
  ],
)
def test_what_is_no_block(name):
  assert mbconv.parse(name) is None


def test_sizes_of_the_published_spaces():
  """ProxylessNAS: six blocks in the 6 that change size or width, and skip besides in the other 15.
  FBNet: eight blocks where it changes, nine elsewhere (16 -> 16 at stride 1 keeps its size).
  """
  assert mbconv.proxylessnas().size == 6**6 * 7**15
  assert mbconv.fbnet().size == 8**6 * 9**16
  assert mbconv.mnasnet().size == 12**7 * 13**21


def test_a_block_without_alternatives_may_be_left_out():
  space = mbconv.mbconv((8, 8), (2, 1), (2, 1), kernels=(3,), expansions=(3,))
  ops = [edge.ops for name in ("mbconv1", "mbconv2") for edge in space.cells[name].edges]
  block = "mbconv_3x3_e3"
  assert ops == [(block,), (block, "skip_connect"), (block, "skip_connect")]
  fixed = mbconv.Layers(8, 2, 1, (block,), skip=False)
  assert mbconv.network([fixed], stem_channels=8, head_channels=8).is_genotype
  assert mbconv.mbconv((8,), (2,), (1,), kernels=(3,), expansions=(3,), skip=False).is_genotype


@pytest.mark.parametrize("make", [mbconv.proxylessnas, mbconv.fbnet, mbconv.mnasnet])
def test_a_genotype_is_written_and_found_again(make):
  space = make()
  genotype = space.sample(random.Random(0))
  assert SearchSpace.from_json(genotype.to_json()) == genotype
  assert space.decide(space.choices(genotype)) == genotype


def test_efficientnet_b0_is_a_genotype_of_the_space():
  space, b0 = mbconv.mnasnet(), mbconv.efficientnet_b0()
  assert b0.is_genotype
  assert space.decide(space.choices(b0)) == b0
  chains = [mbconv.chain_of(b0.cells[stage.cell]) for stage in b0.stages[:-1]]
  assert [len(chain) for chain in chains] == [1, 2, 2, 3, 3, 4, 1]
  assert [s.channels for s in b0.stages] == [16, 24, 40, 80, 112, 192, 320, 1280]
  assert sum(s.stride == 2 for s in b0.stages) == 4


def test_a_chain_is_told_from_other_cells():
  chain = shapes.chain([("mbconv_3x3_e6",), ("skip_connect",), ("mbconv_5x5_e6",)])
  assert mbconv.chain_of(chain) == ("mbconv_3x3_e6", "mbconv_5x5_e6")
  first = shapes.chain([("skip_connect",), ("mbconv_3x3_e6",)])
  assert mbconv.chain_of(first) == ("skip_connect", "mbconv_3x3_e6")
  for op in ("nor_conv_1x1", "skip_connect"):
    assert mbconv.chain_of(shapes.chain([(op,)])) is None
  assert mbconv.chain_of(shapes.chain([("mbconv_3x3_e6", "mbconv_5x5_e6")])) is None


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (dict(channels=(8,), depths=(1, 1), strides=(1,)), "channels, depths, strides: need equal"),
    (
      dict(channels=(8,), depths=(0,), strides=(1,)),
      r"depths: must be whole numbers, 1 or more, got \(0,\)",
    ),
    (
      dict(channels=(8,), depths=(1.5,), strides=(1,)),
      r"depths: must be whole numbers, 1 or more, got \(1.5,\)",
    ),
    (dict(channels=8, depths=(1,), strides=(1,)), "channels: must hold a number for each stage"),
    (dict(channels=(8,), depths=(1,), strides=(1,), kernels=(4,)), "mbconv_4x4_e3: no such block"),
    *(
      (dict(channels=(8,), depths=(1,), strides=(1,), groups=(n,)), f"no such block .*groups={n}")
      for n in (0, -1, 3)
    ),
    (dict(channels=(8,), depths=(1,), strides=(3,)), "stride"),
  ],
)
def test_errors(arguments, message):
  with pytest.raises(SpaceError, match=message):
    mbconv.mbconv(**arguments)
