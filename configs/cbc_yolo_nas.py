# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a small detector of YOLO-NAS' kind for blood cells, under a budget of latency.

    python scripts/run.py --config configs/cbc_yolo_nas.py
    python scripts/val.py --model runs/cbc_yolo_nas --data SPEC --split test

What may be chosen is the type of the blocks in every stage of backbone and neck, their number in
stage 3 and their width in stages 1, 2 and 4: 4096 networks. It is made for two CPU cores: images of
128 x 96 px, a tenth of S's channels, 200 steps of search. The budget is of the fused network on one
image, measured on the machine at hand: set `cost.latency_ms` for yours.

Run at 8d60a6c on 2 cores of an AMD EPYC, seed 0, all else on the machine suspended: 6 min 22 s in
all; predicted 1.84 ms, measured 1.86 ms; 385,503 parameters, 40.7 million MACs; test AP 0.434 (RBC
0.586, WBC 0.714, platelets 0.000: a few pixels each at this size, and 600 steps do not find them).
"""

from ml_collections import ConfigDict

from configs import cbc_detection


def get_config() -> ConfigDict:
  config = cbc_detection.get_config()
  config.data.size = (96, 128)  # multiples of 32 px
  config.task = dict(name="yolo_nas")
  config.space = dict(
    name="dnas.space.yolo_nas.yolo_nas",
    channels=(16, 32, 64, 96),
    # Few choices: a supernet computes, and first compiles, every candidate.
    hidden=((8, 32), (16, 48), (32,), (24, 96), (16,), (8,), (16,), (24,)),
    blocks=((1,), (1,), (1, 3), (1,), (1,), (1,), (1,), (1,)),
    types=("qarep", "conv"),
    intermediates=(False,),
    heads=(50,),
  )
  config.search.network = dict(name="own")
  config.search.steps = 200
  config.search.warmup_steps = 60
  config.search.batch_size = 8
  config.search.watch.every_steps = 0
  config.cost.latency_ms = 1.9
  config.train.steps = 600
  return config
