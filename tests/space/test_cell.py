# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cells: sizes and samples against enumeration, choices and their inverse, what is refused."""

import collections
import dataclasses
import itertools
import math
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.space.cell import MAX_EDGES, Cell, Edge, SpaceError

A, AB, ABC, NA = ("a",), ("a", "b"), ("a", "b", "c"), ("none", "a")

CELLS = {
  "chain": Cell(1, (Edge(0, 1, AB), Edge(1, 2, ABC)), (2,)),
  "dense": Cell(1, (Edge(0, 1, NA), Edge(0, 2, AB), Edge(1, 2, A)), (1, 2)),
  "keep 1, uneven": Cell(2, (Edge(0, 2, ABC), Edge(1, 2, A)), (2,), keep=1),
  "keep 2, uneven, none": Cell(
    2,
    (
      Edge(0, 2, ("none", "a", "b")),
      Edge(1, 2, NA),
      Edge(0, 3, AB),
      Edge(1, 3, ("c", "none")),
      Edge(2, 3, ("a", "c", "d")),
    ),
    (2, 3),
    keep=2,
  ),
  "keep more than there are": Cell(1, (Edge(0, 1, AB), Edge(0, 2, AB), Edge(1, 2, A)), (2,), 3),
  "parallel edges": Cell(1, (Edge(0, 1, AB), Edge(0, 1, AB)), (1,)),
  "decided": Cell(1, (Edge(0, 1, A),), (1,)),
}


def enumerate_choices(cell):
  """Every genotype of a cell, the slow way: all combinations, those with wrong numbers left out."""
  options = [
    [
      *(op for op in edge.ops if cell.keep is None or op != "none"),
      *([] if cell.keep is None else [None]),
    ]
    for edge in cell.edges
  ]
  for choice in itertools.product(*options):
    counts = collections.Counter(
      edge.dst for edge, op in zip(cell.edges, choice, strict=True) if op is not None
    )
    total = collections.Counter(edge.dst for edge in cell.edges)
    if all(counts[n] == min(cell.keep or total[n], total[n]) for n in total):
      yield choice


@st.composite
def random_cells(draw):
  inputs, computed = draw(st.integers(1, 2)), draw(st.integers(1, 2))
  edges = []
  for dst in range(inputs, inputs + computed):
    sources = draw(st.lists(st.integers(0, dst - 1), min_size=1, max_size=3))
    for src in sources:
      names = draw(st.lists(st.sampled_from(["a", "b", "none"]), min_size=1, unique=True))
      edges.append(Edge(src, dst, names if names != ["none"] else ["a"]))
  keep = draw(st.sampled_from([None, 1, 2]))
  return Cell(inputs, edges, (inputs + computed - 1,), keep)


@pytest.mark.parametrize("name", CELLS)
def test_size_and_decisions_equal_enumeration(name):
  cell = CELLS[name]
  choices = list(enumerate_choices(cell))
  assert cell.size == len(choices) == len(set(choices))
  for choice in choices:
    genotype = cell.decide(choice)
    assert genotype.is_decided
    assert genotype.size == 1
    assert cell.choice_of(genotype) == choice
    assert [edge.ops for edge in genotype.edges] == [(op,) for op in choice if op is not None]
  assert cell.is_decided == (len(choices) == 1)


