# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""PC-DARTS (Xu et al. 2020, arXiv:1907.05737): a quarter of the channels, and edge weights.

The rate of alpha is that of the authors' code, 6e-4 over 50 epochs, made larger for this short
search like the base's. They too warm up (15 of 50 epochs).

python scripts/run.py --config configs/methods/pc_darts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.supernet.partial = 4
  search.edge_weights = True
  search.warmup_steps = 90
  return config
