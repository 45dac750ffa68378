# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Training a loaded detector on a data set: a config for `dnas.train`, and its run."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from dnas import config as configs
from dnas import data
from dnas.config import Config
from dnas.errors import check_count
from dnas.loaded import Loaded, Size
from dnas.train import train
from dnas.trees import fingerprint

AUGMENT = (
  dict(name="hflip"),
  dict(name="scale_translate", scale=(0.7, 1.3), aspect=1.15, translate=0.1),
  dict(name="colour"),
)


def recipe(
  loaded: Loaded,
  spec: str,
  epochs: int,
  *,
  split: str = "train",
  batch: int = 16,
  size: Size = None,
  lr: float = 1e-3,
  augment: Sequence[Any] = AUGMENT,
  seed: int = 0,
  overrides: Mapping[str, Any] | None = None,
) -> Config:
  """The config of a training that starts from the detector's weights, unless they are random.

  Args:
    loaded: the detector.
    spec, split: the data.
    epochs: how often the training goes through the data.
    batch: images in a step.
    size: of the network's input, see `Loaded.check_image`.
    lr: of AdamW at its highest; it rises over a twentieth of the steps and falls on a cosine.
    augment: see `dnas.data.augment`; AUGMENT mirrors half of the images, which is not for classes
      that this changes, such as digits.
    seed: of everything random.
    overrides: other fields, `{"train.ema": 0.99}`.

  Raises:
    DnasError: the data are wrong, or a value is out of range.
  """
  for name, value in (("epochs", epochs), ("batch", batch)):
    check_count(name, value, 1)
  source = data.labelled(spec, split, decode_all=False)  # The training looks at each image.
  height, width = loaded.check_image(size)
  steps = max(1, round(epochs * len(source) / batch))
  start = None
  if not loaded.random:
    weights = fingerprint((loaded.params, loaded.stats))
    start = dict(name=loaded.name, weights=weights)
  fields = dict(
    seed=seed,
    data=dict(
      spec=data.whole_spec(spec),
      size=(height, width),
      train_split=split,
      augment=tuple(augment),
      threads=None,
      content=(height - loaded.margin[0], width - loaded.margin[1]),
      interpolation=loaded.interpolation,
    ),
    task=dict(loaded.config.task),
    train=dict(
      network=None,
      macs=None,
      steps=steps,
      batch_size=batch,
      optimizer=dict(
        name="adamw", lr=lr, warmup_steps=steps // 20, b2=0.99, weight_decay=0.02, clip=10.0
      ),
      ema=0.999,
      drop_path=0.0,
      start=start,
    ),
    evaluate=dict(split="val", batch_size=batch),
    checkpoint=dict(every_steps=250, every_minutes=10, keep=2, keep_best=False, max_skipped=10),
    log=dict(every_steps=1, words_every_steps=10),
  )
  return configs.changed(ConfigDict(fields, convert_dict=True), overrides or {})


def finetune(
  loaded: Loaded,
  spec: str,
  epochs: int,
  workdir: pathlib.Path,
  resume: str = "auto",
  **options: Any,
) -> pathlib.Path:
  """Trains a detector in a run's folder; called again, it goes on where it was.

  Args:
    loaded: the detector.
    spec: of the data, see `dnas.data.load`.
    epochs: how often the training goes through the data.
    workdir: the folder.
    resume: as in `runs.folder`.
    options: of `recipe`.

  Returns:
    The folder.

  Raises:
    DnasError: as `recipe` and `train`.
  """
  config = recipe(loaded, spec, epochs, **options)
  start = None if loaded.random else (loaded.params, loaded.stats)
  train(config, loaded.genotype, workdir, resume, start)
  return workdir
