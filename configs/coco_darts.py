# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches DARTS cells (normal and reduction) for a detector on COCO, at full scale.

    python scripts/run.py --config configs/coco_darts.py

Needs the prepared TFDS data set `coco/2017:1.1.0` and GPUs or TPUs. As in DARTS the search is
second order and keeps two edges per node; the schedules are those of `coco_nasbench201`. It has
not been run at this scale here; a test runs two steps of it, small.
"""

from ml_collections import ConfigDict

from configs import coco_nasbench201


def get_config() -> ConfigDict:
  config = coco_nasbench201.get_config()
  config.space = dict(name="darts")
  search = config.search
  # Four nodes are concatenated: the feature maps have four times these widths.
  search.network = dict(name="detector", channels=(16, 32, 64, 128), stem_channels=32, repeats=1)
  search.batch_size = 32
  search.hypergradient = dict(name="unrolled", steps=1)
  search.weight_optimizer = dict(name="sgd", lr=0.01, lr_end=1e-4, momentum=0.9, weight_decay=1e-4)
  search.alpha_optimizer = dict(name="adam", lr=3e-4)
  search.discretize = dict(name="top_k_edges", k=2)
  config.train.network = dict(
    name="detector", channels=(24, 48, 96, 192), stem_channels=48, repeats=2
  )
  config.train.drop_path = 0.2
  return config
