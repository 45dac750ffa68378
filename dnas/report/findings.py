# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network gets right and wrong on a split, from the `predictions.json` of its evaluation."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dnas import data
from dnas.config import Config
from dnas.data.source import ClassificationSource, DetectionSource
from dnas.detection import charts, curves
from dnas.files import json_of

_MAX_BYTES = 1 << 32  # As of COCO's own files: 100 boxes of each of 100,000 images.


def draw(config: Config, folder: pathlib.Path) -> dict[str, Figure]:
  """Pictures by name: the confusion matrix and, of a detector, precision over recall.

  Args:
    config: of the run; the split that it evaluates on is read again, its images are not.
    folder: of the training, with `predictions.json`.

  Raises:
    DnasError: the data are not there, or not those that were evaluated.
  """
  source = data.labelled(config.data.spec, config.evaluate.split)
  rows = json_of(folder / "predictions.json", _MAX_BYTES)
  if isinstance(source, DetectionSource):
    return _of_boxes(source, rows)
  assert isinstance(source, ClassificationSource)
  return {"confusion": charts.counts(_of_classes(source, rows), source.classes)}


def _of_classes(source: ClassificationSource, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
  """int [C, C]: rows predicted, columns true."""
  place = {int(k): i for i, k in enumerate(source.ids)}
  number = {name: c for c, name in enumerate(source.classes)}
  matrix = np.zeros((len(number), len(number)), np.int64)
  for row in rows:
    if row["id"] not in place or row["class"] not in number:
      raise data.DataError(f"{source.name} has no image {row['id']!r} or class {row['class']!r}")
    matrix[number[row["class"]], source.label(place[row["id"]])] += 1
  return matrix


def _of_boxes(source: DetectionSource, rows: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
  place = {int(k): i for i, k in enumerate(source.ids)}
  number = {k: c for c, k in enumerate(source.category_ids)}
  of_image: list[list[Mapping[str, Any]]] = [[] for _ in place]
  for row in rows:
    if row["image_id"] not in place or row["category_id"] not in number:
      raise data.DataError(f"{source.name} has no image {row['image_id']!r} or no such class")
    of_image[place[row["image_id"]]].append(row)
  found = [_arrays(one, number) for one in of_image]
  truth = [source.targets(i) for i in range(len(source))]
  box, matrix = curves.measure(found, truth, len(source.classes))
  return {
    "precision over recall": charts.precision_recall(box, source.classes),
    "confusion": charts.confusion(matrix, source.classes),
  }


def _arrays(rows: Sequence[Mapping[str, Any]], number: Mapping[int, int]) -> dict[str, np.ndarray]:
  """The detections of one image, best first: boxes [N, 4] xyxy, scores and labels [N]."""
  rows = sorted(rows, key=lambda row: -row["score"])
  boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
  boxes[:, 2:] += boxes[:, :2]
  return {
    "boxes": boxes,
    "scores": np.array([row["score"] for row in rows], np.float64),
    "labels": np.array([number[row["category_id"]] for row in rows], np.int64),
  }
