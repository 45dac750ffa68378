# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO data files: `yolo:FILE.yaml`.

    path: where images and labels lie; relative to this file (or to the working folder)
    train: images/train          # a folder, a .txt list of images, or several of these
    val: images/val
    test: images/test            # optional
    names: [cat, dog]            # or {0: cat, 1: dog}; or `nc: 2` for classes without names

The labels of `.../images/a/7.jpg` are in `.../labels/a/7.txt` (the last `/images/` counts), one
row `class cx cy w h` for each box, in parts of the image's width and height; longer rows are
polygons, of which the box is taken. No file, or an empty one: a background image. Roboflow writes
`../train/images` for what lies beside its file: where the former is missing the latter is taken.
`download` is never followed.
"""

import math
import pathlib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from dnas.data.checks import fit_box, pick_split
from dnas.data.image_files import SUFFIXES, file_images, images_in, inspect
from dnas.data.source import Annotations, DataError, DetectionSource, Report
from dnas.files import text_of

_SPLITS = ("train", "val", "validation", "valid", "dev", "test")
_MAX_CLASSES = 100_000
_SLACK = 0.1  # Coordinates this far outside [0, 1] are clipped; beyond that they are no parts.
# Values in messages. What names itself ten times on ten levels is short in YAML, endless in words.
_REPR = reprlib.Repr()
_REPR.maxlevel = 2
_short = _REPR.repr


def load(
  file: str | pathlib.Path,
  split: str = "train",
  *,
  memory_mib: float = 512.0,
  decode_all: bool | None = None,
  skip_broken: bool = False,
) -> DetectionSource:
  """A split of a YOLO data set.

  Args:
    file: the YAML file.
    split: "train", "val" (or "validation"), "test".
    memory_mib: see `dnas.data.images.Images`.
    decode_all: decode each image before training; see `dnas.data.image_files.inspect`.
    skip_broken: leave out images that cannot be decoded; see `dnas.data.image_files.inspect`.

  Raises:
    DataError: with everything that is wrong.
  """
  file = pathlib.Path(file)
  spec = f"yolo:{file}"
  data = _read(file)
  classes = _classes(data, file)
  split = pick_split(split, [s for s in _SPLITS if data.get(s)], spec)
  name = f"{spec} [{split}]"
  report = Report()
  try:
    paths = _list_images(data[split], _root(data, file), split, report)
  except (OSError, ValueError, RuntimeError) as error:
    if isinstance(error, DataError):
      raise
    # A name that no file can have: too long, with a zero byte, or the home of an unknown user.
    raise DataError(f"{file}: {' '.join(str(error).split())[:200]}") from error
  report.check(name)
  if not paths:
    raise DataError(
      f"{name} is empty: {_short(data[split])} holds no images ({', '.join(SUFFIXES)})"
    )
  infos = inspect(paths, report, decode_all, skip_broken)
  left_out = {where for where, _ in report.skipped}
  used = [(path, info) for path, info in zip(paths, infos) if str(path) not in left_out]
  paths = [path for path, _ in used]
  sizes = [info.upright if info else (1, 1) for _, info in used]
  labels = [label_file(path) for path in paths]
  if len(paths) > 1 and not any(p.exists() for p in labels):
    report.stop(labels[0], f"missing, and so are the labels of all {len(paths)} images")
  per_image = [
    _rows(path, image, size, len(classes), report)
    for path, image, size in zip(labels, paths, sizes)
  ]
  report.check(name)
  return DetectionSource(
    name,
    classes,
    range(1, len(paths) + 1),
    file_images(paths, memory_mib),
    report,
    annotations=Annotations.of(per_image),
    sizes=sizes,
    files=[path.as_posix() for path in paths],
  )


def label_file(image: pathlib.Path) -> pathlib.Path:
  """Where the labels of an image are: last `/images/` -> `/labels/`, suffix -> `.txt`."""
  # The slash before: a relative path may begin with `images/`.
  before, found, after = f"/{image.as_posix()}".rpartition("/images/")
  path = pathlib.Path(f"{before}/labels/{after}"[1:]) if found else image
  return path.with_suffix(".txt")


def _read(file: pathlib.Path) -> dict[str, Any]:
  try:
    data = yaml.safe_load(text_of(file, kind=DataError))
  except DataError:
    raise
  except FileNotFoundError:
    raise DataError(f"{file} is missing: it should be a YOLO data file") from None
  except OSError as error:
    raise DataError(f"{file} cannot be read: {error.strerror}") from error
  # ValueError and what else: a tag or a date that Python's types refuse (2020-99-99, !!int x).
  except (
    yaml.YAMLError,
    RecursionError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
  ) as error:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1} column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or error
    raise DataError(f"{file} is not valid YAML: {line}{problem}") from error
  if not isinstance(data, dict):
    what = _short(data)
    raise DataError(f"{file} is {what}, not a mapping with 'path', 'train', 'val' and 'names'")
  return data


def _classes(data: Mapping[str, Any], file: pathlib.Path) -> list[str]:
  """The class names, from `names` (list or dict) or `nc`."""
  names, count = data.get("names"), data.get("nc")
  if count is not None and (type(count) is not int or not 1 <= count <= _MAX_CLASSES):
    raise DataError(
      f"{file}: nc = {_short(count)}; valid: the number of classes, 1 to {_MAX_CLASSES}"
    )
  if names is None:
    if count is None:
      raise DataError(f"{file} has neither 'names' nor 'nc'")
    return [f"class {k}" for k in range(count)]
  if isinstance(names, dict):
    if sorted(names, key=str) != sorted(range(len(names)), key=str):
      raise DataError(
        f"{file}: the keys of names are {_short(list(names))}; valid: 0 to {len(names) - 1}"
      )
    names = [names[k] for k in range(len(names))]
  if not isinstance(names, list) or not names:
    raise DataError(f"{file}: names = {_short(names)}; valid: a list or a dict of class names")
  if count is not None and count != len(names):
    raise DataError(f"{file}: nc = {count}, but names has {len(names)} entries")
  return [name if isinstance(name, str) else _short(name) for name in names]


def _root(data: Mapping[str, Any], file: pathlib.Path) -> pathlib.Path:
  """The folder that the paths of the splits start from."""
  given = data.get("path") or "."
  if not isinstance(given, str):
    raise DataError(f"{file}: path = {_short(given)}; valid: a folder")
  path = pathlib.Path(given).expanduser()
  tried = [file.parent / path, path, pathlib.Path("datasets") / path]
  for candidate in tried:
    if candidate.is_dir():
      return candidate
  raise DataError(
    f"{file}: path = {given!r} is no folder; tried {', '.join(dict.fromkeys(map(str, tried)))}"
  )


def _list_images(
  entry: object, root: pathlib.Path, split: str, report: Report
) -> list[pathlib.Path]:
  """The image files that one entry (a path or several) stands for."""
  entries = entry if isinstance(entry, list) else [entry]
  found: list[pathlib.Path] = []
  for one in entries:
    if not isinstance(one, str):
      report.stop(
        split, f"{_short(one)}; valid: a folder of images, a .txt list, or several of them"
      )
      continue
    path = root / pathlib.Path(one).expanduser()
    inside = root / one.removeprefix("../")
    if not path.exists() and inside.exists():
      report.mend("path that starts with ../ taken without it", one)
      path = inside
    if path.is_dir():
      found += images_in(path)
    elif path.is_file() and path.suffix == ".txt":
      found += _read_list(path, root, report)
    else:
      report.stop(path, "is neither a folder nor a .txt list" if path.exists() else "missing")
  unique = list(dict.fromkeys(found))
  if len(unique) < len(found):
    report.mend("image that is listed twice taken once", split, len(found) - len(unique))
  return unique


def _read_list(file: pathlib.Path, root: pathlib.Path, report: Report) -> list[pathlib.Path]:
  """The images of a .txt list; `./` is the list's folder, other paths start from the root."""
  try:
    lines = [line.strip() for line in text_of(file, 1 << 30, DataError).splitlines()]
  except (OSError, DataError) as error:
    report.stop(file, f"cannot be read: {error}")
    return []
  starts = [(line, file.parent if line.startswith("./") else root) for line in lines if line]
  return [start / line for line, start in starts]


