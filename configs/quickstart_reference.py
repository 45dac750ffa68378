# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The hand-made reference beside the quickstart: residual cells in the same detector and budget.

    python scripts/run.py --config configs/quickstart_reference.py --config.train.macs=N

with N the `macs` that the quickstart printed. (`scripts/reproduce.py detection_digit_scenes` does
so for several seeds, with random genotypes and EfficientNet's stages beside it.)
"""

from ml_collections import ConfigDict

from configs import quickstart
from dnas.space import genotypes


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.space = dict(name="genotype", source=genotypes.RESIDUAL)
  return config
