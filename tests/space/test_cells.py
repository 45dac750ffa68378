# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The published spaces: nodes, edges, operations and sizes as the papers have them."""

import math

import pytest

from dnas.space import cells, genotypes, shapes
from dnas.space.cell import SpaceError


def pairs(cell):
  return [(edge.src, edge.dst) for edge in cell.edges]


DARTS_PAIRS = [(src, dst) for dst in range(2, 6) for src in range(dst)]


def test_darts():
  space = cells.darts()
  assert sorted(space.cells) == ["normal", "reduce"]
  for cell in space.cells.values():
    assert pairs(cell) == DARTS_PAIRS
    assert len(cell.edges) == 14
    assert {edge.ops for edge in cell.edges} == {cells.DARTS_OPS}
    assert (cell.inputs, cell.output, cell.keep) == (2, (2, 3, 4, 5), 2)
    assert cell.size == math.prod(math.comb(n, 2) * 7**2 for n in (2, 3, 4, 5)) == 1_037_664_180
  assert len(cells.DARTS_OPS) == 8
  assert space.pool_norm
  assert not space.final_norm


def test_nasbench201():
  space = cells.nasbench201()
  cell = space.cells["cell"]
  assert pairs(cell) == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
  assert {edge.ops for edge in cell.edges} == {cells.NASBENCH201_OPS}
  assert (cell.inputs, cell.output, cell.keep, cell.size) == (1, (3,), None, 5**6)
  assert space.cells["residual"].is_decided
  assert not space.pool_norm
  assert space.final_norm


SKIP, SEP, D3, D5 = "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"
MAX, AVG = "max_pool_3x3", "avg_pool_3x3"
# S1 of RobustDARTS edge by edge, edges ordered by (dst, src).
S1_NORMAL = [
  (SKIP, D3), (SKIP, D5),
  (SKIP, D5), (SKIP, SEP), (SKIP, D3),
  (MAX, SKIP), (SKIP, SEP), (SKIP, SEP), (SKIP, D3),
  (SKIP, SEP), (MAX, SKIP), (SKIP, D3), (D3, D5), (D3, D5),
]  # fmt: skip
S1_REDUCE = [
  (MAX, AVG), (MAX, D3),
  (MAX, AVG), (MAX, AVG), (SKIP, D5),
  (MAX, AVG), (MAX, SEP), (SKIP, D3), (SKIP, D5),
  (MAX, AVG), (MAX, AVG), (SKIP, D5), (SKIP, D5), (SKIP, D5),
]  # fmt: skip


@pytest.mark.parametrize(
  ("space", "normal", "reduce", "choices_an_edge"),
  [
    (cells.robust_s1, S1_NORMAL, S1_REDUCE, 2),
    (cells.robust_s2, [(SKIP, SEP)] * 14, [(SKIP, SEP)] * 14, 2),
    (cells.robust_s3, [("none", SKIP, SEP)] * 14, [("none", SKIP, SEP)] * 14, 2),
    (cells.robust_s4, [("noise", SEP)] * 14, [("noise", SEP)] * 14, 2),
  ],
)
def test_robust_spaces(space, normal, reduce, choices_an_edge):
  space = space()
  for name, ops in (("normal", normal), ("reduce", reduce)):
    cell = space.cells[name]
    assert pairs(cell) == DARTS_PAIRS
    assert [edge.ops for edge in cell.edges] == ops
    assert cell.keep == 2
    expected = math.prod(math.comb(n, 2) * choices_an_edge**2 for n in (2, 3, 4, 5))
    assert cell.size == expected == 46_080


@pytest.mark.parametrize(
  "make", [cells.darts, cells.robust_s1, cells.robust_s2, cells.robust_s3, cells.robust_s4]
)
def test_networks_have_the_size_asked_for(make):
  space = make(channels=6, layers=5)
  assert sum(stage.repeats for stage in space.stages) == 5
  assert space.stages[0].channels == 6
  assert space.stem_channels == 18


def test_dense():
  one = cells.dense(("a", "b"), nodes=2, channels=4, layers=3)
  assert one.cells["cell"].size == 8
  assert [(s.repeats, s.channels) for s in one.stages] == [(3, 4), (1, 8), (3, 8), (1, 16), (3, 16)]
  two = cells.dense(("a", "none"), nodes=1, inputs=2, keep=1, layers=3)
  assert two.size == 2**2
  cell = shapes.dense([("a",), ("a", "b"), ("c", "d", "e")], nodes=2, output=(1, 2))
  assert [edge.ops for edge in cell.edges] == [("a",), ("a", "b"), ("c", "d", "e")]
  assert cell.output == (1, 2)
  assert shapes.dense(("a",), nodes=2, inputs=3).output == (3, 4)


def test_a_genotype_is_a_space_without_choices(tmp_path):
  assert cells.genotype("DARTS_V2") == genotypes.published("DARTS_V2")
  (tmp_path / "space.json").write_text(cells.nasbench201().to_json())
  with pytest.raises(SpaceError, match=r"space\.json: still holds choices in \['cell'\]"):
    cells.genotype(str(tmp_path / "space.json"))


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: cells.dense(("a",), nodes=0), "nodes: must be 1 or more, got 0"),
    (lambda: cells.dense(("a",), nodes=True), "nodes: must be 1 or more, got True"),
    (lambda: cells.dense(("a",), nodes=1, inputs=3), "inputs: must be 1 or 2, got 3"),
    (lambda: shapes.dense(("a",), 1, inputs=0), "inputs: must be 1 or more, got 0"),
    (lambda: shapes.dense([("a",)], nodes=2), "ops: this cell has 3 edges, got .* for 1"),
    (lambda: shapes.dense("skip", nodes=1), "ops: must hold names of operations, got 'skip'"),
    (lambda: cells.dense((), nodes=1), r"cell.edges\[0\].ops: must name at least one"),
    (lambda: cells.dense(("a", "a"), nodes=1), r"cell.edges\[0\].ops: repeats a name"),
    (lambda: cells.darts(layers=2), "layers: must be 3 or more"),
    (lambda: cells.darts(channels=0), "channels: must be 1 or more, got 0"),
    (lambda: cells.nasbench201(cells=0), "cells: must be 1 or more per stage, got 0"),
  ],
)
def test_bad_arguments(make, message):
  with pytest.raises(SpaceError, match=message):
    make()
