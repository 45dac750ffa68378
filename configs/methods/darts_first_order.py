# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS, first order (Liu et al. 2019, arXiv:1806.09055): softmax, and weights taken as they are.

python scripts/run.py --config configs/methods/darts_first_order.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.update(relaxation=dict(name="softmax"), hypergradient=dict(name="first_order"))
  return config
