# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Networks of a given cost: comparisons are fair at equal budgets only.

>>> from dnas.cost import widths
>>> from dnas.space import cells, macro
>>> network = macro.cifar(cells.darts(), channels=16, layers=3)
>>> [stage.channels for stage in network.stages]
[16, 32, 64]
>>> [stage.channels for stage in widths.widen(network, 1.5).stages]
[24, 48, 96]
"""

import dataclasses
from collections.abc import Callable

from dnas.errors import DnasError, check_number
from dnas.space.space import SearchSpace

TOLERANCE = 0.05


def widen(genotype: SearchSpace, factor: float) -> SearchSpace:
  """Every stage's width times `factor`, rounded to the nearest even number (2 or more)."""
  stages = tuple(
    dataclasses.replace(stage, channels=max(2, 2 * round(stage.channels * factor / 2)))
    for stage in genotype.stages
  )
  return genotype.replace(stages=stages)


def match(genotype: SearchSpace, target: int, cost: Callable[[SearchSpace], int]) -> SearchSpace:
  """The genotype, all stages widened alike, whose cost is nearest to `target`.

  Cost grows with the width, so the factor is found by bisection.

  Args:
    genotype: the cells and the stages to start from.
    target: the cost to reach, in the unit of `cost`.
    cost: of a network, growing with its width: MACs, parameters.

  Raises:
    DnasError: no width comes within 5 % of the target.
  """
  check_number("budget: the target", target, above=0)
  low, high = 0.0, 1.0
  tried: dict[SearchSpace, int] = {}

  def costs(factor: float) -> int:
    network = widen(genotype, factor)
    if network not in tried:
      tried[network] = cost(network)
    return tried[network]

  while costs(high) < target and high < 64:
    low, high = high, 2 * high
  for _ in range(12):
    middle = (low + high) / 2
    low, high = (middle, high) if costs(middle) < target else (low, middle)
  best = min(tried, key=lambda network: abs(tried[network] - target))
  if abs(tried[best] - target) > TOLERANCE * target:
    raise DnasError(
      f"budget: no width of these cells costs {target:,} within {TOLERANCE:.0%}; the nearest "
      f"costs {tried[best]:,} with widths {[stage.channels for stage in best.stages]}"
    )
  return best
