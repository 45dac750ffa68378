# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Networks: how many cells, how wide, where the resolution halves."""

import pytest

from dnas.space import cells, genotypes, macro
from dnas.space.cell import SpaceError
from dnas.space.space import Stage


def test_cifar_reduces_at_a_third_and_two_thirds():
  space = macro.cifar(cells.darts(), channels=36, layers=20)
  assert space.stages == (
    Stage("normal", 6, 36),
    Stage("reduce", 1, 72, 2),
    Stage("normal", 6, 72),
    Stage("reduce", 1, 144, 2),
    Stage("normal", 6, 144),
  )
  assert (space.stem, space.stem_channels) == ("conv3x3", 108)


@pytest.mark.parametrize("layers", range(3, 30))
def test_reductions_stand_where_darts_has_them(layers):
  space = macro.cifar(genotypes.published("DARTS_V2"), 4, layers)
  names = [stage.cell for stage in space.stages for _ in range(stage.repeats)]
  assert len(names) == layers
  assert [i for i, n in enumerate(names) if n == "reduce"] == [layers // 3, 2 * layers // 3]
  widths = [stage.channels for stage in space.stages for _ in range(stage.repeats)]
  assert [w // 4 for w in widths] == [
    2 ** ((i >= layers // 3) + (i >= 2 * layers // 3)) for i in range(layers)
  ]


def test_imagenet_is_cifar_with_another_stem():
  space = macro.imagenet(cells.darts(), channels=48, layers=14)
  assert space.stages == macro.cifar(space, channels=48, layers=14).stages
  assert (space.stem, space.stem_channels) == ("imagenet", 48)


def test_nasbench201():
  space = macro.nasbench201(cells.nasbench201(), channels=8, cells=2)
  assert space.stages == (
    Stage("cell", 2, 8),
    Stage("residual", 1, 16, 2),
    Stage("cell", 2, 16),
    Stage("residual", 1, 32, 2),
    Stage("cell", 2, 32),
  )
  assert str(space.cells["residual"]) == "1: residual_block(0)"
  assert macro.nasbench201(space) == cells.nasbench201(), "a network can be replaced"


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (
      lambda: macro.cifar(cells.nasbench201()),
      r"needs a cell 'normal', got \['cell', 'r",
    ),
    (lambda: macro.imagenet(cells.nasbench201()), "needs a cell 'normal'"),
    (lambda: macro.nasbench201(cells.darts()), r"needs a cell 'cell', got \['normal', 'reduce'\]"),
    (
      lambda: macro.cifar(
        cells.nasbench201().replace(
          cells={k: cells.nasbench201().cells["cell"] for k in ("normal", "reduce")}, stages=()
        )
      ),
      "cells.normal.inputs: this network needs 2, got 1",
    ),
    (lambda: macro.cifar(cells.darts(), layers="8"), "layers: must be 3 or more .* got '8'"),
    (lambda: macro.cifar(cells.darts(), layers=True), "layers: must be 3 or more .* got True"),
    (lambda: macro.cifar(cells.darts(), channels=1.5), "channels: must be 1 or more, got 1.5"),
    (lambda: macro.nasbench201(cells.nasbench201(), cells=1.0), "cells: must be 1 or more"),
    (lambda: macro.nasbench201(cells.nasbench201(), channels=-1), "channels: must be 1 or more"),
  ],
)
def test_bad_arguments(make, message):
  with pytest.raises(SpaceError, match=message):
    make()
