# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network is for: one function each, named by `config.task`, that gives a `Task`.

A task knows its network, its loss and its measure, and nothing of searching or training. Images
come as bytes `[B, H, W, 3]` and are scaled here.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from dnas import log
from dnas.data.source import ClassificationSource, Source
from dnas.errors import DnasError
from dnas.nn import network
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space.space import SearchSpace

Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]
Result = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]  # a batch and its outputs


@dataclasses.dataclass(frozen=True)
class Task:
  """A task as functions.

  Attributes:
    build: (space, rngs, search=None) -> network; see `nn.network.Backbone` for `search`.
    loss: (network, weights, batch, mode) -> (scalar, metrics); `weights` are the mixing weights of
      the searched cells, `{}` for a genotype.
    predict: (network, weights, batch) -> arrays `[B, ...]`, jitted by the caller.
    measure: (source, [(batch, outputs), ...], folder) -> the numbers by which results are compared;
      what people want to look at (predictions, pictures) goes into the folder.
    headline: the name of the number that counts most.
    image: height and width of the network's input.
  """

  build: Callable[..., nnx.Module]
  loss: Callable[[Any, network.Weights, Batch, Mode], tuple[jax.Array, Metrics]]
  predict: Callable[[Any, network.Weights, Batch], Mapping[str, jax.Array]]
  measure: Callable[[Source, Iterable[Result], pathlib.Path], dict[str, Any]]
  headline: str
  image: tuple[int, int]


def classification(
  source: Source,
  image: tuple[int, int],
  *,
  label_smoothing: float = 0.0,
  auxiliary: float = 0.0,
) -> Task:
  """Image classification: L = cross-entropy + auxiliary * cross-entropy of the auxiliary head.

  Args:
    source: gives the classes.
    image: height and width of the network's input.
    label_smoothing: share of the target that is spread over all classes, in [0, 1).
    auxiliary: weight of the auxiliary head (DARTS: 0.4); 0 leaves it out. Supernets have none.

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

  def build(space: SearchSpace, rngs: Rngs, search: bool | None = None) -> network.Network:
    with_head = auxiliary > 0 and space.is_genotype and not search
    return network.Network(space, classes, search=search, auxiliary=with_head, rngs=rngs)

  def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, classes), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()

  def loss(model: network.Network, weights: network.Weights, batch: Batch, mode: Mode):
    logits, extra = model(network.image_to_float(batch["image"]), weights, mode)
    value = cross_entropy(logits, batch["label"])
    accuracy = (logits.argmax(-1) == batch["label"]).astype(jnp.float32).mean()
    if extra is not None:
      value += auxiliary * cross_entropy(extra, batch["label"])
    return value, {"accuracy": accuracy}

  def predict(model: network.Network, weights: network.Weights, batch: Batch):
    logits, _ = model(network.image_to_float(batch["image"]), weights, Mode())
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
    log.atomic_write(folder / "predictions.json", json.dumps(rows) + "\n")
    return {"accuracy": right / total, "cross_entropy": nats / total, "images": total}

  return Task(build, loss, predict, measure, "accuracy", image)
