# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Regularised evolution (Real et al. 2019, arXiv:1802.01548): the oldest dies.

python scripts/run.py --config configs/strategies/regularized_evolution.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  config.search.strategy = dict(name="evolution", population=8, sample=3)
  config.search.budget = 30
  return config
