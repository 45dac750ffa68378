# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""ProxylessNAS (Cai et al. 2019, arXiv:1812.00332): two sampled paths and a binary gate.

The expected latency in its loss is not part of this config. All operations are computed: the
gradient needs both paths, which `single_path` is not made for.

python scripts/run.py --config configs/methods/proxylessnas.py
"""

from ml_collections import ConfigDict

from configs import digits


def get_config() -> ConfigDict:
  config = digits.get_config()
  config.search.relaxation = dict(name="two_paths")
  return config
