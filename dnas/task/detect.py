# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Object detection as a task, by networks of several kinds."""

import functools
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dnas import runs
from dnas.data.letterbox import to_image
from dnas.data.source import DetectionSource, Source
from dnas.detection import anchor_loss, assign, coco, draw, nms
from dnas.detection import loss as detection_loss
from dnas.detection.thresholds import VALIDATION, Thresholds
from dnas.errors import DnasError, choose_from
from dnas.nn import efficientdet as effdet
from dnas.nn import network
from dnas.nn import yolo_nas as yolo
from dnas.nn.detector import Detector
from dnas.nn.mode import Mode
from dnas.nn.supernet import PLAIN, Supernet
from dnas.task.base import Batch, Metrics, Result, Task, computing


def detection(
  source: Source,
  size: tuple[int, int],
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
  score_threshold: float = VALIDATION.score,
  iou_threshold: float = VALIDATION.iou,
  max_detections: int = 100,
  dtype: str = "float32",
) -> Task:
  """Object detection on boxes: PP-YOLOE's loss, COCO's twelve statistics.

  Args:
    source: gives the classes.
    size: height and width of the network's input.
    strides: feature maps that the neck takes, each twice the one before.
    neck_channels: width of neck and head.
    path: "fpn" or "pan", see `nn.neck.Neck`.
    head_convs: 3x3 convolutions per branch of the head.
    reg_max: largest distance from a point to a box side, in strides.
    assigner: in a config by its path, `dict(name="dnas.detection.assign.atss", top_k=9)`.
    classification_loss, box_similarity: names, see `detection.loss.detection_loss`.
    class_weight, iou_weight, dfl_weight: of the three terms of the loss.
    score_threshold, iou_threshold, max_detections: of the suppression when measuring.
    dtype: of the layers' values, see `task.base.computing`.

  Raises:
    DnasError: the source is none for detection, a threshold is out of range, or a name is unknown.
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

  criterion = _points_loss(
    assigner, classification_loss, box_similarity, class_weight, iou_weight, dfl_weight
  )
  found = VALIDATION.of(score_threshold, iou_threshold, max_detections).check()
  scaled = computing(dtype, network.image_to_float)
  return _on_boxes(source, size, build, scaled, criterion, found, _of_points)


def yolo_nas(
  source: Source,
  size: tuple[int, int],
  *,
  assigner: detection_loss.Assigner = assign.task_aligned,
  classification_loss: str = "varifocal",
  box_similarity: str = "giou",
  class_weight: float = 1.0,
  iou_weight: float = 2.5,
  dfl_weight: float = 0.5,
  score_threshold: float = VALIDATION.score,
  iou_threshold: float = VALIDATION.iou,
  max_detections: int = VALIDATION.max_detections,
  dtype: str = "float32",
) -> Task:
  """Object detection by a network of YOLO-NAS' kind (`space.yolo_nas`), pixels in [0, 1].

  Args:
    source: gives the classes.
    size: height and width of the network's input, multiples of 32.
    assigner, classification_loss, box_similarity, class_weight, iou_weight, dfl_weight,
    score_threshold, iou_threshold, max_detections, dtype: as in `detection`.

  Raises:
    DnasError: the source is none for detection, a threshold is out of range, a name is unknown, or
      the network does not take such images.
  """
  yolo.check_size(*size)

  def build(space, rngs, search: bool | None = None, supernet: Supernet = PLAIN) -> yolo.YoloNas:
    return yolo.YoloNas(space, len(source.classes), search=search, supernet=supernet, rngs=rngs)

  criterion = _points_loss(
    assigner, classification_loss, box_similarity, class_weight, iou_weight, dfl_weight
  )
  found = VALIDATION.of(score_threshold, iou_threshold, max_detections).check()
  scaled = computing(dtype, lambda images: images.astype(jnp.float32) / 255)
  return _on_boxes(source, size, build, scaled, criterion, found, _of_points)


def efficientdet(
  source: Source,
  size: tuple[int, int],
  *,
  width: int = 64,
  depth: int = 3,
  head_depth: int = 3,
  weighted: bool = True,
  alpha: float = 0.25,
  gamma: float = 1.5,
  box_weight: float = 50.0,
  score_threshold: float = VALIDATION.score,
  iou_threshold: float = 0.5,
  max_detections: int = 100,
  dtype: str = "float32",
) -> Task:
  """Object detection by EfficientDet around the backbone that a genotype describes.

  Args:
    source: gives the classes.
    size: height and width of the network's input, multiples of 128.
    width, depth, head_depth, weighted: see `nn.efficientdet.Size`; by default D0's.
    alpha, gamma, box_weight: of the loss, see `detection.anchor_loss`.
    score_threshold, iou_threshold, max_detections: of the suppression when measuring.
    dtype: as in `detection`.

  Raises:
    DnasError: the source is none for detection, a threshold is out of range, or the network does
      not take such images.
  """
  anchors = effdet.anchors(*size)

  def build(
    space, rngs, search: bool | None = None, supernet: Supernet = PLAIN
  ) -> effdet.EfficientDet:
    if search or not space.is_genotype or supernet != PLAIN:
      raise DnasError("task efficientdet: trains genotypes; search with the task `detection`")
    sizes = dict(width=width, depth=depth, head_depth=head_depth)
    return effdet.EfficientDet(space, len(source.classes), **sizes, weighted=weighted, rngs=rngs)

  def criterion(outputs: effdet.Outputs, targets: assign.Targets):
    return anchor_loss.anchor_loss(
      *outputs, anchors, targets, alpha=alpha, gamma=gamma, box_weight=box_weight
    )

  def decode(outputs: effdet.Outputs, size: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    return effdet.decode(outputs.deltas, effdet.anchors(*size)), jax.nn.sigmoid(outputs.logits)

  found = VALIDATION.of(score_threshold, iou_threshold, max_detections).check()
  standard = lambda images: (images.astype(jnp.float32) / 255 - _IMAGENET_MEAN) / _IMAGENET_STD
  scaled = computing(dtype, standard)
  return _on_boxes(source, size, build, scaled, criterion, found, decode)


# Of R, G and B over ImageNet's training images, as published backbones expect them.
_IMAGENET_MEAN = np.asarray([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.asarray([0.229, 0.224, 0.225], np.float32)


def _points_loss(
  assigner: detection_loss.Assigner,
  classification: str,
  box_similarity: str,
  class_weight: float,
  iou_weight: float,
  dfl_weight: float,
) -> Callable[..., tuple[jax.Array, Metrics]]:
  """`detection_loss` with these arguments; DnasError for a name that it does not know."""
  known = detection_loss.CLASSIFICATIONS
  if classification not in known:
    raise DnasError(choose_from("config.task.classification_loss:", classification, known))
  known = detection_loss.BOX_SIMILARITIES
  if box_similarity not in known:
    raise DnasError(choose_from("config.task.box_similarity:", box_similarity, known))
  return functools.partial(
    detection_loss.detection_loss,
    assigner=assigner,
    classification=classification,
    box_similarity=box_similarity,
    class_weight=class_weight,
    iou_weight=iou_weight,
    dfl_weight=dfl_weight,
  )


def _of_points(
  predictions: detection_loss.Predictions, size: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
  """Boxes and scores of predictions that bring their own points, whatever the image's size."""
  return detection_loss.decode(predictions)


