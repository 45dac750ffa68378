# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""DARTS on CIFAR-10 with its authors' hyperparameters (1806.09055; its code: cnn/), for one GPU.

    python scripts/search.py   --config configs/cifar10_darts.py --workdir runs/darts
    python scripts/train.py    --config configs/cifar10_darts.py:train --workdir runs/darts_train \\
      --genotype runs/darts/genotype.json
    python scripts/evaluate.py --config configs/cifar10_darts.py:train --workdir runs/darts_train

Needs the prepared TFDS data set `cifar10:3.0.2`. The search is second order, 50 epochs of half of
the images; the training 600 epochs with auxiliary head (0.4), cutout (16 px) and drop-path (rising
to 0.2). (Two forms, because the search is without cutout.) `--genotype DARTS_V2` trains the
published cells, for which the paper reports 2.76 +- 0.09 % test error and 3.3 M parameters. It has
not been run at this scale here; a test runs two steps of each form, small.
"""

from ml_collections import ConfigDict

from configs import digits
from dnas.errors import ConfigError

IMAGES = 50_000


def get_config(form: str = "search") -> ConfigDict:
  if form not in ("search", "train"):
    raise ConfigError(f"cifar10_darts: {form!r} is neither 'search' nor 'train'")
  augment = (dict(name="pad_crop", pad_px=4), dict(name="hflip"))
  cutout = (dict(name="cutout", length_px=16),)
  config = digits.get_config()
  config.data.update(
    spec="tfds:cifar10:3.0.2",
    size=(32, 32),
    augment=augment + cutout if form == "train" else augment,
    threads=8,
  )
  config.task.auxiliary = 0.4
  config.space = dict(name="darts")
  config.search.update(
    steps=50 * (IMAGES // 2 // 64),
    warmup_steps=0,
    batch_size=64,
    watch=dict(every_steps=390, hessian_steps=3, genotypes=5),
  )
  config.search.network = dict(name="cifar", channels=16, layers=8)
  config.search.hypergradient = dict(name="unrolled", steps=1)
  config.search.weight_optimizer = dict(
    name="sgd", lr=0.025, lr_end=0.001, momentum=0.9, weight_decay=3e-4, clip=5.0
  )
  config.search.alpha_optimizer = dict(name="adam", lr=3e-4, b1=0.5, b2=0.999, weight_decay=1e-3)
  config.search.discretize = dict(name="top_k_edges", k=2)
  config.train.update(
    steps=600 * (IMAGES // 96),
    batch_size=96,
    ema=0.0,
    drop_path=0.2,
  )
  config.train.network = dict(name="cifar", channels=36, layers=20)
  config.train.optimizer = dict(
    name="sgd", lr=0.025, lr_end=0.0, momentum=0.9, weight_decay=3e-4, clip=5.0
  )
  config.checkpoint.update(every_steps=1000)
  config.log.update(every_steps=50, words_every_steps=500)
  return config
