# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS-ES (Zela et al. 2020, arXiv:1909.09656, section 4.3): stopped by the Hessian's eigenvalue.

Window and ratio are the paper's. Their code (automl/RobustDARTS, src/search/args.py) compares with
four evaluations before, by 1.3, and not before the tenth epoch.

python scripts/run.py --config configs/methods/darts_es.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.watch = dict(every_steps=10, hessian_steps=5, genotypes=5)
  search.stop = dict(name="stop_by_eigenvalue", window=5, ratio=0.75)
  return config
