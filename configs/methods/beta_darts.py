# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""beta-DARTS (Ye et al. 2022, arXiv:2203.01665): logsumexp of alpha, its weight rising to 50.

python scripts/run.py --config configs/methods/beta_darts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.penalties = (dict(name="beta_decay", scale=50.0),)
  return config
