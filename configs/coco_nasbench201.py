# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches NAS-Bench-201 cells for a detector on COCO, at full scale, for GPUs or TPUs.

    python scripts/run.py --config configs/coco_nasbench201.py        36 epochs
    python scripts/run.py --config configs/coco_nasbench201.py:12     or 300

Needs the prepared TFDS data set `coco/2017:1.1.0`. The supernet is trained for 12 epochs; the
derived detector for 12, 36 or 300, each with what the literature trains so long with:

- 12, the "1x" schedule of one-stage detectors (FCOS, 1904.01355; its fcos_R_50_FPN_1x.yaml): SGD
  at 0.01 for 16 pictures, a tenth of it after 2/3 and 8/9, flips only, 800 px. They start from
  ImageNet's weights; these cells have none, so expect less.
- 36, "3x" by its length; the rest is our choice: AdamW, 640 px, flips, scale jitter and colour.
- 300, as YOLOX (2107.08430; its yolox_base.py) trains from scratch: SGD at 0.01 for 64 pictures, 5
  epochs of warm-up, cosine to a twentieth, decay 5e-4, mosaic and mixup, averaged weights. There
  the last 15 epochs are without mosaic and at the lowest rate, the sizes of batches vary, momentum
  is Nesterov's and only kernels decay; here none of that is so.

None has been run at this scale; a test runs two steps of each, small.
"""

from ml_collections import ConfigDict

from configs import quickstart
from dnas.errors import ConfigError

STEPS_PER_EPOCH = 118_287 // 64


def get_config(epochs: str = "36") -> ConfigDict:
  if epochs not in ("12", "36", "300"):
    raise ConfigError(f"coco_nasbench201: {epochs!r} epochs; valid: 12, 36 or 300")
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
  if epochs == "12":
    config.data.update(size=(800, 1344), augment=(dict(name="hflip"),))
    optimizer = dict(name="sgd", lr=0.01, lr_end=1e-4, weight_decay=1e-4, warmup_steps=500)
    optimizer |= dict(momentum=0.9, clip=None, decay="steps", milestones=(2 / 3, 8 / 9))
    steps = 12 * (118_287 // 16)
    config.train.update(steps=steps, batch_size=16, ema=0.0)
    config.train.optimizer = optimizer  # update() would keep arguments of adamw.
  elif epochs == "300":
    config.data.augment = (
      dict(name="mosaic", probability=1.0),
      dict(name="mixup", probability=1.0),
      *config.data.augment,
    )
    warmup = 5 * STEPS_PER_EPOCH
    optimizer = dict(name="sgd", lr=0.01, lr_end=5e-4, weight_decay=5e-4, warmup_steps=warmup)
    optimizer |= dict(momentum=0.9, clip=None)
    config.train.update(steps=300 * STEPS_PER_EPOCH, ema=0.9998)
    config.train.optimizer = optimizer
  return config
