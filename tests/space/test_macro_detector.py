# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Detector spaces: stages of both kinds of cells, and the fusion cell."""

import random

import pytest

from dnas.space import cells, macro
from dnas.space.space import SearchSpace, SpaceError

FUSION_OPS = ("skip_connect", "nor_conv_1x1", "sep_conv_3x3", "channel_attention")


def test_one_input_cells():
  space = macro.detector(cells.nasbench201(), (8, 16), repeats=(1, 3), down="residual_block")
  assert [(s.cell, s.repeats, s.channels, s.stride) for s in space.stages] == [
    ("down", 1, 8, 2),
    ("cell", 1, 8, 1),
    ("down", 1, 16, 2),
    ("cell", 3, 16, 1),
  ]
  assert space.cells["down"].edges[0].ops == ("residual_block",)
  assert "residual" not in space.cells, "cells of the classifier that nothing uses are dropped"
  assert space.size == 15625


def test_two_input_cells():
  space = macro.detector(cells.darts(), (4, 8), repeats=0)
  assert [(s.cell, s.channels, s.stride) for s in space.stages] == [
    ("reduce", 4, 2),
    ("reduce", 8, 2),
  ]


def test_fusion_cell_is_searched_with_the_rest():
  space = macro.detector(cells.nasbench201(), fusion=FUSION_OPS, fusion_nodes=2)
  cell = space.cells["fusion"]
  assert [(e.src, e.dst) for e in cell.edges] == [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
  assert cell.output == (3,)
  assert space.size == 15625 * 4**5
  genotype = space.sample(random.Random(0))
  assert genotype.is_genotype
  assert SearchSpace.from_json(genotype.to_json()) == genotype


def test_bad_input():
  with pytest.raises(SpaceError, match="3 stages, got"):
    macro.detector(cells.nasbench201(), repeats=(1, 2))
  with pytest.raises(SpaceError, match=r"stages\[1\].repeats: must be 1 to .*, got 1.0"):
    macro.detector(cells.nasbench201(), repeats=1.0)  # pyright: ignore[reportArgumentType]
  with pytest.raises(SpaceError, match="channels: must hold the width of each stage, got 32"):
    macro.detector(cells.nasbench201(), 32)  # pyright: ignore[reportArgumentType]
  with pytest.raises(SpaceError, match="a detector needs `cell` with one input"):
    macro.detector(SearchSpace({"other": cells.darts().cells["normal"]}))
  with pytest.raises(SpaceError, match="nodes: must be 1 or more"):
    macro.detector(cells.nasbench201(), fusion=FUSION_OPS, fusion_nodes=0)
