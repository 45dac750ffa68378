# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What to tune of a training: rate, decay, averaging, about the quickstart's.

    python scripts/tune.py --config configs/quickstart.py --space configs/tuning/training.py \\
      --trials 12 --workdir runs/tuned

The quickstart's own values are within the ranges, so that they are trial 0. On 2 CPU cores a trial
of the quickstart takes what its training takes, some five minutes; 12 trials with pruning have not
been timed yet.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    dict(
      train=dict(
        optimizer=dict(
          lr=dict(low=1e-3, high=1.6e-2, log=True),
          weight_decay=dict(low=1e-3, high=1e-1, log=True),
        ),
        ema=dict(choices=(0.99, 0.995, 0.998)),
      ),
    )
  )
