# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS, second order (1806.09055, eq. 7): through one step of the weights, exactly.

python scripts/run.py --config configs/methods/darts_second_order.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.update(
    relaxation=dict(name="softmax"), hypergradient=dict(name="unrolled", steps=1)
  )
  return config
