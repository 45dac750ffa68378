# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""SDARTS-ADV (Chen and Hsieh 2020, arXiv:2002.05283): weights trained under attack; 7 steps each.

python scripts/run.py --config configs/methods/sdarts_adv.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.perturbation = dict(
    name="adversarial_perturbation", radius=0.3, radius_start=0.03, steps=7
  )
  return config