def _rows(
  file: pathlib.Path,
  image: pathlib.Path,
  size: tuple[int, int],
  class_count: int,
  report: Report,
) -> list[tuple]:
  """The rows of one label file for `Annotations.of`."""
  try:
    lines = text_of(file, kind=DataError).splitlines()
  except FileNotFoundError:
    report.mend("image without a label file taken as background", image)
    return []
  except (OSError, DataError) as error:
    report.stop(file, f"cannot be read: {error}")
    return []
  rows, seen = [], set()
  for number, line in enumerate(lines, start=1):
    fields = line.split()
    if not fields:
      continue
    where = f"{file} line {number}"
    values = _values(fields, class_count, where, report)
    if values is None:
      continue
    if tuple(values) in seen:
      report.mend("row that stands twice in its file dropped", where)
      continue
    seen.add(tuple(values))
    height, width = size
    corners = np.asarray(_corners(values[1:])) * (width, height, width, height)
    box = fit_box(tuple(corners.tolist()), width, height, where, report)
    if box is not None:
      rows.append((*box, int(values[0]), False, None))
  return rows


def _values(
  fields: Sequence[str], class_count: int, where: str, report: Report
) -> list[float] | None:
  """The numbers of a row, checked; None, and a fatal fault in `report`, if it cannot be used."""
  if len(fields) < 5 or (len(fields) > 5 and (len(fields) < 7 or len(fields) % 2 == 0)):
    report.stop(
      where, f"{len(fields)} values; valid: class cx cy w h, or class x1 y1 x2 y2 x3 y3 ..."
    )
    return None
  try:
    values = [float(field) for field in fields]
  except ValueError:
    report.stop(where, f"{' '.join(fields)[:60]!r} is not all numbers")
    return None
  if values[0] not in range(class_count):
    report.stop(where, f"class {fields[0]}; valid: 0 to {class_count - 1}")
    return None
  wrong = [
    f
    for f, v in zip(fields[1:], values[1:])
    if not (math.isfinite(v) and -_SLACK <= v <= 1 + _SLACK)
  ]
  if wrong:
    report.stop(where, f"coordinate {wrong[0]}; valid: 0 to 1, parts of the width and height")
    return None
  return values


def _corners(values: Sequence[float]) -> tuple[float, float, float, float]:
  """(x1, y1, x2, y2) of `cx cy w h`, or of a polygon `x1 y1 x2 y2 x3 y3 ...`."""
  if len(values) == 4:
    cx, cy, w, h = values
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
  xs, ys = values[0::2], values[1::2]
  return min(xs), min(ys), max(xs), max(ys)
