# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Hard budgets: the best genotype that costs no more than allowed.

    x* = argmax over x with cost_i(x) <= budget_i for all i of sum over its edges of log strength

The strengths are those of `discretize.argmax`, which is what this is without budgets.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dnas.cost.model import CostModel, check_computes, computes
from dnas.errors import DnasError, check_number
from dnas.space.space import Cell, SearchSpace
from dnas.strategy import knapsack
from dnas.strategy.alpha import AlphaLike
from dnas.strategy.discretize import Discretize, log_strengths

Scores = Mapping[str, Sequence[np.ndarray]]  # cell -> one array [O] an edge; -inf: not to be taken


def project(
  space: SearchSpace,
  alpha: AlphaLike,
  costs: Mapping[str, CostModel],
  budgets: Mapping[str, float],
) -> SearchSpace:
  """The genotype of the largest strength within the budgets; exact.

  Args:
    space: the search space.
    alpha: logits, as for `discretize.argmax`.
    costs: models of the costs, at least those that have a budget.
    budgets: name of a cost -> the most that a genotype may cost.

  Raises:
    DnasError: no genotype is within them; the message says what is reachable.
  """
  choices = best(space, log_strengths(space, alpha), costs, budgets)
  if choices is None:
    check(
      space, costs, budgets
    )  # Says why, unless alpha itself (a pruned operation) is the reason.
    raise DnasError(
      f"budgets {dict(budgets)}: what alpha has pruned leaves no genotype within them"
    )
  return space.decide(choices)


def within(
  decide: Discretize, costs: Mapping[str, CostModel], budgets: Mapping[str, float]
) -> Discretize:
  """`decide` where its genotype is within the budgets, else `project`."""

  def discretize(space: SearchSpace, alpha: AlphaLike) -> SearchSpace:
    genotype = decide(space, alpha)
    upper = {name: dataclasses.replace(costs[name], dead_is_free=False) for name in budgets}
    if all(upper[name].of(genotype) <= budget for name, budget in budgets.items()):
      return genotype
    return project(space, alpha, costs, budgets)

  return discretize


def check(space: SearchSpace, costs: Mapping[str, CostModel], budgets: Mapping[str, float]) -> None:
  """DnasError unless some genotype is within the budgets; it says which budget is reachable."""
  check_computes(space)
  for name, budget in budgets.items():
    if name not in costs:
      raise DnasError(f"budget {name}: there are costs for {', '.join(costs)}")
    check_number(f"budget {name}", budget, above=0)
    least = cheapest(space, costs, name, {})
    if least is not None and least > budget:
      raise DnasError(
        f"budget {name} = {budget:,.6g} cannot be met: the cheapest genotype of the space needs "
        f"{least:,.6g}. Reachable: {_up(least):,.6g} or more"
      )
  within_others = []
  for name in budgets:
    others = {other: budget for other, budget in budgets.items() if other != name}
    least = cheapest(space, costs, name, others)
    within_others.append(least)
    if least is not None and least > budgets[name]:
      raise DnasError(
        f"budgets {dict(budgets)} cannot be met together: within the others the cheapest genotype "
        f"needs {name} = {least:,.6g}. Reachable: {_up(least):,.6g} or more"
      )
  # Without any one of them no genotype is within the others: so none has said so yet.
  if budgets and all(least is None for least in within_others):
    raise DnasError(
      f"budgets {dict(budgets)} cannot be met together, nor can those that are left without one of "
      "them. Valid: larger ones, two or more of them"
    )


def cheapest(
  space: SearchSpace, costs: Mapping[str, CostModel], name: str, budgets: Mapping[str, float]
) -> float | None:
  """The least that a genotype which computes something can cost within the other budgets."""
  scores = {cell: [-row for row in costs[name].ops[cell]] for cell in space.searched}
  choices = best(space, scores, costs, budgets)
  if choices is None:
    return None
  return dataclasses.replace(costs[name], dead_is_free=False).of_choices(choices)


