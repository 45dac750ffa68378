# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS- (Chu et al. 2021, arXiv:2009.01027): a skip beside each edge, its weight falling 1 to 0.

python scripts/run.py --config configs/methods/darts_minus.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.supernet.auxiliary_skip = True
  return config
