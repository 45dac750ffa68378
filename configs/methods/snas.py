# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""SNAS (Xie et al. 2019, arXiv:1812.09926): concrete relaxation, one level, all data for both.

The temperatures are not the paper's (unverified; 10 to 1 as in DrNAS' comparison with it).

python scripts/run.py --config configs/methods/snas.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.hypergradient = None  # One level: alpha descends the loss that the weights descend.
  search.weight_share = 1.0
  search.relaxation = dict(name="gumbel_softmax", tau_start=10.0, tau_end=1.0)
  return config
