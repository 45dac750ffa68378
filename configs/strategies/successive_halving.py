# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): 16 cells trained, 8 twice as
long, 4 again, then 2; a bracket of 30 queries, each of whose rungs takes 400 steps. With `workers`
the next one begins while a rung waits: one is over after at most 30 + 3 * (workers - 1) queries.

python scripts/run.py --config configs/strategies/successive_halving.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  search = config.search
  search.strategy = dict(name="successive_halving", candidates=16, eta=2, rungs=4)
  search.estimate = dict(
    name="at_lengths",
    estimate=dict(name="short_training", share=0.5, channels=4),
    field="steps",
    values=(25, 50, 100, 200),
  )
  search.budget = 30
  return config
