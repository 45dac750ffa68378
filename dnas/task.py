# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network is for: one function each, named by `config.task`, that gives a `Task`.

A task knows its network, its loss and its measure, and nothing of searching or training. Images
come as bytes `[B, H, W, 3]` and are scaled here.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from dnas import runs
from dnas.cost import count
from dnas.data.source import ClassificationSource, DetectionSource, Source
from dnas.detection import assign, coco, draw, nms
from dnas.detection import loss as detection_loss
from dnas.errors import DnasError
from dnas.nn import network
from dnas.nn import yolo_nas as yolo
from dnas.nn.detector import Detector
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space.space import SearchSpace

Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]
Result = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]  # a batch and its outputs


@dataclasses.dataclass(frozen=True)
class Task:
  """A task as functions.

  Attributes:
    build: (space, rngs, search=None, supernet=PLAIN) -> network; see `nn.network.Backbone`.
    forward: (network, weights, images, mode) -> what the network itself puts out, for counting.
    loss: (network, weights, batch, mode) -> (scalar, metrics); `weights` are the mixing weights of
      the searched cells, `{}` for a genotype.
    predict: (network, weights, batch) -> arrays `[B, ...]`, jitted by the caller.
    measure: (source, [(batch, outputs), ...], folder) -> the numbers by which results are compared;
      what people want to look at (predictions, pictures) goes into the folder.
    headline: the name of the number that counts most.
    image: height and width of the network's input.
  """

  build: Callable[..., nnx.Module]
  forward: Callable[[Any, network.Weights, jax.Array, Mode], Any]
  loss: Callable[[Any, network.Weights, Batch, Mode], tuple[jax.Array, Metrics]]
  predict: Callable[[Any, network.Weights, Batch], Mapping[str, jax.Array]]
  measure: Callable[[Source, Iterable[Result], pathlib.Path], dict[str, Any]]
  headline: str
  image: tuple[int, int]


def cost(task: Task, genotype: SearchSpace) -> count.Cost:
  """Exact parameters and MACs of a genotype's network on one image, without running it."""
  call = lambda model, images: task.forward(model, {}, images, Mode())
  return count.count(task.build(genotype, Rngs(None)), call, (*task.image, 3))


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

  def build(space, rngs, search: bool | None = None, supernet: Supernet = PLAIN):
    with_head = auxiliary > 0 and space.is_genotype and not search
    return network.Network(
      space, classes, search=search, auxiliary=with_head, supernet=supernet, rngs=rngs
    )

  def forward(model: network.Network, weights: network.Weights, images: jax.Array, mode: Mode):
    return model(network.image_to_float(images), weights, mode)

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

  def predict(model: network.Network, weights: network.Weights, batch: Batch):
    logits, _ = forward(model, weights, batch["image"], Mode())
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

  return Task(build, forward, loss, predict, measure, "accuracy", image)


def detection(
  source: Source,
  image: tuple[int, int],
  *,
  strides: Sequence[int] = (8, 16, 32),
  neck_channels: int = 64,
  path: str = "fpn",
  head_convs: int = 1,
  reg_max: int = 16,
  assigner: detection_loss.Assigner = assign.task_aligned,
  classification_loss: str = "varifocal",
  box_similarity: str = "giou",
  class_weight: float = 1.0,
  iou_weight: float = 2.5,
  dfl_weight: float = 0.5,
  score_threshold: float = 0.01,
  iou_threshold: float = 0.7,
  max_detections: int = 100,
) -> Task:
  """Object detection on boxes: PP-YOLOE's loss, COCO's twelve statistics.

  Args:
    source: gives the classes.
    image: height and width of the network's input.
    strides: feature maps that the neck takes, each twice the one before.
    neck_channels: width of neck and head.
    path: "fpn" or "pan", see `nn.neck.Neck`.
    head_convs: 3x3 convolutions per branch of the head.
    reg_max: largest distance from a point to a box side, in strides.
    assigner: in a config by its path, `dict(name="dnas.detection.assign.atss", top_k=9)`.
    classification_loss, box_similarity: names, see `detection.loss.detection_loss`.
    class_weight, iou_weight, dfl_weight: of the three terms of the loss.
    score_threshold, iou_threshold, max_detections: of the suppression when measuring.

  Raises:
    DnasError: the source is none for detection.
  """

  def build(space, rngs, search: bool | None = None, supernet: Supernet = PLAIN) -> Detector:
    return Detector(
      space,
      len(source.classes),
      strides=strides,
      neck_channels=neck_channels,
      path=path,
      head_convs=head_convs,
      reg_max=reg_max,
      search=search,
      supernet=supernet,
      rngs=rngs,
    )

  criterion = functools.partial(
    detection_loss.detection_loss,
    assigner=assigner,
    classification=classification_loss,
    box_similarity=box_similarity,
    class_weight=class_weight,
    iou_weight=iou_weight,
    dfl_weight=dfl_weight,
  )
  suppress = functools.partial(
    nms.nms,
    score_threshold=score_threshold,
    iou_threshold=iou_threshold,
    max_detections=max_detections,
  )
  return _on_boxes(source, image, build, network.image_to_float, criterion, suppress)