def _on_boxes(
  source: Source,
  size: tuple[int, int],
  build: Callable[..., nnx.Module],
  scaled: Callable[[jax.Array], jax.Array],
  criterion: Callable[..., tuple[jax.Array, Metrics]],
  found: Thresholds,
  decode: Callable[[Any, tuple[int, int]], tuple[jax.Array, jax.Array]],
) -> Task:
  """A detection task around a network.

  Args:
    source, size: as in `detection`.
    build: as `Task.build`.
    scaled: pixels in [0, 255] -> what the network takes.
    criterion: (what the network gives, targets) -> (loss, its parts).
    found: what counts as found when measuring.
    decode: (what the network gives, (H, W) of its images) -> what `Task.boxes` gives.
  """
  if not isinstance(source, DetectionSource):
    raise DnasError(f"{source.name} is a data set for {source.task}; detectors need boxes")

  def forward(model: Any, weights: network.Weights, images: jax.Array, mode: Mode):
    return model(scaled(images), weights, mode)

  def loss(model: Any, weights: network.Weights, batch: Batch, mode: Mode):
    predictions = forward(model, weights, batch["image"], mode)
    return criterion(predictions, assign.Targets(batch["boxes"], batch["labels"], batch["mask"]))

  def boxes(model: Any, images: jax.Array):
    return decode(forward(model, {}, images, Mode()), (images.shape[1], images.shape[2]))

  def predict(model: Any, images: jax.Array):
    return nms.nms(*boxes(model, images), found)._asdict()

  def measure(source: Source, results: Iterable[Result], folder: pathlib.Path) -> dict[str, Any]:
    assert isinstance(source, DetectionSource)
    rows, shown = [], []
    for batch, outputs in results:
      examples = np.flatnonzero(batch["valid"]).tolist()
      for i in examples:
        there = _on_image(batch, outputs, i)
        rows += coco.results_of(int(batch["id"][i]), *there, source.category_ids)
      shown += [_tile(batch, outputs, i) for i in examples[: _SHEET - len(shown)]]
    runs.write(folder / "predictions.json", json.dumps(rows) + "\n")
    if runs.first():
      images, true, predicted = zip(*shown, strict=True)
      draw.sheet(images, true, predicted, source.classes, folder / "predictions.png", min_score=0.3)
    return coco.evaluate(source.to_coco(), rows)

  return Task(build, forward, loss, predict, measure, "AP", size, boxes, found)


_SHEET = 16  # pictures on the sheet of predictions


def _on_image(
  batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], i: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Boxes, scores and labels of what was found on picture i of a batch, in px of the original."""
  place = (batch[name][i] for name in ("scale", "offset", "original"))
  boxes, inside = to_image(outputs["boxes"][i], *place)
  keep = outputs["valid"][i] & inside
  return boxes[keep], outputs["scores"][i][keep], outputs["labels"][i][keep]


def _tile(batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], i: int) -> tuple:
  """Picture i of a batch with what is in it and what was found, in px of the network's input."""
  mask, valid = batch["mask"][i], outputs["valid"][i]
  true = {"boxes": batch["boxes"][i][mask], "labels": batch["labels"][i][mask]}
  found = {name: outputs[name][i][valid] for name in ("boxes", "labels", "scores")}
  return batch["image"][i], true, found
