# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Local search (White et al. 2020, arXiv:2005.02960): to the first better neighbour, then anew.

python scripts/run.py --config configs/strategies/local_search.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  config.search.strategy = dict(name="local_search", move="first")
  config.search.budget = 30
  return config
