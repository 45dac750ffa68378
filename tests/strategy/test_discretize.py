# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the discretisations, and DARTS' rule by hand."""

import itertools
import random

import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import discretize

OPS = ("none", "skip", "conv")


def cell(keep, nodes=3, inputs=2):
  edges = [Edge(j, i, OPS) for i in range(inputs, inputs + nodes) for j in range(i)]
  return Cell(inputs, tuple(edges), tuple(range(inputs, inputs + nodes)), keep)


SPACES = {
  "keep 2": SearchSpace({"normal": cell(2), "reduce": cell(2)}),
  "keep all": SearchSpace({"cell": cell(None)}),
  "mixed": SearchSpace(
    {
      "cell": cell(2),
      "fusion": cell(None, 2),
      "fixed": cell(None).decide([OPS[1]] * len(cell(None).edges)),
    }
  ),
}
MEMBERS = {
  "argmax": discretize.argmax(),
  "top_k_edges": discretize.top_k_edges(2),
  "limit_skips": discretize.limit_skips(9, ("normal", "cell", "c"), "skip"),
  "threshold": discretize.threshold(1e-9),
}
VALID = [
  ("argmax", "keep 2"),
  ("argmax", "keep all"),
  ("argmax", "mixed"),
  ("top_k_edges", "keep 2"),
  ("limit_skips", "keep 2"),
  ("limit_skips", "mixed"),
  ("threshold", "keep 2"),
]


def logits(space, seed=0, scale=1.0):
  rng = np.random.default_rng(seed)
  return {
    name: tuple(scale * rng.normal(size=len(e.ops)) for e in space.cells[name].edges)
    for name in space.searched
  }


def test_every_discretisation_has_joined():
  assert set(naming.functions(discretize)) == set(MEMBERS)


@pytest.mark.parametrize(("member", "name"), VALID)
def test_gives_a_genotype_of_the_space(member, name):
  space = SPACES[name]
  for seed in range(5):
    genotype = MEMBERS[member](space, logits(space, seed))
    assert genotype.is_genotype
    assert space.decide(space.choices(genotype)) == genotype


@pytest.mark.parametrize(("member", "name"), VALID)
def test_recovers_a_clear_choice(member, name):
  space = SPACES[name]
  for seed in range(5):
    planted = space.sample(random.Random(seed))
    alpha = {
      cell_name: tuple(
        # A dropped edge prefers `none`.
        jnp.where(jnp.array([op == (choice or "none") for op in edge.ops]), 5.0, 0.0)
        for edge, choice in zip(space.cells[cell_name].edges, choices, strict=True)
      )
      for cell_name, choices in space.choices(planted).items()
    }
    assert MEMBERS[member](space, alpha) == planted


def test_argmax_takes_none_where_the_cell_allows_it():
  space = SPACES["keep all"]
  alpha = {"cell": tuple(np.array([1.0, 0.0, 0.0]) for _ in range(9))}
  ops = [edge.ops[0] for edge in discretize.argmax()(space, alpha).cells["cell"].edges]
  assert sorted(ops) == ["none"] * 8 + ["skip"], "one edge is opened: the output needs an input"


def _computes_something(cell, ops):
  reached = set(range(cell.inputs))
  for edge, op in sorted(zip(cell.edges, ops, strict=True), key=lambda pair: pair[0].dst):
    if op != "none" and edge.src in reached:
      reached.add(edge.dst)
  return bool(reached & set(cell.output))


def test_argmax_is_the_most_probable_genotype_that_computes_something():
  """Against all 729 genotypes of a cell whose logits favour `none`."""
  one = cell(None, nodes=3, inputs=1)
  one = Cell(1, one.edges, (3,), None)
  space = SearchSpace({"cell": one})
  opened = 0
  for seed in range(40):
    alpha = logits(space, seed)
    alpha["cell"] = tuple(values + np.array([1.5, 0, 0]) for values in alpha["cell"])
    value = lambda ops, alpha=alpha: sum(
      x[OPS.index(op)] for op, x in zip(ops, alpha["cell"], strict=True)
    )
    every = itertools.product(OPS, repeat=len(one.edges))
    best = max((ops for ops in every if _computes_something(one, ops)), key=value)
    genotype = discretize.argmax()(space, alpha)
    assert tuple(edge.ops[0] for edge in genotype.cells["cell"].edges) == best, seed
    opened += not _computes_something(one, [OPS[int(x.argmax())] for x in alpha["cell"]])
  assert opened > 5, "the rule had something to do"


