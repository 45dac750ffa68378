# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""FairDARTS (Chu et al. 2020, arXiv:1911.12126): sigmoids, pushed to 0 or 1, and a threshold.

Threshold, strength and moments of Adam as in the authors' code (xiaomi-automl/FairDARTS,
fairdarts/train_search.py). A node may end with fewer edges than the cell has. The rate of alpha is
four times the base's, with which no sigmoid reached the threshold in 250 steps of Adam (0.75 at
most), so that each node kept the one edge that it must.

python scripts/run.py --config configs/methods/fair_darts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.relaxation = dict(name="sigmoid")
  search.penalties = (dict(name="zero_one", scale=10.0),)
  search.alpha_optimizer = dict(name="adam", lr=12e-3, b1=0.9)
  search.discretize = dict(name="threshold", value=0.85)
  return config
