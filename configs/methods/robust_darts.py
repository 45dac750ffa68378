# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""RobustDARTS (Zela et al. 2020, arXiv:1909.09656): stronger weight decay, and drop-path.

Factors of 3 between the decays that they try (3e-4 to 243e-4); here 27 times DARTS' 3e-4.

python scripts/run.py --config configs/methods/robust_darts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.weight_optimizer.weight_decay = 81e-4
  search.drop_path = 0.2
  return config
