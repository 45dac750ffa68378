# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Fronts and hypervolumes as arrays, against the definitions."""

import numpy as np
import pytest

from dnas.strategy import nsga2
from dnas.strategy.front import front, hypervolume


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nothing_dominates(seed):
  rng = np.random.default_rng(seed)
  quality, cost = rng.integers(0, 12, (2, 60)).astype(float)
  on = front(quality, cost)
  first = nsga2.fronts(list(zip(quality, -cost, strict=True)))[0]
  points = lambda rows: {(quality[i], cost[i]) for i in rows}
  assert points(on) == points(first)
  assert len(on) == len(points(on))
  assert (np.diff(cost[on]) > 0).all()


def test_the_area_is_that_of_a_grid():
  rng = np.random.default_rng(0)
  quality, cost = rng.integers(0, 10, (2, 30)).astype(float)
  cells = [
    any(q >= y + 1 and c <= x for q, c in zip(quality, cost, strict=True))
    for y in range(2, 10)
    for x in range(8)
  ]
  assert hypervolume(quality, cost, 2.0, 8.0) == sum(cells)
  assert hypervolume(quality, cost + 8, 2.0, 8.0) == 0.0


def test_what_diverged_is_on_no_front_and_hides_nothing():
  nan = float("nan")
  quality, cost = np.array([nan, 1.0, 2.0, 3.0, nan]), np.array([0.0, 1.0, 2.0, nan, nan])
  assert front(quality, cost).tolist() == [1, 2]
  assert front(quality[:1], cost[:1]).tolist() == []
  assert hypervolume(quality, cost, 0.0, 4.0) == 1.0 + 4.0
