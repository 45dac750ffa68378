# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DrNAS (Chen et al. 2021, arXiv:2006.10355): Dirichlet weights, then fewer operations, wider.

Two stages: a quarter of the channels and five operations, then half of them and three; a fifth of
each is warm-up, as in the authors' code (xiangning-chen/DrNAS,
201-space/train_search_progressive.py). Its default regulariser is weight decay on alpha, here it is
the paper's divergence.

python scripts/run.py --config configs/methods/drnas.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  search = config.search
  search.relaxation = dict(name="dirichlet")
  search.watch.hessian_steps = 0  # It has no second derivative.
  search.penalties = (dict(name="dirichlet_anchor", scale=1e-3),)
  search.alpha_optimizer = dict(name="adam", lr=3e-3, weight_decay=0.0)
  search.stages = (
    dict(steps=150, warmup_steps=30, supernet=dict(partial=4), keep=3),
    dict(steps=150, warmup_steps=30, supernet=dict(partial=2), inherit=True),
  )
  return config
