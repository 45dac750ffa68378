# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS, second order as its code computes it (1806.09055, eq. 8): a difference quotient.

python scripts/run.py --config configs/methods/darts_finite_difference.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.update(
    relaxation=dict(name="softmax"), hypergradient=dict(name="finite_difference", radius=0.01)
  )
  return config
