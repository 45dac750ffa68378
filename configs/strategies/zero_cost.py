# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Evolution by a zero-cost proxy (logsynflow, as FreeREA, arXiv:2207.05135): nothing is trained.

python scripts/run.py --config configs/strategies/zero_cost.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  search = config.search
  search.strategy = dict(name="evolution", population=25, sample=5)
  search.estimate = dict(name="zero_cost", proxies=("logsynflow",), batch_size=16)
  search.budget = 100
  return config
