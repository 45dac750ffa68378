# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a NAS-Bench-201 cell on CIFAR-10, in minutes of two CPU cores.

    python scripts/search.py --config configs/nasbench201_cifar10.py
    python scripts/search.py --config configs/nasbench201_cifar10.py:paper    the papers' scale

Needs the prepared TFDS data set `cifar10:3.0.2`. The first form, on pictures of 16 x 16, is what
`scripts/reproduce.py nasbench201_oneshot` runs with each method: its length and the rule that picks
the genotype (argmax of alpha's mean over the last third) are fixed here, and the seeds there,
before any look at the benchmark. `paper` is the search as NAS-Bench-201 ran DARTS, for a GPU, as
read in its code (AutoDL-Projects, configs/nas-benchmark/algos/DARTS.config and
scripts-search/algos/DARTS-V1.sh): 50 epochs of half of the images, C = 16, N = 5, rates, decays and
crops; there momentum is Nesterov's, here it is not. It has not been run here.
"""

from ml_collections import ConfigDict

from configs import digits
from dnas.errors import ConfigError


def get_config(scale: str = "cpu") -> ConfigDict:
  config = digits.get_config()
  config.data.update(
    spec="tfds:cifar10:3.0.2",
    size=(16, 16),
    augment=(dict(name="hflip"), dict(name="crop", area=(0.7, 1.0))),
    # On a core that two searches share, threads of each made a step 1.3 times as long.
    threads=0,
  )
  config.search.update(
    steps=1500,
    warmup_steps=300,
    weight_optimizer=dict(name="sgd", lr=0.05, weight_decay=5e-4),
    average=1 / 3,
    watch=dict(every_steps=150, hessian_steps=3, genotypes=5),
  )
  config.train.update(network=dict(name="nasbench201", channels=16, cells=5), steps=20_000)
  config.train.optimizer.lr = 0.1
  config.checkpoint.update(every_steps=500)
  if scale == "paper":
    config.data.update(
      size=(32, 32),
      augment=(dict(name="hflip"), dict(name="pad_crop", pad_px=4)),
      threads=8,
    )
    config.search.update(
      network=dict(name="nasbench201", channels=16, cells=5),
      steps=50 * (25_000 // 64),
      warmup_steps=0,
      weight_optimizer=dict(name="sgd", lr=0.025, weight_decay=5e-4),
      alpha_optimizer=dict(name="adam", lr=3e-4),
      average=0.0,
      watch=dict(every_steps=390, hessian_steps=3, genotypes=5),
    )
  elif scale != "cpu":
    raise ConfigError(f"nasbench201_cifar10: {scale!r} is neither 'cpu' nor 'paper'")
  return config
