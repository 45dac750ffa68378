# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""REINFORCE (Williams 1992; as in arXiv:2001.00326): a policy per edge, moved by what scores well.

python scripts/run.py --config configs/strategies/reinforce.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  config.search.strategy = dict(name="reinforce", lr=0.1, entropy=0.0)
  config.search.budget = 30
  return config
