# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The quickstart's search with the time that it takes to get the most out of digit scenes.

python scripts/run.py --config configs/digit_scenes.py

Measured on 2 CPU cores, test split: seed 0 (d8ce4ce) AP 0.770, AP50 0.969; seed 1 (eabc530) AP
0.776, AP50 0.972. Seed 0 took 23 minutes in all, with other jobs on the machine.
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.task.path = "pan"
  config.task.head_convs = 2
  config.train.steps = 4500
  config.train.ema = 0.998
  return config
