# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches DARTS cells for a detector on Pascal VOC 2007, for one GPU.

    python scripts/run.py --config configs/voc_darts.py

Needs the prepared TFDS data set `voc/2007:4.0.0`. Its split `train`, 2,501 images, is for search
and training (published detectors take `validation` too, 5,011 in all, which a config cannot name);
the derived detector is trained for 200 epochs at 448 px. Lengths, size and rates are our choice, no
paper's. It has not been run at this scale here; a test runs two steps of it, small.
"""

from ml_collections import ConfigDict

from configs import coco_darts

STEPS_PER_EPOCH = 2_501 // 32


def get_config() -> ConfigDict:
  config = coco_darts.get_config()
  config.data.update(spec="tfds:voc/2007:4.0.0", size=(448, 448), threads=8)
  config.search.update(steps=50 * STEPS_PER_EPOCH, warmup_steps=10 * STEPS_PER_EPOCH)
  config.train.update(steps=200 * STEPS_PER_EPOCH, batch_size=32)
  config.evaluate.split = "test"
  return config
