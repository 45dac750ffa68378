# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What to tune of a search, with a whole experiment a trial: rates, relaxation, share of the data.

    python scripts/tune.py --config configs/quickstart.py --space configs/tuning/search.py \\
      --whole --trials 20 --workdir runs/tuned_search

Not run at length yet.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    dict(
      search=dict(
        alpha_optimizer=dict(lr=dict(low=3e-4, high=3e-2, log=True)),
        weight_optimizer=dict(lr=dict(low=1e-3, high=1.6e-2, log=True)),
        relaxation=dict(
          choices=(
            dict(name="softmax"),
            dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1),
            dict(name="gumbel_softmax", tau_start=2.0, tau_end=0.5),
          )
        ),
        weight_share=dict(low=0.3, high=0.7),
      ),
    )
  )
