# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The hand-made reference beside the quickstart: residual cells in the same detector and budget.

    python scripts/run.py --config configs/quickstart_reference.py --config.train.macs=N

with N the `macs` that the quickstart printed. (`scripts/reproduce.py detection` does so for several
seeds, with a random genotype beside it.)
"""

from ml_collections import ConfigDict

from configs import quickstart

# Two 3x3 convolutions in a row beside an identity: a ResNet's block, written as a cell.
RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.space = dict(name="genotype", source=RESIDUAL)
  return config
