# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""GDAS (Dong and Yang 2019, arXiv:1910.04465): hard Gumbel samples, straight-through gradients.

Only the sampled operation of an edge counts, and is computed alone where that saves time: see
`single_path` in dnas/nn/supernet.py.

python scripts/run.py --config configs/methods/gdas.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.relaxation = dict(
    name="straight_through",
    relaxation=dict(name="gumbel_softmax", tau_start=10.0, tau_end=0.1),
  )
  search.supernet.single_path = True
  return config
