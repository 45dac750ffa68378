# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The hand-made reference beside `cbc_detection`: residual cells in the same detector and budget.

    python scripts/run.py --config configs/cbc_reference.py --config.train.macs=N

with N the `macs` that the search's run printed.
"""

from ml_collections import ConfigDict

from configs import cbc_detection
from dnas.space import genotypes


def get_config() -> ConfigDict:
  config = cbc_detection.get_config()
  config.space = dict(name="genotype", source=genotypes.RESIDUAL)
  return config
