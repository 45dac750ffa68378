# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Measuring a detector on a split of any data set: figures, pictures of them, and its speed."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from dnas import data, files, terminal
from dnas.data.letterbox import reduction_for
from dnas.data.part import part_of
from dnas.data.source import DataError, DetectionSource
from dnas.detection import coco, curves, draw
from dnas.detection.thresholds import PREDICTION, Thresholds
from dnas.errors import DnasError
from dnas.loaded import Loaded, Size
from dnas.predict import Found, Job, Programs, canvas_of, stream

_SHEET, _TILE_PX = 9, 560  # pictures on the sheet of predictions, and their longer side


@dataclasses.dataclass(frozen=True, eq=False)
class Metrics:
  """What a detector reaches on a split.

  Attributes:
    box: the figures of the YOLO tools (`detection.curves`): `.map`, `.map50`, `.map75`, `.maps`,
      `.mp`, `.mr`.
    coco: COCO's twelve statistics and `per_class`, exactly those of pycocotools
      (`detection.coco`): `coco["AP"]`.
    confusion: int `[C + 1, C + 1]`, see `detection.curves.confusion`.
    names: of the data set's classes.
    images: how many were measured.
    skipped: (file, why) of those that could not be decoded.
    speed: ms per image for `preprocess`, `inference` and `postprocess`; compiling is not in it.
    compile_s: what compiling took, in all.
    shapes: how many shapes of batches the network was compiled for.
    folder: where the pictures and `metrics.json` are; None: nowhere.
  """

  box: curves.Box
  coco: dict[str, Any]
  confusion: np.ndarray
  names: tuple[str, ...]
  images: int
  skipped: tuple[tuple[str, str], ...]
  speed: dict[str, float]
  compile_s: float
  shapes: int
  folder: pathlib.Path | None

  @property
  def results_dict(self) -> dict[str, float]:
    """The four figures by the names that the YOLO tools give them."""
    return {
      "metrics/precision(B)": self.box.mp,
      "metrics/recall(B)": self.box.mr,
      "metrics/mAP50(B)": self.box.map50,
      "metrics/mAP50-95(B)": self.box.map,
    }

  def per_class(self) -> list[dict[str, Any]]:
    """A row for each class that has objects."""
    box = self.box
    return [
      {
        "name": self.names[label],
        "objects": int(box.objects[k]),
        "precision": float(box.p[k]),
        "recall": float(box.r[k]),
        "mAP50": float(box.ap[k, 0]),
        "mAP50-95": float(box.ap[k].mean()),
        "COCO AP": self.coco["per_class"][self.names[label]],
      }
      for k, label in enumerate(box.classes)
    ]

  def to_dict(self) -> dict[str, Any]:
    """The same as a JSON object."""
    return {
      **self.results_dict,
      "coco": self.coco,
      "per_class": self.per_class(),
      "confusion": self.confusion.tolist(),
      "images": self.images,
      "skipped": [{"file": name, "reason": why} for name, why in self.skipped],
      "speed_ms": self.speed,
      "compile_s": self.compile_s,
      "shapes": self.shapes,
    }

  def page(self) -> Group:
    """A page for the terminal."""
    columns = ("objects", "precision", "recall", "mAP50", "mAP50-95", "COCO AP")
    everything = {
      "name": f"all ({self.images} images)",
      "objects": int(self.box.objects.sum()),
      "precision": self.box.mp,
      "recall": self.box.mr,
      "mAP50": self.box.map50,
      "mAP50-95": self.box.map,
      "COCO AP": self.coco["AP"],
    }
    rows = [(row["name"], *map(row.get, columns)) for row in (everything, *self.per_class())]
    speed = ", ".join(f"{ms:.1f} ms {what}" for what, ms in self.speed.items())
    shapes = f"{self.shapes} shape" + "s" * (self.shapes != 1)
    text = f"per image: {speed}; {shapes} compiled in {self.compile_s:.1f} s"
    return Group(terminal.table(("class", *columns), rows), Text(text))


