# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a small detector of YOLO-NAS' kind for blood cells: blocks, widths, types, head.

    python scripts/run.py --config configs/cbc_yolo_nas.py
    python scripts/run.py --config configs/cbc_yolo_nas.py --config.cost.latency_ms=10

The second keeps a budget of latency, measured on the machine at hand. The result is loaded by
`NAS("runs/cbc_yolo_nas")`. Not run to its end yet; a search of two steps is tested.
"""

from ml_collections import ConfigDict

from configs import cbc_detection


def get_config() -> ConfigDict:
  config = cbc_detection.get_config()
  config.data.size = (128, 160)  # multiples of 32 px
  config.task = dict(name="yolo_nas")
  config.space = dict(
    name="dnas.space.yolo_nas.yolo_nas",
    channels=(16, 32, 64, 96),
    hidden=((8, 16), (16, 32), (16, 32), (24, 48), (16, 32), (8, 16), (16, 32), (24, 48)),
    # A choice where S, M and L have most blocks; a supernet computes every candidate.
    blocks=((1,), (1, 2), (1, 2), (1,), (1,), (1,), (1,), (1,)),
    types=("qarep", "conv"),
    intermediates=(False,),
    heads=(50, 100),
  )
  config.search.network = dict(name="own")
  return config
