# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Lambda-DARTS (Movahedi et al. 2023, arXiv:2210.07998): layers that agree about alpha.

python scripts/run.py --config configs/methods/lambda_darts.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.weight_penalty = dict(name="layer_alignment", scale=0.125)
  return config