def validate(
  programs: Programs,
  spec: str,
  split: str | None = "val",
  *,
  size: Size = None,
  batch: int = 16,
  thresholds: Thresholds | None = None,
  rect: bool = False,
  folder: pathlib.Path | None = None,
) -> Metrics:
  """Measures a detector on a split.

  Args:
    programs: of the detector.
    spec: of the data set, see `dnas.data.load`.
    split: "val", "test", "train", ...; None: the only one, of COCO files without {split}.
    size: of the network's input, see `Loaded.check_image`.
    batch: images that go through the network together.
    thresholds: of suppression; None: the detector's own.
    rect: see `predict.stream`.
    folder: gets `precision_recall.png`, `confusion_matrix.png`, `predictions.png` (9 pictures with
      true and predicted boxes), `predictions.json` (COCO's result list) and `metrics.json`.

  Raises:
    DnasError: the data set is wrong, or its classes are not the detector's.
  """
  loaded = programs.loaded
  source = data.labelled(spec, split, skip_broken=True)
  if not isinstance(source, DetectionSource):
    raise DataError(f"{source.name} is a data set for {source.task}; detectors need boxes")
  label_of = match_classes(loaded, source)
  jobs = _jobs(source, loaded, loaded.check_image(size), rect)
  seen = dict(programs.compile_s)
  options: dict[str, Any] = dict(size=size, batch=batch, rect=rect)
  options["thresholds"] = loaded.found if thresholds is None else thresholds
  seen_by = stream(programs, jobs, wanted=label_of >= 0, **options)
  found = [dataclasses.replace(one, labels=label_of[one.labels]) for one in seen_by]
  found.sort(key=lambda one: one.key)
  skipped = list(source.report.skipped)
  skipped += [(source.images.name(one.key), one.fault) for one in found if one.fault]
  good = [one for one in found if one.fault is None]
  if not good:
    raise DataError(f"{source.name}: none of its images can be decoded; first: {skipped[0][1]}")
  if not any(len(source.targets(one.key)["labels"]) for one in good):
    raise DataError(f"{source.name}: no image with an object can be decoded; {skipped[0][1]}")
  new = {key: s for key, s in programs.compile_s.items() if key not in seen}
  speed = {part: float(np.mean([one.speed[part] for one in good])) for part in good[0].speed}
  metrics = _measure(source, good, folder, skipped)
  shapes = sum(key[0] == "boxes" for key in new)
  metrics = dataclasses.replace(metrics, speed=speed, compile_s=sum(new.values()), shapes=shapes)
  if folder is not None:
    files.atomic_write(folder / "metrics.json", json.dumps(metrics.to_dict(), indent=2) + "\n")
  return metrics


def match_classes(loaded: Loaded, source: DetectionSource) -> np.ndarray:
  """The data set's label of each class of the detector, -1: none; int `[C]`.

  By name where the detector knows every class of the data set; otherwise by place, for which their
  numbers have to be equal, and no name may stand in two places.

  Raises:
    DnasError: neither.
  """
  have, wanted = loaded.classes, source.classes
  if set(wanted) <= set(have):
    return np.asarray([wanted.index(name) if name in wanted else -1 for name in have])
  moved = [name for k, name in enumerate(wanted) if name in have and have.index(name) != k]
  if len(have) == len(wanted) and not moved:
    return np.arange(len(have))
  unknown = [name for name in wanted if name not in have]
  raise DnasError(
    f"{source.name} has {len(wanted)} classes, {loaded.name} has {len(have)}, and does not know "
    f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}: train it on them "
    "(model.train), or name the classes alike"
  )


def _jobs(
  source: DetectionSource, loaded: Loaded, size: tuple[int, int], rect: bool
) -> Iterator[Job[int]]:
  """The images of a split, those of one canvas after each other."""
  sizes = [(int(h), int(w)) for h, w in source.sizes]
  order: Sequence[int] = range(len(source))
  if rect:
    order = sorted(order, key=lambda i: (canvas_of(loaded, sizes[i], size), i))

  def reader(i: int):
    def read(content: tuple[int, int]):
      wanted = reduction_for(sizes[i], content, loaded.interpolation)
      return *source.images.reduced(i, wanted), sizes[i]

    return read

  return (Job(i, reader(i)) for i in order)


def _measure(
  source: DetectionSource,
  found: Sequence[Found[int]],
  folder: pathlib.Path | None,
  skipped: Sequence[tuple[str, str]],
) -> Metrics:
  """Figures of what was found on images of a split; the pictures of them in `folder`."""
  truth = part_of(source, np.array([one.key for one in found]))
  assert isinstance(truth, DetectionSource)
  truths = [truth.targets(i) for i in range(len(truth))]
  seen = [{"boxes": f.boxes, "labels": f.labels, "scores": f.scores} for f in found]
  box, matrix = curves.measure(seen, truths, len(source.classes))
  rows = []
  for image_id, f in zip(truth.ids.tolist(), found, strict=True):
    rows += coco.results_of(image_id, f.boxes, f.scores, f.labels, source.category_ids)
  exact = coco.evaluate(truth.to_coco(), rows)
  if folder is not None:
    from dnas import figures  # Half a second of matplotlib, for pictures only.
    from dnas.detection import charts

    names = source.classes
    figures.save(charts.precision_recall(box, names), folder / "precision_recall.png")
    figures.save(charts.confusion(matrix, names), folder / "confusion_matrix.png")
    files.atomic_write(folder / "predictions.json", json.dumps(rows) + "\n")
    draw.sheet(
      [source.images.read(one.key) for one in found[:_SHEET]],
      truths[:_SHEET],
      seen[:_SHEET],
      source.classes,
      folder / "predictions.png",
      min_score=PREDICTION.score,
      tile_px=_TILE_PX,
    )
  return Metrics(box, exact, matrix, source.classes, len(found), tuple(skipped), {}, 0.0, 0, folder)
