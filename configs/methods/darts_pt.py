# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS-PT (Wang et al. 2021, arXiv:2108.04392): decided by what hurts when taken away.

python scripts/run.py --config configs/methods/darts_pt.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.projection = dict(batches=4, tune_steps=20)
  return config
