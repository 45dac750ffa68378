# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""GAEA (Li et al. 2021, arXiv:2004.07802): exponentiated gradient on the simplex of each edge.

The learning rate is unverified.

python scripts/run.py --config configs/methods/gaea.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.relaxation = dict(name="softmax")
  search.alpha_optimizer = dict(name="exponentiated_gradient", lr=0.1)
  return config
