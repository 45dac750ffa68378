# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Compound scaling: EfficientNet's rounding, and every kind of genotype."""

import random

import pytest

from dnas.space import cells, genotypes, macro, mbconv, scaling, shapes, yolo_nas
from dnas.space.space import SpaceError


@pytest.mark.parametrize(
  ("channels", "width", "expected"),
  [
    (32, 1.0, 32),
    (36, 1.0, 36),  # untouched, no multiple of 8 as it is
    (32, 1.1, 32),
    (40, 1.1, 48),  # 44, in the middle, goes up
    (24, 1.2, 32),  # 28.8
    (4, 0.5, 8),
    (320, 1.4, 448),
    (1280, 2.0, 2560),
    (10, 1.1, 16),  # 11 would become 8, less than 90 % of it
  ],
)
def test_round_filters(channels, width, expected):
  """f = channels * width; max(8, int(f + 4) // 8 * 8), 8 more where that is below 0.9 f."""
  assert scaling.round_filters(channels, width) == expected


def test_b7_by_hand():
  """Tan and Le's rules at width 2.0, depth 3.1."""
  b7, px = scaling.scale(mbconv.efficientnet_b0(), 2.0, 3.1, 600)
  chains = [mbconv.chain_of(b7.cells[stage.cell]) for stage in b7.stages[:-1]]
  assert [len(chain) for chain in chains] == [4, 7, 7, 10, 10, 13, 4]
  assert [stage.channels for stage in b7.stages] == [32, 48, 80, 160, 224, 384, 640, 2560]
  assert (b7.stem_channels, px) == (64, 600)
  assert all(stage.repeats == 1 for stage in b7.stages)


def test_nothing_changes_at_1():
  for genotype in (mbconv.efficientnet_b0(), genotypes.published("DARTS_V2")):
    assert scaling.scale(genotype, 1, 1, 64) == (genotype, 64)


def test_chains_shrink_and_repeat_their_last_block():
  space = mbconv.mbconv((16, 16), (3, 2), (2, 1), skip=True)
  ops = ("mbconv_3x3_e3", "mbconv_5x5_e3")
  genotype = space.decide({"mbconv1": (*ops, "skip_connect"), "mbconv2": ops[::-1]})
  chains = lambda g: [mbconv.chain_of(g.cells[f"mbconv{n}"]) for n in (1, 2)]
  assert chains(scaling.scale(genotype, 1, 0.5, 32).genotype) == [ops[:1], ops[1:]]
  deeper = scaling.scale(genotype, 1, 2, 32).genotype
  assert chains(deeper) == [(*ops, ops[1], ops[1]), (*ops[::-1], ops[0], ops[0])]


def test_a_first_skip_is_no_block():
  """It changes the size, and stays; the blocks after it are counted: ceil(d n)."""
  skip, a, b = "skip_connect", "mbconv_3x3_e3", "mbconv_5x5_e3"
  base = mbconv.mbconv((8,), (1,), (2,), kernels=(3,), expansions=(3,))

  def scaled(chain, depth):
    space = base.replace(cells=base.cells | {"mbconv1": shapes.chain([(op,) for op in chain])})
    return mbconv.chain_of(scaling.scale(space, 1, depth, 32).genotype.cells["mbconv1"])

  assert scaled((skip, a, skip, b), 2) == (skip, a, b, b, b)
  assert scaled((skip, a), 0.5) == (skip, a)
  assert scaled((skip, a, b), 0.5) == (skip, a)


def test_a_cell_of_two_stages_is_scaled_in_each():
  cell = shapes.chain([("mbconv_3x3_e3",)])
  base = mbconv.mbconv((8,), (1,), (2,), kernels=(3,), expansions=(3,))
  stage = base.stages[0]
  twice = base.replace(cells={**base.cells, "mbconv1": cell}, stages=(stage, stage))
  scaled = scaling.scale(twice, 1, 2, 32).genotype
  assert [len(scaled.cells[stage.cell].edges) for stage in scaled.stages] == [2, 2]


@pytest.mark.parametrize(
  ("space", "repeats"),
  [
    (macro.cifar(genotypes.published("DARTS_V2"), 16, 8), [3, 1, 3, 1, 3]),
    (macro.imagenet(genotypes.published("DARTS_V2"), 16, 8), [3, 1, 3, 1, 3]),
    (macro.detector(genotypes.published("DARTS_V2"), (16, 24)), [1, 2, 1, 2]),
    (macro.detector(cells.nasbench201().sample(random.Random(0)), (16, 24)), [1, 2, 1, 2]),
    (cells.nasbench201(16, 2).sample(random.Random(0)), [3, 1, 3, 1, 3]),
  ],
)
def test_any_genotype(space, repeats):
  """Repeated cells grow in number, reductions stand once, cells stay what they are."""
  scaled, px = scaling.scale(space, 1.5, 1.2, 96)
  assert [stage.repeats for stage in scaled.stages] == repeats
  assert [s.channels for s in scaled.stages] == [
    scaling.round_filters(s.channels, 1.5) for s in space.stages
  ]
  assert [s.stride for s in scaled.stages] == [s.stride for s in space.stages]
  assert scaled.cells == space.cells
  assert scaled.is_genotype
  assert px == 96


def test_yolo_nas_grows_inside():
  scaled = scaling.scale(yolo_nas.genotype("yolo_nas_s"), 1.5, 1.5, 640).genotype
  assert scaled.cells["stage2"].edges[0].ops == ("csp_qarep_5x96",)
  assert scaled.cells["neck1"].edges[0].ops == ("csp_qarep_3x96",)
  assert [stage.repeats for stage in scaled.stages] == [1] * 9
  assert [stage.channels for stage in scaled.stages[::2]] == [144, 288, 576, 1152, 1152]


@pytest.mark.parametrize(
  ("space", "arguments", "message"),
  [
    (mbconv.efficientnet_b0(), (0, 1, 224), "width: must be a factor above 0"),
    (mbconv.efficientnet_b0(), (1, float("nan"), 224), "depth: must be a factor above 0"),
    (mbconv.efficientnet_b0(), (1, True, 224), "depth: must be a factor above 0"),
    (mbconv.efficientnet_b0(), (1, 1, 1.15), "resolution: must be 1 px or more, got 1.15"),
    (mbconv.mnasnet(), (1, 1, 224), "still holds choices"),
    (mbconv.efficientnet_b0().replace(stages=()), (1, 1, 224), "stages: are empty"),
    (mbconv.efficientnet_b0(), (100, 1, 224), "must be 1 to 65536"),
  ],
)
def test_errors(space, arguments, message):
  with pytest.raises(SpaceError, match=message):
    scaling.scale(space, *arguments)
