# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""OLES (Jiang et al. 2023, NeurIPS): an operation stops learning when its gradients disagree.

python scripts/run.py --config configs/methods/oles.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.freezing = dict(name="gradient_matching", threshold=0.4, window=20)
  return config
