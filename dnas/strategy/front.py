# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Fronts of quality against cost as arrays: which points are on it, and how much it dominates.

>>> import numpy as np
>>> quality, cost = np.array([1.0, 2.0, 1.5]), np.array([1.0, 3.0, 4.0])
>>> front(quality, cost).tolist(), hypervolume(quality, cost, 0.0, 5.0)
([0, 1], 6.0)
"""

import numpy as np


def front(quality: np.ndarray, cost: np.ndarray) -> np.ndarray:
  """Indices of the points that no other one dominates, by rising cost; equal ones once.

  Args:
    quality: `[N]`, to be large.
    cost: `[N]`, to be small. A point with NaN in either is on no front.
  """
  order = np.lexsort((np.arange(len(cost)), -quality, cost))
  order = order[~(np.isnan(quality) | np.isnan(cost))[order]]  # One NaN would hide all behind it.
  before = np.maximum.accumulate(np.concatenate([[-np.inf], quality[order][:-1]]))
  return order[quality[order] > before]


def hypervolume(quality: np.ndarray, cost: np.ndarray, worst: float, most: float) -> float:
  """The area that points dominate within `quality >= worst` and `cost <= most`.

  Args:
    quality, cost: `[N]`, as in `front`; points outside the two limits count nothing.
    worst: quality of the reference point.
    most: its cost.

  Source: Zitzler and Thiele 1998, Parallel Problem Solving from Nature.
  """
  inside = (quality > worst) & (cost < most)
  quality, cost = quality[inside], cost[inside]
  if not len(quality):
    return 0.0
  on = front(quality, cost)
  heights, ends = quality[on] - worst, np.append(cost[on][1:], most)
  return float(np.sum(heights * (ends - cost[on])))
