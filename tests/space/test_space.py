# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Spaces: sizes, decisions over all cells, samples, values; JSON gives an equal space back."""

import collections
import copy
import dataclasses
import json
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.space import cells
from dnas.space.cell import Cell, Edge, SpaceError
from dnas.space.space import SearchSpace, Stage

SMALL = SearchSpace(
  {
    "b": Cell(2, (Edge(0, 2, ("x", "y")), Edge(1, 2, ("y",)), Edge(1, 3, ("x",))), (3,), keep=1),
    "a": Cell(1, (Edge(0, 1, ("x", "none")), Edge(0, 1, ("x",))), (1,)),
    "fixed": Cell(1, (Edge(0, 1, ("x",)),), (1,)),
  },
  (Stage("b", 2, 8), Stage("a", 1, 16, 2)),
)


def test_published_sizes():
  assert cells.darts().size == 1_037_664_180**2
  assert cells.darts().cells["normal"].size == 1_037_664_180
  assert cells.nasbench201().size == 15_625


def test_size_is_the_product_over_cells():
  assert SMALL.size == 3 * 2
  assert SMALL.searched == ("a", "b")
  assert not SMALL.is_genotype


def test_decide_and_choices_are_inverse():
  choices = {"a": ("none", "x"), "b": (None, "y", "x")}
  genotype = SMALL.decide(choices)
  assert genotype.is_genotype
  assert genotype.searched == ()
  assert genotype.size == 1
  assert genotype.stages == SMALL.stages
  assert SMALL.choices(genotype) == choices
  other_network = genotype.replace(stages=(), stem="imagenet")
  assert SMALL.choices(other_network) == choices
  del (bare := dict(genotype.cells))["fixed"]
  assert SMALL.choices(genotype.replace(cells=bare, stages=())) == choices


@pytest.mark.parametrize(
  ("choices", "message"),
  [
    ({"a": ("x", "x")}, r"choices: \['b'\] are missing"),
    ({"a": ("x", "x"), "b": (None, "y", "x"), 3: ()}, r"choices: \[3\] are no cells; valid: "),
    ({"a": ("x",), "b": (None, "y", "x")}, "choices.a: must have one entry for each of the 2"),
    ({"a": ("x", "x"), "b": ("x", "y", "x")}, "choices.b: node 2 must keep 1"),
    ([("x", "x")], "choices: must be by cell"),
  ],
)
def test_bad_decisions(choices, message):
  with pytest.raises(SpaceError, match=message):
    SMALL.decide(choices)


def test_genotypes_of_other_spaces_are_refused():
  genotype = SMALL.sample(random.Random(0))
  other = genotype.cells | {"fixed": Cell(1, (Edge(0, 1, ("y",)),), (1,))}
  with pytest.raises(SpaceError, match=r"genotype.cells.fixed: y on 0 -> 1 is not in this space"):
    SMALL.choices(genotype.replace(cells=other))
  with pytest.raises(SpaceError, match=r"genotype.cells: \['a', 'b'\] are missing"):
    SMALL.choices(SearchSpace({"fixed": SMALL.cells["fixed"]}))
  with pytest.raises(SpaceError, match=r"genotype.cells.b: edge 0 -> 2 is not decided"):
    SMALL.choices(SMALL)


def test_samples_cover_the_space_evenly():
  rng = random.Random(1)
  counts = collections.Counter(SMALL.sample(rng) for _ in range(600))
  assert len(counts) == SMALL.size
  assert all(60 < n < 140 for n in counts.values())


def test_samples_repeat_with_the_seed():
  space = cells.darts()
  assert space.sample(random.Random(5)) == space.sample(random.Random(5))
  assert space.sample(random.Random(5)) != space.sample(random.Random(6))


def test_how_many_cells_a_network_may_have():
  SMALL.replace(stages=(Stage("a", 9_999, 8), Stage("b", 1, 8)))
  with pytest.raises(SpaceError, match="stages: hold 10001 cells; valid: at most 10000"):
    SMALL.replace(stages=(Stage("a", 9_999, 8), Stage("b", 2, 8)))


def test_spaces_are_values():
  reordered = SMALL.replace(cells=dict(reversed(SMALL.cells.items())))
  assert reordered == SMALL
  assert hash(reordered) == hash(SMALL)
  for copied in (pickle.loads(pickle.dumps(SMALL)), copy.deepcopy(SMALL), copy.copy(SMALL)):
    assert copied == SMALL
    assert hash(copied) == hash(SMALL)
  assert SMALL.replace(final_norm=True) != SMALL
  assert SMALL.replace(stem_channels=4) != SMALL


