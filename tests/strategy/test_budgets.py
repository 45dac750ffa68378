# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Budgets against all genotypes of small spaces, and what is said of budgets out of reach."""

import itertools

import numpy as np
import pytest

from dnas.cost.model import CostModel
from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import budgets, discretize, knapsack

OPS = ("none", "skip", "conv")
FREE = Cell(1, (Edge(0, 1, OPS), Edge(0, 2, OPS), Edge(1, 2, OPS)), (2,))
KEPT = Cell(2, tuple(Edge(j, i, OPS) for i in (2, 3) for j in range(i)), (2, 3), keep=2)
SPACES = {
  "none allowed": SearchSpace({"cell": FREE}),
  "two cells": SearchSpace({"a": FREE, "b": Cell(1, (Edge(0, 1, OPS[1:]),), (1,))}),
  "kept edges": SearchSpace({"normal": KEPT}),
}


def models(space, rng, count):
  """Random costs; operations named `none` are free."""
  made = {}
  for n in range(count):
    rows = {
      name: tuple(
        np.array([0.0 if op == "none" else rng.uniform(0.1, 1) for op in edge.ops])
        for edge in space.cells[name].edges
      )
      for name in space.searched
    }
    made[f"cost{n}"] = CostModel(f"cost{n}", space, float(rng.uniform(0, 1)), rows)
  return made


def every_choice(space):
  """All choices of a space that compute something."""

  def of_cell(cell):
    options = [[*cell.candidates(edge)] + [None] * (cell.keep is not None) for edge in cell.edges]
    for choice in itertools.product(*options):
      kept = all(
        sum(choice[e] is not None for e in cell.incoming(n)) == cell.kept(n) for n in cell.nodes
      )
      reached = set(range(cell.inputs))
      for e in sorted(range(len(choice)), key=lambda e: cell.edges[e].dst):
        if choice[e] not in (None, "none") and cell.edges[e].src in reached:
          reached.add(cell.edges[e].dst)
      if kept and reached & set(cell.output):
        yield choice

  cells = [list(of_cell(space.cells[name])) for name in space.searched]
  for several in itertools.product(*cells):
    yield dict(zip(space.searched, several, strict=True))


def score(space, strengths, choices):
  return sum(
    strengths[name][e][space.cells[name].edges[e].ops.index(op)]
    for name in space.searched
    for e, op in enumerate(choices[name])
    if op is not None
  )


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("count", [1, 2])
def test_the_best_within_budgets_is_that_of_all_genotypes(name, count):
  space, hit = SPACES[name], {"tight": 0, "out of reach": 0, "loose": 0}
  everything = list(every_choice(space))
  assert len(everything) > 10
  for seed in range(15):
    rng = np.random.default_rng(seed)
    costs = models(space, rng, count)
    alpha = {
      cell: tuple(rng.normal(size=len(e.ops)) + 2 * (np.array(e.ops) == "none") for e in c.edges)
      for cell, c in space.cells.items()
    }
    strengths = discretize.log_strengths(space, alpha)
    totals = np.array([[m.of_choices(c) for m in costs.values()] for c in everything])
    scores = np.array([score(space, strengths, c) for c in everything])
    limit = np.quantile(totals, rng.uniform(0.05, 0.7), axis=0) * (1 + 1e-6)
    given = dict(zip(costs, limit.tolist(), strict=True))
    fits = np.all(totals <= limit, axis=1)
    if not fits.any():
      hit["out of reach"] += 1
      with pytest.raises(DnasError, match="cannot be met"):
        budgets.project(space, alpha, costs, given)
      continue
    genotype = budgets.project(space, alpha, costs, given)
    found = space.choices(genotype)
    assert score(space, strengths, found) == pytest.approx(scores[fits].max(), abs=1e-9)
    assert all(costs[n].of(genotype) <= given[n] * (1 + 1e-6) for n in given)
    free = discretize.argmax()(space, alpha)
    hit["loose" if free == genotype else "tight"] += 1
    # Without budgets it is `argmax`, and `within` leaves alone what is cheap enough.
    assert budgets.project(space, alpha, costs, {}) == free
    wide = dict.fromkeys(given, 1e6)
    assert budgets.within(discretize.argmax(), costs, wide)(space, alpha) == free
    assert budgets.within(discretize.argmax(), costs, given)(space, alpha) == genotype
  assert hit["tight"] >= 4


def test_long_chains_are_exact_and_quick():
  """21 layers of 7 candidates, as in FBNet: the score of a choice built to be the best."""
  rng = np.random.default_rng(0)
  groups = [knapsack.Group(rng.normal(size=7), rng.uniform(0.5, 3, size=(7, 1))) for _ in range(21)]
  # By integers, where a table over all sums is exact.
  whole = [knapsack.Group(g.score, np.round(g.cost * 10)) for g in groups]
  for limit in (200, 260, 330):
    table = np.full(limit + 1, -np.inf)
    table[0] = 0
    for g in whole:
      new = np.full_like(table, -np.inf)
      for s, (c,) in zip(g.score, g.cost.astype(int), strict=True):
        new[c:] = np.maximum(new[c:], table[: len(table) - c] + s)
      table = new
    picked = knapsack.solve(whole, np.array([float(limit)]))
    total = sum(g.score[o] for g, o in zip(whole, picked, strict=True))
    assert total == pytest.approx(table.max())
    assert sum(g.cost[o, 0] for g, o in zip(whole, picked, strict=True)) <= limit


