# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches NAS-Bench-201 cells for a detector on COCO, at full scale, for GPUs or TPUs.

    python scripts/run.py --config configs/coco_nasbench201.py

Needs the prepared TFDS data set `coco/2017:1.1.0`. The recipe is the literature's: the supernet is
trained for 12 epochs, the derived detector for 36 (the "3x" schedule) on 640 px with flips, scale
jitter and colour. It has not been run at this scale here; a test runs two steps of it, small.
"""

from ml_collections import ConfigDict

from configs import quickstart

STEPS_PER_EPOCH = 118_287 // 64


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data.update(
    spec="tfds:coco/2017:1.1.0",
    size=(640, 640),
    augment=(
      dict(name="hflip"),
      dict(name="scale_translate", scale=(0.5, 1.5), aspect=1.2, translate=0.1),
      dict(name="colour"),
    ),
    threads=16,
  )
  config.task.update(strides=(8, 16, 32), neck_channels=128, path="pan", reg_max=16, iou_weight=2.5)
  config.search.update(
    network=dict(name="detector", channels=(48, 96, 192, 384), stem_channels=32, repeats=1),
    steps=12 * STEPS_PER_EPOCH,
    warmup_steps=2 * STEPS_PER_EPOCH,
    batch_size=64,
    weight_optimizer=dict(name="adamw", lr=1e-3, b2=0.999, weight_decay=0.05, clip=10.0),
    alpha_optimizer=dict(name="adam", lr=1e-3),
    watch=dict(every_steps=1000),
  )
  config.train.update(
    network=dict(name="detector", channels=(64, 128, 256, 512), stem_channels=32, repeats=2),
    steps=36 * STEPS_PER_EPOCH,
    batch_size=64,
    optimizer=dict(
      name="adamw", lr=1e-3, warmup_steps=1000, b2=0.999, weight_decay=0.05, clip=10.0
    ),
    ema=0.9997,
  )
  config.evaluate.update(split="validation", batch_size=64)
  config.checkpoint.update(every_steps=1000, keep=3)
  config.log.update(every_steps=20, words_every_steps=200)
  return config
