# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What an exported model is worth: its run evaluated with another program than JAX."""

import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dnas import runs
from dnas.config import Config
from dnas.data.source import Source
from dnas.export import to_onnx
from dnas.method import task_of


def images_of(config: Config, source: Source, count: int) -> np.ndarray:
  """The first `count` images of a split as the network sees them: uint8 `[count, H, W, 3]`."""
  pipeline = runs.pipeline(config, source, min(count, len(source)), train=False)
  return next(iter(pipeline))["image"]


def measure(
  data: bytes, config: Config, source: Source, batch: int | None = None
) -> dict[str, Any]:
  """The task's numbers (AP and its kin) of a model that gives detections, or logits.

  Args:
    data: an ONNX model.
    config: of the run.
    source: the split that is measured.
    batch: of the model; None: that of `config.evaluate`.
  """
  session = to_onnx.session(data)
  return measured_by(lambda images: to_onnx.predict(session, images), config, source, batch)


def measured_by(
  predict: Callable[[np.ndarray], Mapping[str, np.ndarray]],
  config: Config,
  source: Source,
  batch: int | None = None,
) -> dict[str, Any]:
  """`measure` by any program: images uint8 `[B, H, W, 3]` -> named arrays."""
  pipeline = runs.pipeline(config, source, batch or config.evaluate.batch_size, train=False)

  def results() -> Iterator[tuple[dict[str, np.ndarray], Any]]:
    for examples in pipeline:
      yield examples, predict(examples["image"])

  with tempfile.TemporaryDirectory(prefix="dnas-") as folder:
    return task_of(config, source).measure(source, results(), pathlib.Path(folder))
