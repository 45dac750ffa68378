# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One option of each group, of the highest score, within budgets: the multiple-choice knapsack.

    max over options o of sum_g score[g][o_g]   subject to   sum_g cost[g][o_g] <= budget

Exact: dynamic programming over the groups, whose partial choices are dropped only where another one
is nowhere worse, or where even their upper bound is below a choice that is already known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Costs are sums of floating-point numbers: the order of the terms must not decide.
_ROUNDING = 1e-9


class Group(NamedTuple):
  """The options of one group.

  Attributes:
    score: `[O]`, finite.
    cost: `[O, D]`, one column a budget.
  """

  score: np.ndarray
  cost: np.ndarray


def solve(groups: Sequence[Group], budget: np.ndarray) -> list[int] | None:
  """The best choice, as the index of an option of each group; None where no choice fits.

  Of equal scores the cheaper choice wins (by the sum of costs in units of the budgets).

  Args:
    groups: what is chosen from.
    budget: `[D]`, D may be 0.

  Source: the problem and its Lagrangian bound: Kellerer, Pferschy, Pisinger, Knapsack Problems
  (2004), chapter 11.
  """
  unit = np.where(budget > 0, budget, 1.0)
  scaled = [Group(g.score, g.cost / unit) for g in groups]
  limit = budget / unit + _ROUNDING
  kept = [_undominated(g.score, g.cost) for g in scaled]
  scaled = [Group(g.score[k], g.cost[k]) for g, k in zip(scaled, kept, strict=True)]
  least = _from_here([g.cost.min(axis=0) for g in scaled], np.zeros(len(budget)))
  if np.any(least[0] > limit):
    return None
  multipliers, known = _lagrange(scaled, limit)
  most = _from_here([(g.score - g.cost @ multipliers).max() for g in scaled], np.float64(0))
  score, cost, came = np.zeros(1), np.zeros((1, len(budget))), []
  for n, group in enumerate(scaled):
    all_scores = (score[:, None] + group.score[None]).ravel()
    all_costs = (cost[:, None] + group.cost[None]).reshape(len(all_scores), len(budget))
    fits = np.all(all_costs + least[n + 1] <= limit, axis=1)
    bound = all_scores + (limit - all_costs) @ multipliers + most[n + 1]
    alive = np.flatnonzero(fits & (bound >= known - slack(known)))
    if not len(alive):
      return None
    alive = alive[_undominated(all_scores[alive], all_costs[alive])]
    score, cost = all_scores[alive], all_costs[alive]
    came.append(np.divmod(alive, len(group.score)))
  at = int(np.lexsort((cost.sum(axis=1), -score))[0])
  choice = []
  for (parents, options), keep in zip(reversed(came), reversed(kept), strict=True):
    choice.append(int(keep[options[at]]))
    at = int(parents[at])
  return choice[::-1]


def bound(groups: Sequence[Group], budget: np.ndarray) -> tuple[float, np.ndarray]:
  """(m . budget + sum_g max_o (score - m . cost), m): the score of no choice that fits is higher.

  Args:
    groups, budget: as for `solve`.

  Returns:
    The bound and its multipliers m >= 0, `[D]`, those that `solve` prunes by; any m gives a bound.
  """
  unit = np.where(budget > 0, budget, 1.0)
  limit = budget / unit + _ROUNDING
  multipliers, _ = _lagrange([Group(g.score, g.cost / unit) for g in groups], limit)
  m = multipliers / unit
  return float(multipliers @ limit) + sum(float((g.score - g.cost @ m).max()) for g in groups), m


def slack(value: float) -> float:
  """How far two ways of adding up the same numbers may differ."""
  return _ROUNDING * max(1.0, abs(value)) if np.isfinite(value) else 0.0


def _from_here(values: Sequence, zero) -> list:
  """sums[n] = the sum of values[n:]."""
  sums = [zero]
  for value in reversed(values):
    sums.insert(0, sums[0] + value)
  return sums


def _undominated(score: np.ndarray, cost: np.ndarray) -> np.ndarray:
  """Indices of the options of which no other one has as high a score and as low costs.

  Of equal options the first stays.
  """
  order = np.lexsort((np.arange(len(score)), cost.sum(axis=1), -score))
  if cost.shape[1] == 0:
    return order[:1]
  if cost.shape[1] == 1:  # In falling score only what is cheaper than all before.
    before = np.minimum.accumulate(np.concatenate([[np.inf], cost[order, 0][:-1]]))
    return order[cost[order, 0] < before]
  stay: list[int] = []
  for i in order:
    if not stay or not np.any(np.all(cost[stay] <= cost[i], axis=1)):
      stay.append(int(i))
  return np.array(stay)


def _lagrange(groups: Sequence[Group], limit: np.ndarray) -> tuple[np.ndarray, float]:
  """Multipliers [D] that make the bound small, and the best score seen of a choice that fits.

  Subgradient steps on min over m >= 0 of m . limit + sum_g max_o (score - m . cost).
  """
  multipliers, best = np.zeros(len(limit)), (np.inf, np.zeros(len(limit)))
  known = -np.inf
  spread = max(sum(float(np.ptp(g.score)) for g in groups), 1e-12)
  for step in range(200):
    picks = [int(np.argmax(g.score - g.cost @ multipliers)) for g in groups]
    cost = np.sum([g.cost[o] for g, o in zip(groups, picks, strict=True)], axis=0)
    score = sum(float(g.score[o]) for g, o in zip(groups, picks, strict=True))
    bound = score + float(multipliers @ (limit - cost))
    if bound < best[0]:
      best = (bound, multipliers)
    if np.all(cost <= limit):
      known = max(known, score)
    direction = cost - limit
    length = float(direction @ direction)
    if length == 0:
      break
    multipliers = np.maximum(0, multipliers + spread / (1 + step) / length**0.5 * direction)
  return best[1], known
