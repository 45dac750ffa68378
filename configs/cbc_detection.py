# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a detector for real blood cells (240 microscope images, 3 classes) from COCO JSON.

    python scripts/run.py --config configs/cbc_detection.py

The data lie beside the project in `../shared/data/cbc`: the pictures of
MahmudulAlam/Complete-Blood-Cell-Count-Dataset (MIT), their VOC XML as COCO JSON, each of its
splits without what is in another. For one's own set
`--config.data.spec=coco:FOLDER/instances_{split}.json@FOLDER/images/{split}`.

Measured at eabc530 on 2 CPU cores, test split, seeds 0, 1, 2: AP 0.618, 0.624, 0.615 (mean
0.619 with a 95 % t-interval of 0.011), AP50 0.941, 0.935, 0.938.
"""

from ml_collections import ConfigDict

from configs import quickstart

FOLDER = "../shared/data/cbc"


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data.spec = f"coco:{FOLDER}/annotations/instances_{{split}}.json@{FOLDER}/images/{{split}}"
  config.data.size = (120, 160)
  config.data.augment = (
    dict(name="hflip"),
    dict(name="scale_translate", scale=(0.75, 1.3), aspect=1.15, translate=0.1),
    dict(name="colour"),
  )
  config.search.steps = 300
  config.search.warmup_steps = 100
  config.train.steps = 600
  return config