def test_darts_rule_by_hand():
  space = SearchSpace({"c": Cell(3, tuple(Edge(j, 3, OPS) for j in range(3)), (3,), keep=2)})
  alpha = {
    "c": (
      np.array([9.0, 5.0, 4.0]),  # the largest logits, but `none` takes nearly all the weight
      np.array([0.0, 0.1, 1.0]),  # 0.55 on conv
      np.array([2.0, 1.0, 0.0]),  # 0.24 on skip
    )
  }
  for name in ("argmax", "top_k_edges", "limit_skips"):
    assert str(MEMBERS[name](space, alpha).cells["c"]) == "3: conv(1) + skip(2)"


def test_first_of_equals_wins():
  space = SPACES["keep 2"]
  alpha = {name: (np.zeros(3),) * 9 for name in space.searched}
  choice = space.choices(discretize.argmax()(space, alpha))["normal"]
  assert choice == ("skip", "skip", "skip", "skip", None, "skip", "skip", None, None)


def test_a_pruned_operation_is_not_chosen():
  space = SPACES["keep all"]
  alpha = {"cell": (jnp.array([-jnp.inf, -3.0, -jnp.inf]),) * 9}
  edges = discretize.argmax()(space, alpha).cells["cell"].edges
  assert {edge.ops for edge in edges} == {("skip",)}


def test_top_k_edges_needs_a_space_that_keeps_as_many():
  for name, keep in (("keep all", None), ("mixed", None), ("keep 2", 2)):
    k = 2 if keep is None else 1
    with pytest.raises(DnasError, match=rf"k = {k}, but cells\.\w+\.keep = {keep}\. Valid: argmax"):
      discretize.top_k_edges(k)(SPACES[name], logits(SPACES[name]))


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_k_must_be_a_count(k):
  with pytest.raises(DnasError, match="k must be a whole number"):
    discretize.top_k_edges(k)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_search_is_named(bad):
  space = SPACES["keep all"]
  alpha = logits(space)
  alpha["cell"][4][1] = bad
  with pytest.raises(DnasError, match=r"alpha\.cell\[4\]: logits must be finite"):
    discretize.argmax()(space, alpha)


def test_alpha_must_fit_the_space():
  space = SPACES["keep all"]
  alpha = logits(space)
  for wrong, message in (
    ({}, r"has logits for the cells \[\]"),
    ({"cell": alpha["cell"][:3]}, r"alpha\.cell: has 3 edges, the cell has 9"),
    ({"cell": (np.zeros(4), *alpha["cell"][1:])}, r"alpha\.cell\[0\]: has shape \(4,\)"),
  ):
    with pytest.raises(DnasError, match=message):
      discretize.argmax()(space, wrong)


def test_edge_weights_multiply_the_strength():
  space = SearchSpace({"c": Cell(3, tuple(Edge(j, 3, OPS) for j in range(3)), (3,), keep=2)})
  alpha = {"c": (np.array([0.0, 2.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.5]))}
  assert str(discretize.argmax()(space, alpha).cells["c"]) == "3: skip(0) + skip(1)"
  # softmax of the operations: 0.79, 0.58, 0.45; beta = (0.09, 0.24, 0.67).
  alpha["c/edges"] = (np.array([0.0, 1.0, 2.0]),)
  assert str(discretize.argmax()(space, alpha).cells["c"]) == "3: skip(1) + conv(2)"


def test_threshold_keeps_what_is_on_and_at_least_one():
  space = SearchSpace(
    {"c": Cell(2, tuple(Edge(j, i, OPS) for i in (2, 3) for j in range(i)), (3,), keep=2)}
  )
  off, on = np.array([9.0, -3.0, -2.0]), np.array([-9.0, -1.0, 3.0])
  alpha = {"c": (off, off - 1, on, on + 1, off)}  # edges 0-2, 1-2, 0-3, 1-3, 2-3
  decided = discretize.threshold(0.85)(space, alpha)
  assert decided.is_genotype
  # Node 2 has nothing above sigmoid^-1(0.85) = 1.73 and keeps its strongest; node 3 keeps two.
  assert str(decided.cells["c"]) == "2: conv(0) | 3: conv(0) + conv(1)"
  # `none` may be high; it is not chosen.
  assert all("none" not in edge.ops for edge in decided.cells["c"].edges)


