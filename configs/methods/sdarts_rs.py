# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""SDARTS-RS (Chen and Hsieh 2020, arXiv:2002.05283): weights trained under random perturbation.

python scripts/run.py --config configs/methods/sdarts_rs.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.perturbation = dict(name="random_perturbation", radius=0.3, radius_start=0.03)
  return config
