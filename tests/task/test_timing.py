# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import pytest

from dnas.cost.model import computes
from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.task import timing

OPS = ("none", "nor_conv_3x3")


def test_drawn_genotypes_compute_something():
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, OPS), Edge(1, 2, OPS)), (2,))})
  drawn = timing.sampled(space, 5, seed=0)
  assert len(drawn) == 5
  assert max(drawn) > 4  # Some were left out.
  for genotype in drawn.values():
    assert computes(genotype.cells["c"], [edge.ops[0] for edge in genotype.cells["c"].edges])


def test_a_space_that_computes_nothing_is_an_error_and_no_endless_search():
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, ("none",)), Edge(1, 2, OPS)), (2,))})
  with pytest.raises(DnasError, match=r"cells\.c: no genotype computes anything"):
    timing.sampled(space, 1, seed=0)