def yolo_nas(
  source: Source,
  image: tuple[int, int],
  *,
  assigner: detection_loss.Assigner = assign.task_aligned,
  classification_loss: str = "varifocal",
  box_similarity: str = "giou",
  class_weight: float = 1.0,
  iou_weight: float = 2.5,
  dfl_weight: float = 0.5,
  score_threshold: float = 0.01,
  iou_threshold: float = 0.7,
  max_detections: int = 300,
) -> Task:
  """Object detection by a network of YOLO-NAS' kind (`space.yolo_nas`), pixels in [0, 1].

  Args:
    source: gives the classes.
    image: height and width of the network's input, multiples of 32.
    assigner, classification_loss, box_similarity, class_weight, iou_weight, dfl_weight,
    score_threshold, iou_threshold, max_detections: as in `detection`.

  Raises:
    DnasError: the source is none for detection, or the network does not take such images.
  """
  yolo.check_size(*image)

  def build(space, rngs, search: bool | None = None, supernet: Supernet = PLAIN) -> yolo.YoloNas:
    return yolo.YoloNas(space, len(source.classes), search=search, supernet=supernet, rngs=rngs)

  criterion = functools.partial(
    detection_loss.detection_loss,
    assigner=assigner,
    classification=classification_loss,
    box_similarity=box_similarity,
    class_weight=class_weight,
    iou_weight=iou_weight,
    dfl_weight=dfl_weight,
  )
  suppress = functools.partial(
    nms.nms,
    score_threshold=score_threshold,
    iou_threshold=iou_threshold,
    max_detections=max_detections,
  )
  scaled = lambda images: images.astype(jnp.float32) / 255
  return _on_boxes(source, image, build, scaled, criterion, suppress)


def _on_boxes(
  source: Source,
  image: tuple[int, int],
  build: Callable[..., nnx.Module],
  scaled: Callable[[jax.Array], jax.Array],
  criterion: Callable[..., tuple[jax.Array, Metrics]],
  suppress: Callable[..., nms.Detections],
) -> Task:
  """A detection task around a network that gives `detection.loss.Predictions`.

  Args:
    source, image: as in `detection`.
    build: as `Task.build`.
    scaled: pixels in [0, 255] -> what the network takes.
    criterion: (predictions, targets) -> (loss, its parts).
    suppress: (boxes, scores) -> detections.
  """
  if not isinstance(source, DetectionSource):
    raise DnasError(f"task detection: {source.name} is a data set for {source.task}")

  def forward(model: Any, weights: network.Weights, images: jax.Array, mode: Mode):
    return model(scaled(images), weights, mode)

  def loss(model: Any, weights: network.Weights, batch: Batch, mode: Mode):
    predictions = forward(model, weights, batch["image"], mode)
    return criterion(predictions, assign.Targets(batch["boxes"], batch["labels"], batch["mask"]))

  def predict(model: Any, weights: network.Weights, batch: Batch):
    predictions = forward(model, weights, batch["image"], Mode())
    return suppress(*detection_loss.decode(predictions))._asdict()

  def measure(source: Source, results: Iterable[Result], folder: pathlib.Path) -> dict[str, Any]:
    assert isinstance(source, DetectionSource)
    truth = source.to_coco()
    categories = [category["id"] for category in truth["categories"]]
    rows, shown = [], []
    for batch, outputs in results:
      rows += coco.to_results(
        nms.Detections(*(jnp.asarray(outputs[name]) for name in nms.Detections._fields)),
        image_ids=batch["id"].tolist(),
        category_ids=categories,
        scale=batch["scale"],
        offset=batch["offset"],
        original_size=batch["original_size"],
        valid=batch["valid"],
      )
      shown += [
        _tile(batch, outputs, i) for i in np.flatnonzero(batch["valid"])[: _SHEET - len(shown)]
      ]
    runs.write(folder / "predictions.json", json.dumps(rows) + "\n")
    if runs.first():
      images, true, predicted = zip(*shown, strict=True)
      draw.sheet(images, true, predicted, source.classes, folder / "predictions.png", min_score=0.3)
    return coco.evaluate(truth, rows)

  return Task(build, forward, loss, predict, measure, "AP", image)


_SHEET = 16  # pictures on the sheet of predictions


def _tile(batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], i: int) -> tuple:
  """Picture i of a batch with what is in it and what was found, in px of the network's input."""
  mask, valid = batch["mask"][i], outputs["valid"][i]
  true = {"boxes": batch["boxes"][i][mask], "labels": batch["labels"][i][mask]}
  found = {name: outputs[name][i][valid] for name in ("boxes", "labels", "scores")}
  return batch["image"][i], true, found