def test_two_cells_that_prefer_none_both_compute_something():
  """The best of all genotypes, where the paths of both cells have to be opened."""
  space = SearchSpace({"a": FREE, "b": Cell(1, (Edge(0, 1, OPS), Edge(0, 1, OPS)), (1,))})
  everything, at_budget = list(every_choice(space)), 0
  for seed in range(20):
    rng = np.random.default_rng(seed)
    costs = models(space, rng, 1 + seed % 2)
    alpha = {
      name: tuple(rng.normal(size=3) + np.array([6.0, 0, 0]) for _ in cell.edges)
      for name, cell in space.cells.items()
    }
    strengths = discretize.log_strengths(space, alpha)
    totals = np.array([[m.of_choices(c) for m in costs.values()] for c in everything])
    scores = np.array([score(space, strengths, c) for c in everything])
    limit = totals[np.argsort(totals.sum(1))[rng.integers(len(totals) // 10)]] * (1 + 1e-6)
    fits = np.all(totals <= limit, axis=1)
    given = dict(zip(costs, limit.tolist(), strict=True))
    found = space.choices(budgets.project(space, alpha, costs, given))
    assert score(space, strengths, found) == pytest.approx(scores[fits].max(), abs=1e-9)
    at_budget += scores[fits].max() < scores.max()
    first, others = next(iter(costs)), dict(list(given.items())[1:])
    least = totals[np.all(totals[:, 1:] <= limit[1:], axis=1), 0].min()
    assert budgets.cheapest(space, costs, first, others) == pytest.approx(least)
  assert at_budget >= 4


def test_few_paths_are_tried(monkeypatch):
  """Two cells of 30 paths each, and `none` is best everywhere: 900 problems, if all were solved."""
  cell = Cell(2, tuple(Edge(j, i, OPS) for i in range(2, 6) for j in range(i)), (2, 3, 4, 5))
  space = SearchSpace({"a": cell, "b": cell})
  costs = models(space, np.random.default_rng(0), 2)
  draw = np.random.default_rng(1)
  alpha = {
    name: tuple(draw.normal(size=3) + np.array([6.0, 0, 0]) for _ in cell.edges) for name in "ab"
  }
  solve, solved = knapsack.solve, []
  monkeypatch.setattr(knapsack, "solve", lambda *args: solved.append(1) or solve(*args))
  cheap = {name: model.fixed + 1.0 for name, model in costs.items()}
  budgets.check(space, costs, cheap)
  assert len(solved) < 60
  solved.clear()
  genotype = budgets.project(space, alpha, costs, cheap)
  assert len(solved) < 30
  assert all(model.of(genotype) <= cheap[name] for name, model in costs.items())


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({"ms": 1.0}, r"budget ms = 1 cannot be met: the cheapest genotype .* needs 1.5. Reachable"),
    ({"ms": 0}, "budget ms must be above 0, got 0"),
    ({"joule": 1.0}, "budget joule: there are costs for ms, mb"),
    ({"ms": 1.6, "mb": 2.6}, "cannot be met together: within the others the cheapest genotype"),
  ],
)
def test_it_says_what_is_reachable(given, message):
  """skip: 0.5 ms and 2 MB; conv: 1 ms and 1 MB; each network has 1 ms and 1.5 MB besides."""
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, ("skip", "conv")),), (1,))})
  table = {"ms": (1.0, [0.5, 1.0]), "mb": (1.5, [2.0, 1.0])}
  costs = {n: CostModel(n, space, f, {"c": (np.array(v),)}) for n, (f, v) in table.items()}
  with pytest.raises(DnasError, match=message):
    budgets.check(space, costs, given)
  budgets.check(space, costs, {"ms": 1.5, "mb": 3.5})
  budgets.check(space, costs, {"ms": 2.0, "mb": 2.5})


def test_budgets_of_which_no_two_go_together():
  """Each operation is cheap in one of three costs, and each cost is in budget with one of them."""
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, ("x", "y", "z")),), (1,))})
  rows = {"x": [1.0, 5.0, 5.0], "y": [5.0, 1.0, 5.0], "z": [5.0, 5.0, 1.0]}
  costs = {n: CostModel(n, space, 0.0, {"c": (np.array(row),)}) for n, row in rows.items()}
  for several in (("x",), ("y",), ("z",)):
    budgets.check(space, costs, dict.fromkeys(several, 2.0))
  with pytest.raises(DnasError, match=r"x.*y.*z.* cannot be met together, nor can those"):
    budgets.check(space, costs, dict.fromkeys("xyz", 2.0))
  budgets.check(space, costs, {"x": 2.0, "y": 6.0, "z": 6.0})


def test_a_space_that_computes_nothing_is_named_as_the_reason():
  blocked = Cell(1, (Edge(0, 1, ("none",)), Edge(1, 2, ("none", "conv"))), (2,))
  space = SearchSpace({"c": blocked})
  one = CostModel("ms", space, 0.0, {"c": (np.zeros(1), np.ones(2))})
  with pytest.raises(DnasError, match=r"cells\.c: no genotype computes anything"):
    budgets.check(space, {"ms": one}, {"ms": 3.0})
