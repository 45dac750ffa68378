# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network's rows sum up to, and what is said about a space."""

import pytest
from rich.console import Console

from dnas import info
from dnas.space import cells, genotypes, macro, published
from dnas.space.cell import Cell, Edge, SpaceError
from dnas.space.space import SearchSpace, Stage


def text(page):
  console = Console(width=200, highlight=False)
  with console.capture() as capture:
    console.print(page)
  return capture.get()


def measured(space, *args, **options):
  return info.measure(*published.with_network(space, *args), **options)


def test_rows_sum_up():
  result = measured(genotypes.published("PC_DARTS_cifar"), "cifar", 4, 3, auxiliary=True)
  assert result.auxiliary
  for rows in (result.stages, result.operations):
    assert sum(params for _, params, _ in rows) == result.params
    assert sum(macs for _, _, macs in rows) == result.macs
  stages = {name: (params, macs) for name, params, macs in result.stages}
  assert list(stages) == [
    "stem",
    "stage 1: 1 x normal, 4 channels",
    "stage 2: 1 x reduce, 8 channels, stride 2",
    "stage 3: 1 x reduce, 16 channels, stride 2",
    "classifier",
    "auxiliary head",
  ]
  assert stages["stem"] == (3 * 9 * 12 + 2 * 12, 32 * 32 * 3 * 9 * 12)
  assert stages["classifier"] == (64 * 10 + 10, 64 * 10)
  assert stages["auxiliary head"][1] == 0
  assert "sep_conv_5x5" in [name for name, _, _ in result.operations]
  without = measured(genotypes.published("PC_DARTS_cifar"), "cifar", 4, 3)
  assert without.params == result.params - stages["auxiliary head"][0]
  assert without.macs == result.macs


def test_supernet():
  result = measured(cells.nasbench201(), "nasbench201", 4, 1)
  json = result.to_dict()
  assert (json["network"], json["channels"], json["layers"]) == ("nasbench201", 4, 1)
  assert (json["is_genotype"], json["size"]) == (False, 15_625)
  assert {row["name"] for row in json["operations"]} == {
    "stem", "nor_conv_1x1", "nor_conv_3x3", "residual_block", "classifier"
  }  # fmt: skip


def test_defaults_of_classes_and_image():
  cell = Cell(1, (Edge(0, 1, ("nor_conv_1x1",)),), (1,))
  own = SearchSpace({"c": cell}, (Stage("c", 1, 4, 2), Stage("c", 1, 6)), stem_channels=5)
  a = info.measure(own, None)
  assert (a.classes, a.image_size) == (10, 32)
  assert a.macs == 1024 * 9 * 3 * 5 + 256 * (5 * 4 + 4 * 6) + 6 * 10
  b = info.measure(own.replace(stem="conv3x3_stride2"), None)
  assert (b.classes, b.image_size) == (10, 224)
  c = measured(genotypes.published("DARTS_V2"), "imagenet", 2, 3)
  assert (c.classes, c.image_size) == (1000, 224)
  d = info.measure(own, None, classes=3, image_size=8)
  assert d.params == 9 * 3 * 5 + 2 * 5 + 5 * 4 + 2 * 4 + 4 * 6 + 2 * 6 + 6 * 3 + 3
  assert d.to_dict()["network"] == "own stages"


def test_auxiliary_head_needs_a_large_image():
  with pytest.raises(SpaceError, match="features of 8 x 8 or more, got 7 x 7: use larger images"):
    measured(genotypes.published("DARTS_V2"), "cifar", 4, 3, auxiliary=True, image_size=28)


def test_words():
  edges = (Edge(0, 1, ("none", "a")), Edge(0, 2, ("a", "b")), Edge(1, 2, ("b",)))
  assert info.words(Cell(1, edges, (2,))) == (
    "4 genotypes; 2 nodes, 3 edges; 0-1 none | a, 0-2 a | b, 1-2 b"
  )
  assert info.words(cells.robust_s3().cells["normal"]) == (
    "46,080 genotypes; 4 nodes, 14 edges, 2 edges kept per node; "
    "on each edge none | skip_connect | sep_conv_3x3 (`none` while searching only)"
  )
  decided = Cell(1, (Edge(0, 1, ("a",)),), (1,))
  assert info.words(decided) == "1: a(0)"


def test_page():
  space = macro.detector(
    cells.dense(("nor_conv_1x1",), nodes=1), (4,), stem_channels=4, fusion=("skip_connect",)
  )
  page = text(info.render("mine", space, info.measure(space, None)))
  assert "mine: genotype" in page
  assert "fusion  2: skip_connect(0) + skip_connect(1)" in page
  assert "network: own stages; 10 classes, image 224 x 224 px" in page
  assert "not in this network, and not counted: fusion" in page
  assert "no path" not in page
  loose = cells.nasbench201().decide({"cell": ["none", "none", *["nor_conv_1x1"] * 4]})
  assert "3 of 4 operations lie on no path from an input" in text(info.render("x", loose, None))
  page = text(info.render("[bold]", cells.darts(), None))
  assert "[bold]: search space of 1,076,746,950,455,072,400 genotypes" in page
  assert "MACs" not in page
