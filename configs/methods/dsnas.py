# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DSNAS (Hu et al. 2020, arXiv:2002.09128): one-hot samples, score-function gradient, one level.

The sampled operation is computed alone where that saves time: see `single_path` in
dnas/nn/supernet.py. The paper's early stop of single edges is left out.

python scripts/run.py --config configs/methods/dsnas.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.hypergradient = None
  search.weight_share = 1.0
  search.relaxation = dict(name="score_function")
  search.supernet.single_path = True
  return config