def test_no_path_is_opened_through_an_edge_that_can_only_be_none():
  """0 -> 1 -> 2 would lose less, but nothing comes to node 1."""
  ops = ("none", "skip")
  cell = Cell(1, (Edge(0, 1, ("none",)), Edge(1, 2, ops), Edge(0, 2, ops)), (2,))
  alpha = {"c": (np.array([0.0]), np.array([0.1, 0.0]), np.array([1.0, 0.0]))}
  decided = discretize.argmax()(SearchSpace({"c": cell}), alpha)
  assert [edge.ops for edge in decided.cells["c"].edges] == [("none",), ("none",), ("skip",)]


def test_threshold_keeps_an_edge_that_is_just_as_strong():
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, OPS), Edge(0, 1, OPS)), (1,))})
  strong, even = np.array([-9.0, -9.0, 3.0]), np.array([-9.0, -9.0, 0.0])  # sigmoid(0) = 1/2
  assert len(discretize.threshold(0.5)(space, {"c": (strong, even)}).cells["c"].edges) == 2
  assert len(discretize.threshold(0.51)(space, {"c": (strong, even)}).cells["c"].edges) == 1


def test_limit_skips_takes_the_weakest_skips_away():
  space = SearchSpace({"cell": cell(2), "reduce": cell(2)})
  likes = lambda strength: np.array([0.0, strength, 0.5])
  alpha = {name: tuple(likes(2.0 + 0.1 * e) for e in range(9)) for name in space.cells}
  count = lambda genotype, name: sum(e.ops == ("skip",) for e in genotype.cells[name].edges)
  free = discretize.argmax()(space, alpha)
  assert count(free, "cell") == count(free, "reduce") == 6
  limited = discretize.limit_skips(2, skip="skip")(space, alpha)
  assert count(limited, "cell") == 2
  assert limited.cells["reduce"] == free.cells["reduce"]
  kept = [e for e in limited.cells["cell"].edges if e.ops == ("skip",)]
  assert kept == [e for e in free.cells["cell"].edges if e.ops == ("skip",)][-2:]
  assert space.decide(space.choices(limited)) == limited
  only = SearchSpace({"cell": Cell(1, (Edge(0, 1, ("skip",)), Edge(0, 1, OPS)), (1,))})
  with pytest.raises(DnasError, match="cannot do with 0 skip"):
    discretize.limit_skips(0, skip="skip")(only, {"cell": (np.zeros(1), np.zeros(3))})


@pytest.mark.parametrize("given", [dict(cells=("norml",), skip="skip"), dict(skip="skip_connect")])
def test_a_limit_that_limits_nothing_is_an_error(given):
  space = SPACES["keep 2"]
  with pytest.raises(DnasError, match=r"limits nothing: searched are \('normal', 'reduce'\)"):
    discretize.limit_skips(2, **given)(space, logits(space))


@pytest.mark.parametrize(
  ("betas", "message"),
  [
    ([[0.0, 0.0]], "has 1 nodes, the cell has 3"),
    ([[0.0], [0.0] * 3, [0.0] * 4], "of node 2 must be 2 finite numbers"),
    ([[0.0] * 2, [0.0, np.nan, 0.0], [0.0] * 4], "of node 3 must be 3 finite numbers"),
  ],
)
def test_logits_of_edges_that_do_not_fit(betas, message):
  space = SPACES["keep all"]
  with pytest.raises(DnasError, match=rf"alpha\.cell/edges: {message}"):
    discretize.argmax()(space, {**logits(space), "cell/edges": betas})


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: discretize.threshold(1.0), r"value must be in \(0, 1\)"),
    (lambda: discretize.threshold("0.85"), r"value must be a number \(in \(0, 1\)\), got '0.85'"),
    (lambda: discretize.limit_skips(-1), "at_most must be a whole number"),
  ],
)
def test_arguments_out_of_range(make, message):
  with pytest.raises(DnasError, match=message):
    make()
