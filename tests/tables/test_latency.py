# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Latency predicted and measured: which genotypes, and what is said of them."""

import numpy as np
import pytest

from dnas.cost.latency import Protocol
from dnas.cost.model import CostModel
from dnas.space import mbconv
from dnas.tables import latency


def test_spread_genotypes_reach_from_the_cheapest_to_the_dearest():
  space = mbconv.mbconv((8, 12), (2, 2), (1, 2))
  size = lambda op: 0.0 if op == "skip_connect" else float(op[7]) + 10 * float(op.split("_e")[1])
  ops = {
    name: tuple(np.array([size(op) for op in edge.ops]) for edge in space.cells[name].edges)
    for name in space.searched
  }
  macs = CostModel("macs", space, 100.0, ops)
  found = latency.spread(space, macs, 12, seed=0)
  assert found == latency.spread(space, macs, 12, seed=0)
  assert len(set(found)) == 12
  costs = [macs.of(genotype) for genotype in found]
  every = [sum(pick(row) for rows in ops.values() for row in rows) + 100 for pick in (min, max)]
  assert [min(costs), max(costs)] == pytest.approx(every)
  # Within a step of where they should be.
  assert np.abs(np.array(costs) - np.linspace(*every, 12)).max() < (every[1] - every[0]) / 11


def test_every_column_is_explained():
  row = {"sample": "random", "predicted_ms": 1.0, "measured_ms": 2.0, "measured_again_ms": 2.0}
  text = latency._title("nasbench201", [row, row], Protocol(), 6)
  assert "`spread_ms`: the median absolute deviation" in text
  assert "`error`: predicted / measured - 1, below 0 where less was predicted" in text


def test_what_is_said_of_a_sample():
  row = lambda sample, *ms: {
    "sample": sample,
    "predicted_ms": ms[0],
    "measured_ms": ms[1],
    "measured_again_ms": ms[2],
  }
  rows = [row("random", 1.1, 1.0, 1.0), row("random", 1.8, 2.0, 1.5), row("spread", 9.0, 1.0, 1.0)]
  rows += [row("random", 3.0, 3.0, 1.2)]
  words = latency._Quality.of(rows, "random").words("random")
  assert words.startswith("3 random genotypes: Spearman 1.000 (wanted: 0.95 or more, met)")
  assert "error 6.7% (wanted: 15% or less, met)" in words
  assert "measured again: Spearman 0.500, mean difference 28.3%" in words
