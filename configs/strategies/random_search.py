# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Random search (Li and Talwalkar 2019, arXiv:1902.07638): the best of some cells, shortly trained.

    python scripts/run.py --config configs/strategies/random_search.py
    python scripts/search.py --config configs/strategies/random_search.py --config.search.workers=2

The other strategies are this one with another `strategy` or `estimate`. Their `search` has these
fields and no others; those of the differentiable methods stand in configs/digits.py.
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search = ConfigDict(
    dict(
      # The network in which a candidate is judged by one_shot and zero_cost; short_training takes
      # config.train.network.
      network=dict(name="nasbench201", channels=8, cells=1),
      # A function of dnas/strategy/black_box.py.
      strategy=dict(name="random_search"),
      # A function of dnas/estimate/estimates.py.
      estimate=dict(name="short_training", steps=100, share=0.5, channels=4),
      budget=20,
      # So many processes, and candidates at a time; 0: this one.
      workers=0,
      # True: those processes are started by hand with the same command line and `--worker`.
      elsewhere=False,
      # "params", "macs": besides the score, for strategies that want them.
      costs=(),
    )
  )
  return config
