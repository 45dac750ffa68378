# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""SPOS (Guo et al. 2020, arXiv:1904.00420): one supernet trained on uniform paths, then evolution.

Evolution here has no crossover; batch statistics are recalibrated for every candidate.

python scripts/run.py --config configs/strategies/spos.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  search = config.search
  search.strategy = dict(name="evolution", population=20, sample=5)
  search.estimate = dict(name="one_shot", steps=600, share=0.5, calibration=4)
  search.budget = 200
  return config