@given(random_cells(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_cell(cell, seed):
  """Size equals enumeration; what is sampled, or next to a sample, is one of the enumerated."""
  choices = set(enumerate_choices(cell))
  assert cell.size == len(choices)
  rng = random.Random(seed)
  choice = cell.sample(rng)
  assert choice in choices
  decided = cell.decide(choice)
  assert sorted(map(str, cell.decide(cell.choice_of(decided)).edges)) == sorted(
    map(str, decided.edges)
  ), "the inverse gives the same graph (parallel edges may change places)"
  assert set(cell.neighbours(choice)) <= choices - {choice}


@pytest.mark.parametrize("name", ["keep 2, uneven, none", "keep 1, uneven", "dense"])
def test_samples_are_uniform(name):
  """Chi-square over all genotypes: 200 expected in each, 99.9 % quantile by Wilson and Hilferty."""
  cell, rng = CELLS[name], random.Random(3)
  draws = 200 * cell.size
  counts = collections.Counter(cell.sample(rng) for _ in range(draws))
  assert set(counts) == set(enumerate_choices(cell))
  statistic = sum((n - 200) ** 2 / 200 for n in counts.values())
  freedom = cell.size - 1
  quantile = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
  assert statistic < quantile


def test_sampling_many_edges_lists_no_subsets():
  """C(60, 30) is 10^17: the sample has to come without going through them."""
  cell = Cell(60, [Edge(i, 60, AB) for i in range(60)], (60,), keep=30)
  assert cell.size == math.comb(60, 30) * 2**30
  choice = cell.sample(random.Random(0))
  assert sum(op is not None for op in choice) == 30


def one_decision_apart(cell, a, b):
  """Whether choices differ in one operation, or one edge into a node (its operation kept)."""
  differ = [i for i in range(len(a)) if a[i] != b[i]]
  if len(differ) == 1:
    return None not in (a[differ[0]], b[differ[0]])
  if len(differ) != 2 or cell.edges[differ[0]].dst != cell.edges[differ[1]].dst:
    return False
  left, entered = sorted(differ, key=lambda i: a[i] is None)
  if a[left] is None or a[entered] is not None or b[left] is not None:
    return False
  return b[entered] == a[left] or a[left] not in cell.candidates(cell.edges[entered])


@pytest.mark.parametrize("name", CELLS)
def test_neighbours_are_complete(name):
  cell = CELLS[name]
  choices = list(enumerate_choices(cell))
  for a in choices:
    found = list(cell.neighbours(a))
    assert len(found) == len(set(found))
    assert set(found) == {b for b in choices if a != b and one_decision_apart(cell, a, b)}


def test_inverse_of_reordered_edges():
  cell = CELLS["keep 2, uneven, none"]
  genotype = cell.decide(("a", "a", None, "c", "d"))
  shuffled = dataclasses.replace(genotype, edges=genotype.edges[::-1])
  assert cell.choice_of(shuffled) == ("a", "a", None, "c", "d")
  assert cell.match(shuffled) == (4, 3, 1, 0)
  assert cell.match(genotype) == (0, 1, 3, 4)


def test_inverse_moves_parallel_edges():
  """The first decided edge fits both places, the second only the one taken first."""
  cell = Cell(1, (Edge(0, 1, AB), Edge(0, 1, A)), (1,))
  decided = Cell(1, (Edge(0, 1, ("a",)), Edge(0, 1, ("b",))), (1,))
  assert cell.choice_of(decided) == ("b", "a")


def test_as_many_parallel_edges_move_as_a_cell_may_have():
  """Edge i takes operations i and i + 1: that of the last decided edge moves all the others."""
  n = MAX_EDGES
  cell = Cell(1, [Edge(0, 1, (str(i), str(i + 1))) for i in range(n)], (1,))
  names = [*map(str, range(1, n)), "0"]
  decided = Cell(1, [Edge(0, 1, (name,)) for name in names], (1,))
  assert cell.match(decided) == (*range(1, n), 0)


@pytest.mark.parametrize(
  ("decided", "message"),
  [
    (Cell(1, (Edge(0, 1, A), Edge(1, 2, ("d",))), (2,)), "g: d on 1 -> 2 is not in this space"),
    (Cell(1, (Edge(0, 1, A), Edge(1, 2, AB)), (2,)), r"g: edge 1 -> 2 is not decided"),
    (Cell(1, (Edge(0, 1, A), Edge(1, 2, A)), (1, 2)), r"g.output: must be \(2,\) in this space"),
    (Cell(1, (Edge(0, 1, A),), (1,)), r"g.output: must be \(2,\) in this space, got \(1,\)"),
    (Cell(2, (Edge(0, 2, A),), (2,)), "g.inputs: must be 1 in this space, got 2"),
    (
      Cell(1, (Edge(0, 1, A), Edge(1, 2, A), Edge(1, 2, A)), (2,)),
      "g: a on 1 -> 2 is not in this space",
    ),
  ],
)
def test_not_in_the_space(decided, message):
  with pytest.raises(SpaceError, match=message):
    CELLS["chain"].choice_of(decided, "g")


@pytest.mark.parametrize(
  ("choice", "message"),
  [
    (("a",), r"choice: must have one entry for each of the 2 edges, got 1"),
    (("a", "d"), r"choice\[1\]: 'd' is not a choice; valid: \['a', 'b', 'c'\]"),
    (("a", None), r"choice: node 2 must keep 1 of its edges, got 0"),
    ("ab", r"choice: must hold an operation or None"),
    (None, r"choice: must hold an operation or None"),
    ((["a"], "a"), r"choice\[0\]: \['a'\] is not a choice"),
    ((True, "a"), r"choice\[0\]: True is not a choice"),
  ],
)
def test_bad_choices(choice, message):
  with pytest.raises(SpaceError, match=message):
    CELLS["chain"].decide(choice)


def test_none_cannot_be_chosen_where_edges_are_dropped():
  with pytest.raises(SpaceError, match=r"choice\[1\]: 'none' is not a choice; valid: \['a'\]"):
    CELLS["keep 2, uneven, none"].decide(("a", "none", None, "c", "d"))
  with pytest.raises(SpaceError, match="node 3 must keep 2 of its edges, got 3"):
    CELLS["keep 2, uneven, none"].decide(("a", "a", "a", "c", "d"))


E01 = Edge(0, 1, A)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: Edge(0, 1, "skip"), "edge.ops: must hold names of operations, got 'skip'"),
    (lambda: Edge(0, 1, None), "edge.ops: must hold names of operations, got None"),
    (lambda: Cell(0, (E01,), (1,)), "cell.inputs: must be 1 or more, got 0"),
    (lambda: Cell(True, (E01,), (1,)), "cell.inputs: must be 1 or more, got True"),
    (lambda: Cell(1.0, (E01,), (1,)), "cell.inputs: must be 1 or more, got 1.0"),
    (lambda: Cell(float("nan"), (E01,), (1,)), "cell.inputs: must be 1 or more, got nan"),
    (lambda: Cell(1, (), (1,)), "cell.edges: must be 1 to 500, got 0"),
    (lambda: Cell(1, (E01,) * 501, (1,)), "cell.edges: must be 1 to 500, got 501"),
    (lambda: Cell(1, 5, (1,)), "cell.edges: must hold edges, got 5"),
    (lambda: Cell(1, ((0, 1, A),), (1,)), r"cell.edges\[0\]: must be an Edge"),
    (lambda: Cell(1, (Edge(-1, 1, A),), (1,)), r"cell.edges\[0\].src: must be 0 or more, got -1"),
    (lambda: Cell(1, (Edge(False, 1, A),), (1,)), r"cell.edges\[0\].src: .* got False"),
    (lambda: Cell(1, (Edge(0, "1", A),), (1,)), r"cell.edges\[0\].dst: .* got '1'"),
    (lambda: Cell(2, (Edge(0, 1, A),), (1,)), r"cell.edges\[0\].dst: must be 2 or more"),
    (lambda: Cell(1, (Edge(2, 2, A),), (1,)), r"cell.edges\[0\]: must lead to a later node"),
    (lambda: Cell(1, (Edge(0, 1, ()),), (1,)), r"cell.edges\[0\].ops: must name at least one"),
    (lambda: Cell(1, (Edge(0, 1, ("",)),), (1,)), r"cell.edges\[0\].ops: must hold names, got ''"),
    (lambda: Cell(1, (Edge(0, 1, (3,)),), (1,)), r"cell.edges\[0\].ops: must hold names, got 3"),
    (lambda: Cell(1, (Edge(0, 1, ["aa"] * 2),), (1,)), r"edges\[0\].ops: repeats a name"),
    (lambda: Cell(1, (Edge(0, 2, A),), (2,)), "cell.edges: node 1 has no incoming edge"),
    (lambda: Cell(1, (Edge(0, 10**30, A),), (1,)), "cell.edges: node 1 has no incoming edge"),
    (lambda: Cell(1, (E01,), ()), "cell.output: must name at least one node"),
    (lambda: Cell(1, (E01,), 1), "cell.output: must hold node numbers, got 1"),
    (lambda: Cell(1, (E01,), (0,)), "cell.output: must hold nodes 1 to 1, got 0"),
    (lambda: Cell(1, (E01,), (True,)), "cell.output: must hold nodes 1 to 1, got True"),
    (lambda: Cell(1, (E01,), ("1",)), "cell.output: must hold nodes 1 to 1, got '1'"),
    (lambda: Cell(1, (E01,), (1, 1)), "cell.output: repeats a node"),
    (lambda: Cell(1, (E01,), (1,), 0), "cell.keep: must be 1 or more, or None, got 0"),
    (lambda: Cell(1, (E01,), (1,), True), "cell.keep: must be 1 or more, or None, got True"),
    (lambda: Cell(1, (E01,), (1,), "2"), "cell.keep: must be 1 or more, or None, got '2'"),
    (lambda: Cell(1, (Edge(0, 1, ("none",)),), (1,), 2), r"edges\[0\].ops: .* besides 'none'"),
  ],
)
def test_malformed_cells(make, message):
  with pytest.raises(SpaceError, match=message):
    make()


def test_cells_are_values():
  cell = CELLS["dense"]
  same = Cell(1, [Edge(0, 1, list(NA)), Edge(0, 2, AB), Edge(1, 2, A)], [1, 2])
  assert same == cell
  assert hash(same) == hash(cell)
  assert pickle.loads(pickle.dumps(cell)) == cell
  with pytest.raises(dataclasses.FrozenInstanceError):
    cell.inputs = 2
  assert str(cell) == "1: none/a(0) | 2: a/b(0) + a(1)"
