# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NSGA-II (Deb et al. 2002): accuracy against parameters; the genotype is the most accurate one.

The whole front is `nsga2.pareto(history.read(WORKDIR / "history.jsonl"), ["params"])`.

python scripts/run.py --config configs/strategies/nsga2.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  config.search.strategy = dict(name="nsga2", costs=("params",), population=8)
  config.search.update(budget=32, costs=("params",))
  return config