def test_spaces_do_not_change():
  with pytest.raises(dataclasses.FrozenInstanceError):
    SMALL.stem = "imagenet"
  with pytest.raises(TypeError):
    SMALL.cells["a"] = SMALL.cells["b"]
  mine = dict(SMALL.cells)
  space = SearchSpace(mine)
  mine.clear()
  assert len(space.cells) == 3


names = st.text(min_size=1, max_size=8)


@st.composite
def spaces(draw):
  """Any space: names with any characters, any order of edges."""
  kinds = {}
  for name in draw(st.lists(names, min_size=1, max_size=2, unique=True)):
    inputs = draw(st.integers(1, 3))
    edges = [
      Edge(draw(st.integers(0, dst - 1)), dst, draw(st.lists(names, min_size=2, unique=True)))
      for dst in range(inputs, inputs + draw(st.integers(1, 3)))
      for _ in range(draw(st.integers(1, 2)))
    ]
    edges = draw(st.permutations(edges))
    output = draw(st.lists(st.sampled_from([e.dst for e in edges]), min_size=1, unique=True))
    kinds[name] = Cell(inputs, edges, output, draw(st.sampled_from([None, 1, 3])))
  stage = st.builds(
    Stage, st.sampled_from(sorted(kinds)), st.integers(1, 9), st.integers(1, 99), st.just(2)
  )
  return SearchSpace(
    kinds,
    draw(st.lists(stage, max_size=3)),
    draw(names),
    draw(st.integers(1, 99)),
    draw(st.booleans()),
    draw(st.booleans()),
  )


@given(spaces(), st.integers())
@settings(max_examples=60, deadline=None)
def test_json_round_trip_is_exact(space, seed):
  for value in (space, space.sample(random.Random(seed))):
    text = value.to_json()
    assert SearchSpace.from_json(text) == value
    assert SearchSpace.from_json(text).to_json() == text
    found = value.to_dict()
    assert SearchSpace.from_dict(found) == value
    assert found == json.loads(text), "from_dict leaves it alone"


STAGE = Stage("a", 1, 8)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"cells": {}}, "cells: must hold at least one cell"),
    ({"cells": [1]}, r"cells: must be by name, got \[1\]"),
    ({"cells": {"a": 3}}, "cells.a: must be a Cell, got 3"),
    ({"cells": {"": SMALL.cells["a"]}}, "cells: must have names, got ''"),
    ({"cells": {7: SMALL.cells["a"]}}, "cells: must have names, got 7"),
    ({"stages": 3}, "stages: must hold stages, got 3"),
    ({"stages": ["a"]}, r"stages\[0\]: must be a Stage, got 'a'"),
    ({"stages": [Stage("c", 1, 8)]}, r"stages\[0\].cell: 'c' is none of \['a', 'b', 'fixed'\]"),
    ({"stages": [STAGE, Stage(["a"], 1, 8)]}, r"stages\[1\].cell: \['a'\] is none of"),
    ({"stages": [Stage("a", 0, 8)]}, r"stages\[0\].repeats: must be 1 to 10000, got 0"),
    ({"stages": [Stage("a", 10**9, 8)]}, r"stages\[0\].repeats: must be 1 to 10000, got 1000"),
    ({"stages": [Stage("a", 9999, 8), Stage("a", 2, 8)]}, "stages: hold 10001 cells"),
    ({"stages": [Stage("a", True, 8)]}, r"stages\[0\].repeats: must be 1 to 10000, got True"),
    ({"stages": [Stage("a", 1, 8.0)]}, r"stages\[0\].channels: must be 1 to 65536, got 8.0"),
    ({"stages": [Stage("a", 1, None)]}, r"stages\[0\].channels: must be 1 to 65536, got None"),
    ({"stages": [Stage("a", 1, 8, 3)]}, r"stages\[0\].stride: must be 1 or 2, got 3"),
    ({"stages": [Stage("a", 1, 8, True)]}, r"stages\[0\].stride: must be 1 or 2, got True"),
    ({"stem": ""}, "stem: must be a name, got ''"),
    ({"stem": None}, "stem: must be a name, got None"),
    ({"stem_channels": 0}, "stem_channels: must be 1 to 65536, got 0"),
    ({"stem_channels": float("nan")}, "stem_channels: must be 1 to 65536, got nan"),
    ({"pool_norm": 1}, "pool_norm: must be true or false, got 1"),
    ({"final_norm": "no"}, "final_norm: must be true or false, got 'no'"),
  ],
)
def test_malformed_spaces(changes, message):
  with pytest.raises(SpaceError, match=message):
    SMALL.replace(**changes)


def test_words():
  assert str(SMALL).splitlines()[1] == "a 1: x/none(0) + x(0)"
