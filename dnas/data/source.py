# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What every data set looks like to the rest of the package, and how its faults are reported."""

import abc
import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dnas.data.images import Images
from dnas.errors import DnasError

_LONGEST = 800  # Characters of one fault.
_SHOWN = 20  # Faults listed one by one in a message; beyond that the number of the others.


class DataError(DnasError):
  """A data set cannot be used as it is; the message names each file, line or id that is wrong."""


class Report:
  """Counts what is wrong with a data set: fatal faults stop, harmless ones have been mended.

  Attributes:
    fatal: one line for each fault that stops, in the order found.
    mended: kind of fault -> how often it was met and mended.
    example: kind of fault -> where it was met first.
    skipped: (file, fault) of images that were left out because they cannot be decoded.
  """

  def __init__(self):
    self.fatal: list[str] = []
    self.mended: dict[str, int] = {}
    self.example: dict[str, str] = {}
    self.skipped: list[tuple[str, str]] = []

  def stop(self, where: object, fault: str) -> None:
    """Notes a fault that makes the data set unusable."""
    line = f"{where}: {fault}"  # Which may quote a file's longest field.
    self.fatal.append(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...")

  def mend(self, kind: str, where: object, count: int = 1) -> None:
    """Notes `count` faults of a kind that have been mended."""
    self.mended[kind] = self.mended.get(kind, 0) + count
    self.example.setdefault(kind, str(where))

  def skip(self, where: object, fault: str) -> None:
    """Notes an image that is left out."""
    self.skipped.append((str(where), fault))

  def check(self, name: str) -> None:
    """Ends the reading of `name`: raises everything fatal that was found as one error.

    Raises:
      DataError: if anything was noted by `stop`.
    """
    if not self.fatal:
      return
    lines = self.fatal[:_SHOWN]
    if (more := len(self.fatal) - _SHOWN) > 0:
      lines = [*lines, f"and {more} more"]
    if len(lines) == 1:
      raise DataError(f"{name}: {lines[0]}")
    raise DataError("\n  ".join([f"{name} has {len(self.fatal)} faults:", *lines]))

  def lines(self) -> list[str]:
    """One line for each kind of mended fault, `12 x box clipped to the image (first: ...)`."""
    lines = [
      f"{count} x {kind} (first: {self.example[kind]})" for kind, count in self.mended.items()
    ]
    return lines + [f"left out: {where}: {fault}" for where, fault in self.skipped]


@dataclasses.dataclass
class Annotations:
  """The boxes of all N images of a split, T in total; image i owns rows starts[i] to starts[i+1].

  Attributes:
    boxes: float32 [T, 4], (x1, y1, x2, y2) in px of the original image.
    labels: int32 [T], 0 to classes - 1.
    crowd: bool [T]: a region of many objects, never a training target.
    areas: float64 [T], px^2: of the object's outline where the data set knows it, or of the box.
    starts: int64 [N + 1].
  """

  boxes: np.ndarray
  labels: np.ndarray
  crowd: np.ndarray
  areas: np.ndarray
  starts: np.ndarray

  @classmethod
  def of(cls, per_image: Sequence[Sequence[tuple]]) -> "Annotations":
    """From one list per image of (x1, y1, x2, y2, label, crowd, area or None for the box's)."""
    rows = [row for image in per_image for row in image]
    boxes = np.asarray([row[:4] for row in rows], np.float64).reshape(-1, 4)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    given = np.asarray([np.nan if row[6] is None else row[6] for row in rows], np.float64)
    return cls(
      boxes=boxes.astype(np.float32),
      labels=np.asarray([row[4] for row in rows], np.int32),
      crowd=np.asarray([row[5] for row in rows], bool),
      areas=np.where(np.isnan(given), box_areas, given),
      starts=np.cumsum([0, *(len(image) for image in per_image)], dtype=np.int64),
    )

  def rows(self, i: int) -> slice:
    """The rows of image i."""
    return slice(int(self.starts[i]), int(self.starts[i + 1]))


class Source(abc.ABC):
  """A split of a data set with random access: `source[i]` is example i as a dict.

  Attributes:
    name: what it is, for messages: `SPEC [split]`.
    task: "detection" or "classification".
    classes: the class names, in the order of the labels.
    ids: int64 [N], what stands for an image in COCO results; unique.
    images: decodes image i, whole or reduced, and keeps small data sets in memory.
    report: the faults that were found and mended.
  """

  task: str

  def __init__(
    self,
    name: str,
    classes: Sequence[str],
    ids: Sequence[int],
    images: Images,
    report: Report | None = None,
  ):
    self.name = name
    self.classes = tuple(classes)
    self.ids = np.asarray(ids, np.int64)
    self.images = images
    self.report = report or Report()
    if not self.classes:
      raise DataError(f"{name} has no classes: a data set needs at least one")
    if len(set(self.classes)) < len(self.classes):
      twice = collections.Counter(self.classes).most_common(1)[0][0]
      raise DataError(f"{name}: two classes are named {twice!r}; names are unique")
    if not len(self.ids):
      raise DataError(f"{name} is empty: it has no images")

  def __len__(self) -> int:
    return len(self.ids)

  def __repr__(self) -> str:
    return f"<{self.task} {self.name}: {len(self)} images, {len(self.classes)} classes>"

  def _index(self, i: int) -> int:
    """`i` as an index from the front; IndexError ends a `for` loop over the source."""
    if not -len(self) <= i < len(self):
      raise IndexError(f"{self.name} has images 0 to {len(self) - 1}, not {i}")
    return i % len(self)

  @abc.abstractmethod
  def __getitem__(self, i: int) -> dict[str, Any]: ...


def check_same_classes(names: Sequence[str], where: str, source: Source) -> None:
  """DataError unless `source` has the classes `names` of `where`: labels are places among them."""
  if tuple(names) == source.classes:
    return
  short = lambda several: ", ".join(several[:20]) + (" ..." if len(several) > 20 else "")
  raise DataError(
    f"{source.name} has the {len(source.classes)} classes {short(source.classes)}, but {where} has "
    f"the {len(names)} classes {short(names)}; they must be the same, in the same order"
  )


class DetectionSource(Source):
  """Images with boxes.

  `source[i]` is {"image": uint8 [H, W, 3] RGB, "boxes": float32 [N, 4] (x1, y1, x2, y2) in px,
  "labels": int32 [N], "crowd": bool [N], "id": int}.

  Attributes:
    annotations: the boxes of all images.
    sizes: int32 [N, 2], (height, width) of each original image in px.
    files: the file name of each image, for people; it may be "".
  """

  task = "detection"

  def __init__(
    self,
    name: str,
    classes: Sequence[str],
    ids: Sequence[int],
    images: Images,
    report: Report | None = None,
    *,
    annotations: Annotations,
    sizes: Sequence[tuple[int, int]] | np.ndarray,
    files: Sequence[str] = (),
    category_ids: Sequence[int] = (),
  ):
    super().__init__(name, classes, ids, images, report)
    self.annotations = annotations
    self.sizes = np.asarray(sizes, np.int32).reshape(-1, 2)
    self.files = tuple(files) or ("",) * len(self)
    self.category_ids = tuple(category_ids) or tuple(range(1, len(self.classes) + 1))

  def __getitem__(self, i: int) -> dict[str, Any]:
    i = self._index(i)
    rows, a = self.annotations.rows(i), self.annotations
    return {
      "image": self.images.read(i),
      "boxes": a.boxes[rows].copy(),
      "labels": a.labels[rows].copy(),
      "crowd": a.crowd[rows].copy(),
      "id": int(self.ids[i]),
    }

  def targets(self, i: int) -> dict[str, np.ndarray]:
    """The boxes and labels of image i that are to be found: all but crowd regions."""
    rows, a = self.annotations.rows(i), self.annotations
    single = ~a.crowd[rows]
    return {"boxes": a.boxes[rows][single], "labels": a.labels[rows][single]}

  @property
  def max_boxes(self) -> int:
    """The most boxes (crowd regions aside) that one image has."""
    a = self.annotations
    kept = np.concatenate([[0], np.cumsum(~a.crowd)])
    return int(np.max(kept[a.starts[1:]] - kept[a.starts[:-1]], initial=0))

  def to_coco(self) -> dict[str, list]:
    """The ground truth as a COCO dict: `images`, `annotations`, `categories`.

    Boxes are (x, y, width, height) in px of the original images. Category ids are those of the
    data set where it has any (COCO's have gaps), else label + 1: see `category_ids`.
    """
    images = [
      {"id": int(k), "width": int(w), "height": int(h), "file_name": file}
      for k, (h, w), file in zip(self.ids, self.sizes, self.files)
    ]
    categories = [{"id": k, "name": name} for k, name in zip(self.category_ids, self.classes)]
    a, annotations = self.annotations, []
    owner = np.repeat(self.ids, np.diff(a.starts))
    corners = a.boxes.astype(np.float64)
    for t, (x1, y1, x2, y2) in enumerate(corners.tolist()):
      annotations.append(
        {
          "id": t + 1,
          "image_id": int(owner[t]),
          "category_id": self.category_ids[int(a.labels[t])],
          "bbox": [x1, y1, x2 - x1, y2 - y1],
          "area": float(a.areas[t]),
          "iscrowd": int(a.crowd[t]),
        }
      )
    return {"images": images, "annotations": annotations, "categories": categories}


class ClassificationSource(Source):
  """Images with one label each.

  `source[i]` is {"image": uint8 [H, W, 3] RGB, "label": int, "id": int}.

  Attributes:
    labels: int32 [N].
  """

  task = "classification"

  def __init__(
    self,
    name: str,
    classes: Sequence[str],
    ids: Sequence[int],
    images: Images,
    report: Report | None = None,
    *,
    labels: Sequence[int] | np.ndarray,
  ):
    super().__init__(name, classes, ids, images, report)
    self.labels = np.asarray(labels, np.int32)

  def __getitem__(self, i: int) -> dict[str, Any]:
    i = self._index(i)
    return {"image": self.images.read(i), "label": self.label(i), "id": int(self.ids[i])}

  def label(self, i: int) -> int:
    """The label of image i."""
    return int(self.labels[i])
