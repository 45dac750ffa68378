# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published genotypes edge by edge; the three formats read, written, and refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.space import cells, genotypes
from dnas.space.cell import Cell, Edge, SpaceError
from dnas.space.space import SearchSpace

# Cells in words, from the papers' figures and code; node 2 first.
WORDS = {
  "DARTS_V1": (
    "2: sep_conv_3x3(1) + sep_conv_3x3(0) | 3: skip_connect(0) + sep_conv_3x3(1) | "
    "4: skip_connect(0) + sep_conv_3x3(1) | 5: sep_conv_3x3(0) + skip_connect(2)",
    "2: max_pool_3x3(0) + max_pool_3x3(1) | 3: skip_connect(2) + max_pool_3x3(0) | "
    "4: max_pool_3x3(0) + skip_connect(2) | 5: skip_connect(2) + avg_pool_3x3(0)",
  ),
  "DARTS_V2": (
    "2: sep_conv_3x3(0) + sep_conv_3x3(1) | 3: sep_conv_3x3(0) + sep_conv_3x3(1) | "
    "4: sep_conv_3x3(1) + skip_connect(0) | 5: skip_connect(0) + dil_conv_3x3(2)",
    "2: max_pool_3x3(0) + max_pool_3x3(1) | 3: skip_connect(2) + max_pool_3x3(1) | "
    "4: max_pool_3x3(0) + skip_connect(2) | 5: skip_connect(2) + max_pool_3x3(1)",
  ),
  "PDARTS": (
    "2: skip_connect(0) + dil_conv_3x3(1) | 3: skip_connect(0) + sep_conv_3x3(1) | "
    "4: sep_conv_3x3(1) + sep_conv_3x3(3) | 5: sep_conv_3x3(0) + dil_conv_5x5(4)",
    "2: avg_pool_3x3(0) + sep_conv_5x5(1) | 3: sep_conv_3x3(0) + dil_conv_5x5(2) | "
    "4: max_pool_3x3(0) + dil_conv_3x3(1) | 5: dil_conv_3x3(1) + dil_conv_5x5(3)",
  ),
}
NASBENCH = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


@pytest.mark.parametrize("name", WORDS)
def test_published_cells_in_words(name):
  genotype = genotypes.published(name)
  assert (str(genotype.cells["normal"]), str(genotype.cells["reduce"])) == WORDS[name]


def test_all_published_equal_the_facts(shared):
  facts = json.loads((shared / "facts" / "genotypes.json").read_text())
  assert sorted(facts) == sorted(genotypes.NAMES)
  for name, fact in facts.items():
    assert genotypes.to_darts(genotypes.published(name)) == fact["genotype"]
    assert genotypes.from_darts(fact["genotype"]) == genotypes.published(name)


def test_nine_genotypes_in_the_cifar_network():
  assert len(genotypes.NAMES) == 9
  for name in genotypes.NAMES:
    genotype = genotypes.published(name)
    assert genotype.is_genotype
    assert sum(stage.repeats for stage in genotype.stages) == 20
    assert genotype.stages[0].channels == 36
    assert SearchSpace.from_json(genotype.to_json()) == genotype


def test_cells_outside_darts_space():
  """NASNet has two edges between the same nodes, AmoebaNet leaves nodes out of the output."""
  nasnet = genotypes.published("NASNet").cells["normal"]
  assert [(e.src, e.ops) for e in nasnet.edges if e.dst == 5] == [(0, ("avg_pool_3x3",))] * 2
  assert genotypes.published("AmoebaNet").cells["reduce"].output == (3, 4, 6)


def test_published_cells_lie_in_the_darts_space():
  space = cells.darts()
  for name in set(genotypes.NAMES) - {"NASNet", "AmoebaNet"}:
    choices = space.choices(genotypes.published(name))
    assert str(space.decide(choices).cells["reduce"]).count("(") == 8
  with pytest.raises(SpaceError, match=r"normal.output: must be \(2, 3, 4, 5\) in this space"):
    space.choices(genotypes.published("NASNet"))


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_round_trips(rng):
  for space, write in (
    (cells.darts(36, 20), lambda g: json.dumps(genotypes.to_darts(g))),
    (cells.nasbench201(), genotypes.to_nasbench201),
  ):
    genotype = space.sample(rng)
    for text in (genotype.to_json(), write(genotype)):
      read = genotypes.loads(text)
      assert space.choices(read) == space.choices(genotype)
      assert read.stages == genotype.stages
    assert write(genotypes.loads(write(genotype))) == write(genotype)


