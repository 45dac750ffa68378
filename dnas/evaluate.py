# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluating trained weights on a split that neither search nor training has seen."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from dnas import data, runs, trained
from dnas import task as tasks
from dnas.config import Config
from dnas.data.pipeline import Pipeline
from dnas.errors import ConfigError, check_count
from dnas.fields import diff
from dnas.method import task_of
from dnas.schema import check

# What a network sees, and what its outputs mean: weights of another shape are refused in any case.
_SEEN = (
  *("task.name", "task.strides", "task.path"),
  *("data.size", "data.content", "data.interpolation"),
)


def evaluate(
  config: Config, workdir: pathlib.Path, source: data.Source | None = None
) -> dict[str, Any]:
  """Measures the weights of a training's folder; writes `evaluation.json`.

  Each process of a run measures all of the split, on one device.

  Args:
    config: fields as in `configs/digits.py`.
    workdir: the folder of a training, with `config.json`, `genotype.json` and `weights.npz`.
    source: `config.evaluate.split`; None: it is loaded.

  Returns:
    The task's numbers by name, and the network's `params` and `macs`.

  Raises:
    DnasError: there are no weights, they do not fit the genotype, or the split has other classes
      than the training, or the config another task or size.
  """
  check(config, "evaluate")
  check_count("config.evaluate.batch_size", config.evaluate.batch_size, 1, ConfigError)
  trained.check(workdir, "genotype.json", "weights.npz")  # Before the data are read.
  if changes := diff(trained.config_of(workdir), config, only=_SEEN):
    raise ConfigError(
      f"{workdir} holds a training with another config ({'; '.join(changes)}): evaluate with its "
      f"own, {workdir / 'config.json'}"
    )
  if source is None:
    source = data.labelled(config.data.spec, config.evaluate.split)
  trained.check_classes(workdir, source)
  task = task_of(config, source)
  genotype, *network = trained.network(workdir, task)
  pipeline = runs.pipeline(config, source, config.evaluate.batch_size, train=False)
  measured = task.measure(source, predictions(task, network, pipeline), workdir)
  cost = tasks.cost(task, genotype)
  measured |= {"params": cost.params, "macs": cost.macs}
  runs.write(workdir / "evaluation.json", json.dumps(measured, indent=2) + "\n")
  return measured


def predictions(
  task: tasks.Task, network: Sequence, pipeline: Pipeline
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
  """(batch, outputs) for every batch of a split; `network` is (static, params, stats)."""
  static, params, stats = network
  predict = jax.jit(lambda params, stats, images: task.predict(static.merge(params, stats), images))
  for batch in pipeline:
    yield batch, jax.device_get(predict(params, stats, batch["image"]))
