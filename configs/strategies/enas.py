# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""ENAS-style (Pham et al. 2018, arXiv:1802.03268): a policy, rewarded with shared weights.

The policy has a logit per choice and no LSTM, and the shared weights are trained on uniform paths
first, where ENAS trains them and its controller in turn on the controller's own samples.

python scripts/run.py --config configs/strategies/enas.py
"""

from ml_collections import ConfigDict

from configs.strategies import random_search


def get_config() -> ConfigDict:
  config = random_search.get_config()
  search = config.search
  search.strategy = dict(name="reinforce", lr=0.05, entropy=1e-3)
  search.estimate = dict(name="one_shot", steps=600, share=0.5, calibration=4)
  search.budget = 200
  return config
