# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""iDARTS (Zhang et al. 2021, arXiv:2106.10784): implicit hypergradient by a truncated series.

The number of terms is unverified.

python scripts/run.py --config configs/methods/idarts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.hypergradient = dict(name="implicit", solve=dict(name="neumann", steps=3))
  return config
