# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What was found on pictures: boxes, scores and names, to be drawn, listed and saved."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from dnas.detection import coco, draw
from dnas.errors import DnasError


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """What was found on one picture, best first.

  Attributes:
    source: the picture's name.
    stem: of the file that `save` writes by default.
    size: height and width of the picture in px.
    boxes: float32 `[N, 4]` xyxy, px of the picture.
    scores: float32 `[N]` in [0, 1].
    labels: int32 `[N]`.
    names: of all classes.
    speed: ms for `preprocess`, `inference` and `postprocess` of this picture; where several went
      through the network together, its share.
    read: gives the pixels, uint8 `[H, W, 3]` RGB.
  """

  source: str
  stem: str
  size: tuple[int, int]
  boxes: np.ndarray
  scores: np.ndarray
  labels: np.ndarray
  names: tuple[str, ...]
  speed: Mapping[str, float]
  read: Callable[[], np.ndarray] = dataclasses.field(repr=False)

  def __len__(self) -> int:
    return len(self.labels)

  def __str__(self) -> str:
    counts = collections.Counter(self.names[label] for label in self.labels.tolist())
    found = ", ".join(f"{n} {name}" for name, n in counts.most_common()) or "nothing found"
    return f"{self.source}: {self.size[1]} x {self.size[0]} px, {found}"

  def save(self, path: str | os.PathLike | None = None) -> pathlib.Path:
    """Draws the boxes into the picture and writes it.

    Args:
      path: a file, or a folder (it exists, or has no suffix), where it is called `STEM.png`;
        default: the folder `predictions`.

    Returns:
      The file.
    """
    path = pathlib.Path(path if path is not None else "predictions")
    if path.is_dir() or not path.suffix:
      path = path / f"{self.stem}.png"
    found = {"boxes": self.boxes, "labels": self.labels, "scores": self.scores}
    return draw.picture(self.read(), found, self.names, path)

  def to_coco(
    self, image_id: int = 1, category_ids: Sequence[int] | None = None
  ) -> list[dict[str, Any]]:
    """Rows of COCO's result list: `image_id`, `category_id`, `bbox` (x, y, w, h) and `score`.

    Args:
      image_id: of this picture.
      category_ids: of each class; default: label + 1.
    """
    ids = range(1, len(self.names) + 1) if category_ids is None else category_ids
    return coco.results_of(image_id, self.boxes, self.scores, self.labels, ids)

  def to_dict(self) -> dict[str, Any]:
    """The same as a JSON object."""
    rows = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist())
    return {
      "source": self.source,
      "height": self.size[0],
      "width": self.size[1],
      "speed_ms": dict(self.speed),
      "detections": [
        {"name": self.names[label], "label": label, "score": score, "box": box}
        for box, score, label in rows
      ],
    }


def numbered(stem: str, seen: set[str]) -> str:
  """A file name for a stem that is not in `seen`, where it is put: a, a_2, a_3 and so on."""
  name, n = stem, 1
  while name in seen:
    n += 1
    name = f"{stem}_{n}"
  seen.add(name)
  return f"{name}.png"


class Results(Sequence[Result]):
  """The results of several pictures in order; those of one also by `.boxes`, `.scores`, `.labels`.

  Attributes:
    names: of all classes.
    skipped: (picture, why) of those that could not be decoded.
    numbers: of the pictures among all that were given, from 1.
  """

  def __init__(
    self,
    results: Sequence[Result],
    names: Sequence[str],
    skipped: Sequence[tuple[str, str]] = (),
    numbers: Sequence[int] | None = None,
  ):
    self._results = list(results)
    self.names = tuple(names)
    self.skipped = tuple(skipped)
    self.numbers = tuple(range(1, len(results) + 1) if numbers is None else numbers)

  def __len__(self) -> int:
    return len(self._results)

  @overload
  def __getitem__(self, index: int) -> Result: ...
  @overload
  def __getitem__(self, index: slice) -> "Results": ...
  def __getitem__(self, index: int | slice) -> "Result | Results":
    if isinstance(index, slice):
      return Results(self._results[index], self.names, self.skipped, self.numbers[index])
    return self._results[index]

  def __iter__(self) -> Iterator[Result]:
    return iter(self._results)

  def __str__(self) -> str:
    return "\n".join(map(str, self._results))

  def _only(self) -> Result:
    if len(self) != 1:
      raise DnasError(f"these are results of {len(self)} pictures; choose one, results[0]")
    return self._results[0]

  @property
  def boxes(self) -> np.ndarray:
    """Of the only picture: `Result.boxes`."""
    return self._only().boxes

  @property
  def scores(self) -> np.ndarray:
    """Of the only picture: `Result.scores`."""
    return self._only().scores

  @property
  def labels(self) -> np.ndarray:
    """Of the only picture: `Result.labels`."""
    return self._only().labels

  def save(self, path: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """Draws every picture.

    Args:
      path: a folder; for one picture also a file. Default: `predictions`. Pictures of one stem are
        told apart by a number.

    Returns:
      The files.
    """
    if len(self) == 1:
      return [self._results[0].save(path)]
    folder = pathlib.Path(path if path is not None else "predictions")
    if folder.suffix and not folder.is_dir():
      raise DnasError(f"{folder} is one file for {len(self)} pictures; name a folder")
    seen: set[str] = set()
    return [result.save(folder / numbered(result.stem, seen)) for result in self._results]

  def to_coco(self, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """COCO's result list; the `image_id` of a picture is its number (`numbers`)."""
    pairs = zip(self.numbers, self._results, strict=True)
    return [row for number, result in pairs for row in result.to_coco(number, category_ids)]

  def to_dict(self) -> dict[str, Any]:
    """The same as a JSON object."""
    return {
      "results": [result.to_dict() for result in self._results],
      "skipped": [{"source": name, "reason": why} for name, why in self.skipped],
    }
