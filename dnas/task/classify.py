# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Image classification as a task."""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dnas import runs
from dnas.data.source import ClassificationSource, Source
from dnas.errors import DnasError
from dnas.nn import network
from dnas.nn.mode import Mode
from dnas.nn.supernet import PLAIN, Supernet
from dnas.task.base import Batch, Result, Task, computing


def classification(
  source: Source,
  size: tuple[int, int],
  *,
  label_smoothing: float = 0.0,
  auxiliary: float = 0.0,
  dtype: str = "float32",
) -> Task:
  """Image classification: L = cross-entropy + auxiliary * cross-entropy of the auxiliary head.

  Args:
    source: gives the classes.
    size: height and width of the network's input.
    label_smoothing: share of the target that is spread over all classes, in [0, 1).
    auxiliary: weight of the auxiliary head (DARTS: 0.4); 0 leaves it out. Supernets have none.
    dtype: of the layers' values, see `task.base.computing`.

  Raises:
    DnasError: the source is none for classification, or a value is out of range.
  """
  if not isinstance(source, ClassificationSource):
    raise DnasError(f"task classification: {source.name} is a data set for {source.task}")
  if not 0 <= label_smoothing < 1:
    raise DnasError(f"task classification: label_smoothing in [0, 1), got {label_smoothing}")
  if auxiliary < 0:
    raise DnasError(f"task classification: auxiliary must be 0 or more, got {auxiliary}")
  classes = len(source.classes)
  scaled = computing(dtype, network.image_to_float)

  def build(space, rngs, search: bool | None = None, supernet: Supernet = PLAIN):
    with_head = auxiliary > 0 and space.is_genotype and not search
    return network.Network(
      space, classes, search=search, auxiliary=with_head, supernet=supernet, rngs=rngs
    )

  def forward(model: network.Network, weights: network.Weights, images: jax.Array, mode: Mode):
    return model(scaled(images), weights, mode)

  def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, classes), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()

  def loss(model: network.Network, weights: network.Weights, batch: Batch, mode: Mode):
    logits, extra = forward(model, weights, batch["image"], mode)
    value = cross_entropy(logits, batch["label"])
    accuracy = (logits.argmax(-1) == batch["label"]).astype(jnp.float32).mean()
    if extra is not None:
      value += auxiliary * cross_entropy(extra, batch["label"])
    return value, {"accuracy": accuracy}

  def predict(model: network.Network, images: jax.Array):
    logits, _ = forward(model, {}, images, Mode())
    return {"logits": logits}

  def measure(source: Source, results: Iterable[Result], folder: pathlib.Path) -> dict[str, Any]:
    right, total, nats = 0, 0, 0.0
    ids, classes_found = [], []
    for batch, outputs in results:
      valid, labels = batch["valid"], batch["label"]
      found = outputs["logits"].argmax(-1)
      right += int((found == labels)[valid].sum())
      ids += batch["id"][valid].tolist()
      classes_found += found[valid].tolist()
      log_p = np.asarray(jax.nn.log_softmax(outputs["logits"]))
      nats -= float(log_p[np.arange(len(labels)), labels][valid].sum())
      total += int(valid.sum())
    rows = [{"id": i, "class": source.classes[c]} for i, c in zip(ids, classes_found, strict=True)]
    runs.write(folder / "predictions.json", json.dumps(rows) + "\n")
    return {"accuracy": right / total, "cross_entropy": nats / total, "images": total}

  return Task(build, forward, loss, predict, measure, "accuracy", size)
