# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""FBNet (Wu et al. 2019, arXiv:1812.03443): Gumbel weights, cooled from 5.

The expected latency in its loss is not part of this config. The paper cools by a factor an epoch
(its last temperature is unverified), here it is linear.

python scripts/run.py --config configs/methods/fbnet.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.relaxation = dict(name="gumbel_softmax", tau_start=5.0, tau_end=0.1)
  return config