def best(
  space: SearchSpace,
  scores: Scores,
  costs: Mapping[str, CostModel],
  budgets: Mapping[str, float],
) -> dict[str, list[str | None]] | None:
  """The choices of the highest sum of scores within the budgets; None where there are none.

  In a cell that may have `none` on its edges the output must depend on an input. Where the best
  choice does not grant that, the problem is solved with one path from an input to the output held
  open, path after path, the most promising first and until none that is left can be better: one of
  them is open in the best choice that computes something.
  """
  names = list(budgets)
  left = np.array([budgets[name] - costs[name].fixed for name in names], np.float64)
  if np.any(left < 0):
    return None
  open_: dict[str, tuple[int, ...]] = {}
  found, _ = _solve(space, scores, costs, names, left, open_)
  return found


def _solve(space, scores, costs, names, left, open_, above=-np.inf):
  """(choices, score) with the edges of `open_` kept from `none`; (None, -inf): none is `above`."""
  groups, places = [], []
  for name in space.searched:
    rows = [costs[budget].ops[name] for budget in names]
    for options in _groups(space.cells[name], scores[name], open_.get(name, ())):
      score = np.array([sum(scores[name][e][o] for e, o in option) for option in options])
      cost = np.array([[sum(r[e][o] for e, o in option) for r in rows] for option in options])
      if not len(score):
        return None, -np.inf
      groups.append(knapsack.Group(score, cost.reshape(len(options), len(names))))
      places.append((name, options))
  picked = knapsack.solve(groups, left)
  if picked is None:
    return None, -np.inf
  choices: dict[str, list[Any]] = {n: [None] * len(space.cells[n].edges) for n in space.searched}
  for (name, options), n in zip(places, picked, strict=True):
    for e, o in options[n]:
      choices[name][e] = space.cells[name].edges[e].ops[o]
  total = sum(float(g.score[n]) for g, n in zip(groups, picked, strict=True))
  dead = [n for n in space.searched if not computes(space.cells[n], choices[n])]
  if total <= above or not dead:
    return (choices, total) if total > above else (None, -np.inf)
  most, multipliers = knapsack.bound(groups, left)
  lost = {}  # of the bound, where an edge of the dead cell is kept from `none`
  for (name, options), group in zip(places, groups, strict=True):
    if name == dead[0]:  # It may have `none`, so it keeps every edge: an edge is a group.
      worth, (e, _) = group.score - group.cost @ multipliers, options[0][0]
      others = [space.cells[name].edges[e].ops[o] != "none" for ((_, o),) in options]
      lost[e] = float(worth.max() - worth[others].max(initial=-np.inf))
  found = None, -np.inf
  paths = [(sum(lost[e] for e in path), path) for path in _paths(space.cells[dead[0]])]
  for loss, path in sorted(paths):
    least = max(above, found[1])
    if min(most - loss, total) <= least + knapsack.slack(least):
      break
    held = {**open_, dead[0]: path}
    one = _solve(space, scores, costs, names, left, held, least)
    found = one if one[0] is not None else found
  return found


def _groups(
  cell: Cell, scores: Sequence[np.ndarray], open_: Sequence[int]
) -> Iterator[list[tuple[tuple[int, int], ...]]]:
  """For each independent decision of a cell its options: tuples of (edge, operation)."""

  def ops(e: int) -> list[tuple[int, int]]:
    edge = cell.edges[e]
    allowed = [op for op in cell.candidates(edge) if op != "none" or e not in open_]
    return [(e, o) for o, op in enumerate(edge.ops) if op in allowed and np.isfinite(scores[e][o])]

  for node in cell.nodes:
    incoming = cell.incoming(node)
    if cell.kept(node) == len(incoming):
      yield from ([(option,) for option in ops(e)] for e in incoming)
      continue
    yield [
      option
      for edges in itertools.combinations(incoming, cell.kept(node))
      for option in itertools.product(*map(ops, edges))
    ]


def _paths(cell: Cell) -> list[tuple[int, ...]]:
  """The paths from an input to an output node, as edges."""
  into: dict[int, list[tuple[int, ...]]] = {node: [()] for node in range(cell.inputs)}
  for node in cell.nodes:
    into[node] = [(*path, e) for e in cell.incoming(node) for path in into[cell.edges[e].src]]
  return [path for node in cell.output for path in into[node]]


def _up(value: float) -> float:
  """`value` rounded up to six digits: a budget that one may type."""
  digits = float(f"{value:.6g}")
  return digits if digits >= value else float(f"{value * (1 + 1e-5):.6g}")
