# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""P-DARTS (Chen et al. 2019, arXiv:1904.12760): deeper in three stages, with fewer operations each.

Skips are dropped out while searching, and two may stay in a cell. Warm-ups (10 of 25 epochs) and
drop-out rates as in the authors' code (chenxin061/pdarts, train_search.py, README.md).

python scripts/run.py --config configs/methods/p_darts.py
python scripts/run.py --config configs/methods/p_darts.py:darts      the paper's cells and depths
"""

from ml_collections import ConfigDict

from configs import digits


def get_config(cells: str = "nasbench201") -> ConfigDict:
  config = digits.get_config()
  search = config.search
  if cells == "darts":
    config.space = dict(name="darts")
    depths = [dict(name="cifar", channels=8, layers=layers) for layers in (5, 11, 17)]
    keep = (5, 3)  # of 8
    config.train.network = dict(name="cifar", channels=8, layers=20)
  else:
    depths = [dict(name="nasbench201", channels=8, cells=n) for n in (1, 2, 3)]
    keep = (4, 3)  # of 5
  search.network = depths[0]
  schedule = dict(steps=150, warmup_steps=60)
  search.stages = (
    dict(network=depths[0], skip_dropout=0.1, keep=keep[0], **schedule),
    dict(network=depths[1], skip_dropout=0.4, keep=keep[1], **schedule),
    dict(network=depths[2], skip_dropout=0.7, **schedule),
  )
  search.discretize = dict(name="limit_skips", at_most=2)
  return config