def test_nasbench201_string():
  genotype = genotypes.from_nasbench201(f"\n{NASBENCH} ")
  assert genotypes.to_nasbench201(genotype) == NASBENCH
  assert str(genotype.cells["cell"]) == (
    "1: nor_conv_3x3(0) | 2: none(0) + nor_conv_3x3(1) | "
    "3: skip_connect(0) + none(1) + avg_pool_3x3(2)"
  )
  assert cells.nasbench201().choices(genotype)["cell"][1] == "none"


def test_load(tmp_path):
  darts = genotypes.published("DARTS_V2")
  assert genotypes.load("DARTS_V2") == darts
  assert genotypes.load(NASBENCH) == genotypes.from_nasbench201(NASBENCH)
  for name, text, expected in (
    ("own.json", darts.replace(stages=darts.stages[:1]).to_json(), None),
    ("darts.json", json.dumps(genotypes.to_darts(darts)), darts),
    ("marked.json", "\ufeff" + json.dumps(genotypes.to_darts(darts)), darts),
    ("cell.txt", f"{NASBENCH}\n", genotypes.from_nasbench201(NASBENCH)),
  ):
    (tmp_path / name).write_text(text, encoding="utf-8")
    read = genotypes.load(tmp_path / name)
    assert read == (expected or darts.replace(stages=darts.stages[:1]))


def test_decided(tmp_path):
  darts, space = genotypes.published("DARTS_V2"), cells.darts()
  assert genotypes.decided("DARTS_V2") == genotypes.decided(darts) == darts
  (tmp_path / "s.json").write_text(space.to_json())
  message = r": still holds choices in \['normal', 'reduce'\]"
  for source, name in ((space, "^genotype"), (tmp_path / "s.json", r"s\.json")):
    with pytest.raises(SpaceError, match=name + message):
      genotypes.decided(source)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"", "f.json: not JSON"),
    (b"\xff\xfe\x00", "f.json is not UTF-8 text: byte 0"),
    (b"nor_conv_3x3~0", "f.json: not JSON: .* no NAS-Bench-201 string .* either"),
    (b"{}", "f.json: schema: must be 'dnas.space/1', got None"),
    (b"[1]", r"f.json: document: must be a JSON object, got \[1\]"),
    (b'{"normal": []}', r"f.json: genotype: lacks \['normal_concat', 'reduce'"),
    (b"|a~0|+|a~0|", r"f.json: node 2: must list the inputs \[0, 1\], got \[0\]"),
    (b"[" * 100_000, "f.json: not JSON"),
  ],
)
def test_bad_files_are_named(tmp_path, content, message):
  (tmp_path / "f.json").write_bytes(content)
  with pytest.raises(SpaceError, match=message):
    genotypes.load(tmp_path / "f.json")


def test_no_file(tmp_path):
  for name in ("DARTS_V3", tmp_path, "", "a\0b"):
    with pytest.raises(SpaceError, match=r"is neither a file nor a published genotype \(DARTS_V1"):
      genotypes.load(name)
  with pytest.raises(SpaceError, match="unknown published genotype: 'DARTS_V3'; did you mean"):
    genotypes.published("DARTS_V3")


