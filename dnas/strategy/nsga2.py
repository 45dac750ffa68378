# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NSGA-II: accuracy against cost, as a front of which no member is worse in everything."""

import math
import random
from collections.abc import Sequence

from dnas.errors import check_count, check_number
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import (
  Metrics,
  PlainChoices,
  Proposal,
  Query,
  State,
  Strategy,
  StrategyError,
  comparable,
  neighbourhood,
  sampler,
  score_of,
  searched,
)

Point = Sequence[float]  # one number an objective, each to be maximised


def nsga2(
  space: SearchSpace,
  costs: Sequence[str] = ("params",),
  population: int = 20,
  crossover: float = 0.9,
) -> Strategy:
  """Maximises `score` and minimises each of `costs` at once; the answer is `pareto(queries)`.

  The first `population` candidates are random. Then generations: a child has two parents, each the
  better of two drawn at random, takes every node's incoming edges from one of them, and one of
  its decisions is changed. When `population` children have been told, the best of parents and
  children live on: those of lower rank (`fronts`), and of equals those with more room around
  them (`crowding`).

  Args:
    space: to be searched.
    costs: names of numbers that the evaluator gives besides `score`.
    population: members of a generation.
    crossover: the probability that a child has two parents and not one.

  Raises:
    StrategyError: an argument is out of range; when told: the evaluator gave no such number.

  Source: Deb et al. 2002, IEEE Transactions on Evolutionary Computation 6(2).
  """
  check_count("nsga2: population", population, 2, StrategyError)
  check_number("nsga2: crossover", crossover, least=0, most=1, kind=StrategyError)
  if not costs or isinstance(costs, str):
    raise StrategyError(f"nsga2: costs must hold names of costs, got {costs!r}")
  draw, neighbours, cross = sampler(space), neighbourhood(space), crosser(space)

  def init() -> State:
    return {"asked": 0, "parents": [], "children": []}  # [choices, objectives]; parents best first

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    parents = state["parents"]
    if not parents:
      choices = draw(rng)
    else:
      pick = lambda: parents[min(rng.randrange(len(parents)) for _ in range(2))][0]
      choices = cross(pick(), pick(), rng) if rng.random() < crossover else pick()
      choices = rng.choice(neighbours(choices))
    return {"choices": choices}, {**state, "asked": state["asked"] + 1}

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    point = [score_of(metrics), *(-_cost(metrics, name) for name in costs)]
    children = [*state["children"], [proposal["choices"], point]]
    if len(children) < population:
      return {**state, "children": children}
    everyone = [*state["parents"], *children]
    order = ranked([objectives for _, objectives in everyone])
    return {**state, "parents": [everyone[i] for i in order[:population]], "children": []}

  return Strategy(init, ask, tell, costs=tuple(costs))


def pareto(queries: Sequence[Query], costs: Sequence[str]) -> list[Query]:
  """The `comparable` queries that no other dominates, by rising first cost; equal ones once."""
  queries = comparable(queries)
  points = [(score_of(q.metrics), *(-_cost(q.metrics, name) for name in costs)) for q in queries]
  first = {points[i]: queries[i] for i in reversed(fronts(points)[0])} if queries else {}
  return [first[point] for point in sorted(first, key=lambda point: -point[1])]


def dominates(a: Point, b: Point) -> bool:
  """a is nowhere smaller than b and somewhere larger."""
  return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def fronts(points: Sequence[Point]) -> list[list[int]]:
  """front_r = {i : no j outside the fronts before r dominates i}: indices, best front first."""
  left, found = list(range(len(points))), []
  while left:
    front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
    found.append(front)
    left = [i for i in left if i not in front]
  return found


def crowding(points: Sequence[Point]) -> list[float]:
  """d_i = sum over objectives m of (next_m(i) - previous_m(i)) / (max_m - min_m); ends: inf.

  next and previous are the neighbours of i in the order of objective m. An objective in which
  all are equal, or infinite ones are, says nothing and is left out.
  """
  distance = [0.0] * len(points)
  for values in zip(*points, strict=True):
    order = sorted(range(len(points)), key=lambda i: values[i])
    width = values[order[-1]] - values[order[0]]
    if not 0 < width < math.inf:
      continue
    distance[order[0]] = distance[order[-1]] = math.inf
    for before, i, after in zip(order, order[1:], order[2:]):
      distance[i] += (values[after] - values[before]) / width
  return distance


def ranked(points: Sequence[Point]) -> list[int]:
  """All indices, the best first: by front, within a front by falling crowding distance."""
  order = []
  for front in fronts(points):
    distance = dict(zip(front, crowding([points[i] for i in front]), strict=True))
    order += sorted(front, key=lambda i: -distance[i])
  return order


def crosser(space: SearchSpace):
  """(choices, choices, rng) -> each node's incoming edges from one of the two, a fair coin each.

  Nodes, because `Cell.keep` counts the edges of a node: so every child is in the space.
  """
  cells = [(name, space.cells[name]) for name in searched(space)]
  groups = [(name, [cell.incoming(node) for node in cell.nodes]) for name, cell in cells]

  def cross(one: PlainChoices, other: PlainChoices, rng: random.Random) -> PlainChoices:
    child = {name: list(ops) for name, ops in one.items()}
    for name, nodes in groups:
      for edges in nodes:
        if rng.random() < 0.5:
          for i in edges:
            child[name][i] = other[name][i]
    return child

  return cross


def _cost(metrics: Metrics, name: str) -> float:
  """A cost, +inf for NaN, so that it is the worst there is."""
  score_of(metrics, name)
  return math.inf if math.isnan(metrics[name]) else metrics[name]
