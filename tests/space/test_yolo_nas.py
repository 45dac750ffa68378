# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The space of YOLO-NAS' kind, and S, M and L in it."""

import random

import pytest

from dnas.space import yolo_nas
from dnas.space.space import SearchSpace, SpaceError
from dnas.strategy import ask_tell


def ops(space, cell):
  return space.cells[cell].edges[0].ops


def test_published_genotypes():
  """The configurations of S, M and L: hidden widths, blocks, intermediates, heads."""
  read = {
    name: [yolo_nas.parse(ops(genotype, cell)[0]) for cell in yolo_nas.STAGES + yolo_nas.NECK]
    for name in yolo_nas.NAMES
    for genotype in [yolo_nas.genotype(name)]
  }
  small, medium, large = read.values()
  for layers in read.values():
    assert [csp.blocks for csp in layers[:4]] == [2, 3, 5, 2]
    assert [csp.block for csp in layers] == ["qarep"] * 6 + ["conv"] * 2
    assert not any(csp.all for csp in layers[4:])
  assert [csp.hidden for csp in small] == [32, 64, 96, 192, 64, 48, 64, 64]
  assert [csp.hidden for csp in medium] == [64, 128, 256, 384, 192, 64, 192, 256]
  assert [csp.hidden for csp in large] == [96, 128, 256, 512, 128, 128, 128, 256]
  assert [[csp.all for csp in layers[:4]] for layers in read.values()] == [
    [False] * 4,
    [True, True, True, False],
    [True] * 4,
  ]
  assert [csp.blocks for csp in medium[4:]] == [2, 3, 2, 3]
  assert {csp.blocks for csp in small[4:]} == {2}
  assert {csp.blocks for csp in large[4:]} == {4}
  heads = [ops(yolo_nas.genotype(name), "head") for name in yolo_nas.NAMES]
  assert heads == [("yolo_head_50",), ("yolo_head_75",), ("yolo_head_100",)]


@pytest.mark.parametrize("name", yolo_nas.NAMES)
def test_genotypes_lie_in_the_space(name):
  space, genotype = yolo_nas.yolo_nas(), yolo_nas.genotype(name)
  assert genotype.is_genotype
  assert not space.is_genotype
  decided = space.decide(space.choices(genotype))
  assert decided == genotype
  assert SearchSpace.from_json(genotype.to_json()) == genotype
  assert yolo_nas.is_member(genotype)


def test_size_is_the_product_of_the_choices():
  space = yolo_nas.yolo_nas([[4]] * 4 + [[4, 8]] * 4, [[1, 2]] * 8, types=("conv",), heads=(50,))
  # Stages: 2 numbers of blocks, intermediates or not; neck: 2 numbers and 2 widths; one head.
  assert space.size == 4**4 * 4**4
  assert set(space.searched) == {*yolo_nas.STAGES, *yolo_nas.NECK}


def test_samples_and_their_neighbours_are_members():
  space, rng = yolo_nas.yolo_nas(), random.Random(0)
  neighbours, draw = ask_tell.neighbourhood(space), ask_tell.sampler(space)
  for _ in range(20):
    genotype = space.decide(rng.choice(neighbours(draw(rng))))
    assert space.decide(space.choices(genotype)) == genotype


@pytest.mark.parametrize("csp", [yolo_nas.Csp("qarep", 3, 64, True), yolo_nas.Csp("conv", 1, 8)])
def test_names_round_trip(csp):
  assert yolo_nas.parse(csp.name) == csp


@pytest.mark.parametrize(
  "name",
  ["csp_qarep_0x64", "csp_other_2x64", "csp_qarep_2x064", "csp_qarep_2x64_any", "csp_conv_101x8"]
  + ["csp_conv_1x70000", "csp_conv_1x9" + "9" * 5000, "skip_connect"],
)
def test_other_names_are_none(name):
  assert yolo_nas.parse(name) is None
  assert yolo_nas.parse_head(name.replace("csp_qarep", "yolo_head")) is None


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: yolo_nas.genotype("yolo_nas_x"), "unknown YOLO-NAS 'yolo_nas_x'.*yolo_nas_s"),
    (lambda: yolo_nas.yolo_nas([[8]] * 7), "hidden: needs a list for each of stage1.*got 7"),
    (lambda: yolo_nas.yolo_nas(types=("resnet",)), "stage1: 'csp_resnet.*not of the form"),
    (lambda: yolo_nas.yolo_nas(heads=(0,)), "head: 'yolo_head_0'"),
    (lambda: yolo_nas.yolo_nas(channels=(8, 16, 30, 64)), "channels: must be four multiples of 4"),
    (lambda: yolo_nas.yolo_nas(blocks=[[]] * 8), "ops"),
    (lambda: yolo_nas.family({"stage1": ("csp_conv_1x8",)}), "ops: needs candidates of"),
  ],
)
def test_errors(make, message):
  with pytest.raises(SpaceError, match=message):
    make()