GOOD = genotypes.to_darts(genotypes.published("DARTS_V2"))


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("normal", None, "normal: must be a list, got None"),
    ("normal", "skip", "normal: must be a list, got 'skip'"),
    ("normal", [], "normal: must hold two .* per node, got 0 pairs"),
    ("normal", GOOD["normal"][:3], "normal: must hold two .* per node, got 3 pairs"),
    ("reduce", [["a", 0], ["a", 2]], r"reduce\[1\]: node 2 can see nodes 0 to 1, got 2"),
    ("reduce", [["a", 0], ["a", -1]], r"reduce\[1\]: node 2 can see nodes 0 to 1, got -1"),
    ("reduce", [["a", 0], ["a", True]], r"reduce\[1\]: must be \[op, node\], got \['a', True\]"),
    ("reduce", [["a", 0], ["a", 1.0]], r"reduce\[1\]: must be \[op, node\], got \['a', 1.0\]"),
    ("reduce", [["a", 0], ["a"]], r"reduce\[1\]: must be \[op, node\], got \['a'\]"),
    ("reduce", [["a", 0], [3, 0]], r"reduce\[1\]: must be \[op, node\], got \[3, 0\]"),
    ("reduce", [["a", 0], {"a": 0}], r"reduce\[1\]: must be \[op, node\], got \{'a': 0\}"),
    ("reduce", [["a", 0], ["none", 0]], r"reduce\[1\].ops: must hold an operation besides"),
    ("reduce", [["a", 0], ["", 0]], r"reduce\[1\].ops: must hold names, got ''"),
    ("reduce_concat", [], "reduce_concat: must name at least one node"),
    ("reduce_concat", [6], "reduce_concat: must hold nodes 2 to 5, got 6"),
    ("reduce_concat", [True], "reduce_concat: must hold nodes 2 to 5, got True"),
    ("reduce_concat", [[2]], r"reduce_concat: must hold nodes 2 to 5, got \[2\]"),
    ("normal_concat", {"2": 3}, r"normal_concat: must be a list, got \{'2': 3\}"),
    ("normal_concat", [2, 2], "normal_concat: repeats a node"),
    ("extra", 1, r"genotype: has unknown fields \['extra'\]; valid: \['normal', 'normal_concat"),
  ],
)
def test_bad_darts_genotypes(field, value, message):
  with pytest.raises(SpaceError, match=message):
    genotypes.loads(json.dumps(GOOD | {field: value}))


@pytest.mark.parametrize("field", GOOD)
def test_missing_fields(field):
  with pytest.raises(SpaceError, match=rf"genotype: lacks \['{field}'\]"):
    genotypes.from_darts({k: v for k, v in GOOD.items() if k != field})


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "node 1: '' is not of the form"),
    ("|", r"node 1: '\|' is not of the form"),
    ("|a~0", r"node 1: '\|a~0' is not of the form"),
    ("|a~0|+", "node 2: '' is not of the form"),
    ("|a~0|+|a~0|b~1", "node 2: .* is not of the form"),
    ("|a~1|", r"node 1: must list the inputs \[0\], got \[1\]"),
    ("|a~0|+|a~1|b~0|", r"node 2: must list the inputs \[0, 1\], got \[1, 0\]"),
    ("|a~-1|", "node 1: .* is not of the form"),
    ("|a~0.5|", "node 1: .* is not of the form"),
    ("|~0|", "node 1: .* is not of the form"),
    ("|a b~0|", "node 1: .* is not of the form"),
    ("|a~9999|", "node 1: .* is not of the form"),
    ("x" * 10_000, "node 1: .* is not of the form"),
  ],
)
def test_bad_nasbench201_strings(text, message):
  with pytest.raises(SpaceError, match=message) as error:
    genotypes.from_nasbench201(text)
  assert len(str(error.value)) < 300


def test_formats_hold_only_their_own_kind():
  darts, bench = genotypes.published("DARTS_V2"), genotypes.from_nasbench201(NASBENCH)
  with pytest.raises(SpaceError, match=r"needs a cell 'normal', got \['cell', 'residual'\]"):
    genotypes.to_darts(bench)
  with pytest.raises(SpaceError, match=r"needs a cell 'cell', got \['normal', 'reduce'\]"):
    genotypes.to_nasbench201(darts)
  with pytest.raises(SpaceError, match=r"cells.normal: still holds a choice"):
    genotypes.to_darts(cells.darts())
  with pytest.raises(SpaceError, match=r"cells.cell: still holds a choice"):
    genotypes.to_nasbench201(cells.nasbench201())
  a, b = Edge(0, 1, ("a",)), Edge(1, 2, ("a",))
  with pytest.raises(SpaceError, match=r"node 2 must have one edge from each of \[0, 1\]"):
    genotypes.to_nasbench201(SearchSpace({"cell": Cell(1, (a, b), (2,))}))
  with pytest.raises(SpaceError, match=r"cells.cell.output: must be the last node, got \(1, 2\)"):
    genotypes.to_nasbench201(SearchSpace({"cell": Cell(1, (a, Edge(0, 2, ("a",)), b), (1, 2))}))
  one = Cell(2, (Edge(0, 2, ("a",)),), (2,))
  with pytest.raises(SpaceError, match="this cell has 2 inputs, and node 2 has 1 edges"):
    genotypes.to_darts(SearchSpace({"normal": one, "reduce": one}))
