# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""COCO JSON: `coco:FILE.json@FOLDER`, an instances file and the folder of its images.

`{split}` in either path stands for the split, `coco:cbc/annotations/instances_{split}.json@cbc/
images/{split}`. Without it the SPEC is one split, called "train", so that nobody evaluates on the
training images by mistake. Segmentations (polygons or RLE) are ignored; `iscrowd` regions are kept
as crowd; category ids may have gaps; a missing `area` becomes the box's.
"""

import glob
import pathlib
import re
from collections.abc import Container, Mapping
from typing import Any

from dnas.data.checks import fit_box, is_number, split_candidates
from dnas.data.image_files import Info, file_images, inspect
from dnas.data.source import Annotations, DataError, DetectionSource, Report
from dnas.errors import choose_from
from dnas.files import json_of

_PLACEHOLDER = "{split}"
_MAX_BYTES = 1 << 32  # COCO itself has 0.5 GB.
_LISTS = ("images", "annotations", "categories")


def load(
  reference: str,
  split: str | None = "train",
  *,
  memory_mib: float = 512.0,
  decode_all: bool | None = None,
  skip_broken: bool = False,
) -> DetectionSource:
  """A split of a COCO data set.

  Args:
    reference: `FILE.json@FOLDER`.
    split: replaces `{split}`; "val" and "validation" are tried for each other. None or "train"
      if there is no placeholder.
    memory_mib: see `dnas.data.images.Images`.
    decode_all: decode each image before training; see `dnas.data.image_files.inspect`.
    skip_broken: leave out images that cannot be decoded; see `dnas.data.image_files.inspect`.

  Raises:
    DataError: with everything that is wrong.
  """
  file, folder, split = _paths(reference, split)
  name = f"coco:{file}" + (f" [{split}]" if split else "")
  data = _read(file)
  report = Report()
  categories = _categories(data["categories"], report)
  images = _images(data["images"], report)
  report.check(name)
  if not images:
    raise DataError(f"{name} is empty: it lists no images")
  paths = [folder / entry["file_name"] for entry in images]
  infos = inspect(paths, report, decode_all, skip_broken)
  sizes, upright = _sizes(images, infos, paths, report)
  used = [i for i, info in enumerate(infos) if info]
  per_image = _annotations(data["annotations"], images, sizes, categories, report, set(used))
  report.check(name)
  return DetectionSource(
    name,
    list(categories.values()),
    [images[i]["id"] for i in used],
    file_images([paths[i] for i in used], memory_mib, lambda i: upright[used[i]]),
    report,
    annotations=Annotations.of([per_image[i] for i in used]),
    sizes=[sizes[i] for i in used],
    files=[images[i]["file_name"] for i in used],
    category_ids=list(categories),
  )


def _paths(reference: str, split: str | None) -> tuple[pathlib.Path, pathlib.Path, str | None]:
  """(JSON file, image folder, split as the data set spells it or None)."""
  mark = ".json@" if ".json@" in reference else "@"  # Paths may have an @ of their own.
  file, at, folder = reference.partition(mark)
  file += mark.removesuffix("@")
  if not (file and at and folder):
    raise DataError(f"coco:{reference} is incomplete: write coco:FILE.json@FOLDER_OF_IMAGES")
  if _PLACEHOLDER not in reference:
    if split not in (None, "train"):
      raise DataError(
        f"coco:{reference} is one split, 'train', so {split!r} cannot be had from it; put "
        "{split} where the paths of the splits differ"
      )
    return pathlib.Path(file), pathlib.Path(folder), None
  if split is None:
    raise DataError(f"coco:{reference} has several splits: say which")
  for candidate in split_candidates(split):
    path = pathlib.Path(file.replace(_PLACEHOLDER, candidate))
    if path.is_file() or _PLACEHOLDER not in file:
      return path, pathlib.Path(folder.replace(_PLACEHOLDER, candidate)), candidate
  missing = f"{file.replace(_PLACEHOLDER, split)} is missing"
  if there := _splits(file):
    raise DataError(f"{missing}: {choose_from(f'split of coco:{reference}:', split, there)}")
  raise DataError(f"{missing}, and so is the file of every other split of coco:{reference}")


def _splits(file: str) -> list[str]:
  """What stands for `{split}` in the names of the files that are there."""
  parts = file.split(_PLACEHOLDER)
  first, *others = map(re.escape, parts)
  pattern = rf"{first}([^/]+)" + r"\1".join(others)
  found = (re.fullmatch(pattern, path) for path in glob.glob("*".join(map(glob.escape, parts))))
  return [match[1] for match in found if match]


def _read(file: pathlib.Path) -> dict[str, list]:
  """The JSON file, which has the three lists of an instances file."""
  try:
    data = json_of(file, _MAX_BYTES, DataError)
  except FileNotFoundError:
    raise DataError(f"{file} is missing: it should be a COCO instances file") from None
  except OSError as error:
    raise DataError(f"{file} cannot be read: {error.strerror}") from error
  if isinstance(data, list):
    raise DataError(f"{file} is a list, as results are; an instances file is an object")
  for key in _LISTS:
    if not isinstance(data, dict) or not isinstance(data.get(key), list):
      raise DataError(f"{file} has no list '{key}'; a COCO instances file has {', '.join(_LISTS)}")
  return data


def _is_int(value: Any) -> bool:
  """Whether a value from JSON is an integer that 64 bits hold (true and false are none)."""
  return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _categories(entries: list, report: Report) -> dict[int, str]:
  """Category id -> name, in the order of the ids, which is that of the labels."""
  names: dict[int, str] = {}
  taken: set[str] = set()
  for k, entry in enumerate(entries):
    where = f"categories[{k}]"
    if not isinstance(entry, Mapping) or not _is_int(entry.get("id")):
      report.stop(where, "has no integer 'id'")
    elif not isinstance(entry.get("name"), str) or not entry["name"]:
      report.stop(where, f"category {entry['id']} has no 'name'")
    elif entry["id"] in names:
      report.stop(where, f"id {entry['id']} is taken by {names[entry['id']]!r}; ids are unique")
    elif entry["name"] in taken:
      report.stop(where, f"the name {entry['name']!r} is taken; names are unique")
    else:
      names[entry["id"]] = entry["name"]
      taken.add(entry["name"])
  if not entries:
    report.stop("categories", "the list is empty; at least one class is needed")
  return dict(sorted(names.items()))


def _images(entries: list, report: Report) -> list[dict[str, Any]]:
  """The entries with integer ids; ids that are strings are numbered, and kept as `key`."""
  images, seen = [], set()
  numbered = any(isinstance(e, Mapping) and isinstance(e.get("id"), str) for e in entries)
  for k, entry in enumerate(entries):
    where = f"images[{k}]"
    if not isinstance(entry, Mapping) or not (
      _is_int(entry.get("id")) or isinstance(entry.get("id"), str)
    ):
      report.stop(where, "has no integer 'id'")
    elif not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
      report.stop(where, f"image {entry['id']!r} has no 'file_name'")
    elif entry["id"] in seen:
      report.stop(where, f"id {entry['id']!r} is taken by another image; ids are unique")
    else:
      seen.add(entry["id"])
      images.append({**entry, "key": entry["id"], "id": k + 1 if numbered else entry["id"]})
  if numbered:
    report.mend("image id that is a string numbered", "images", len(images))
  return images


def _sizes(
  images: list[dict], infos: list[Info | None], paths: list[pathlib.Path], report: Report
) -> tuple[list[tuple[int, int]], list[bool]]:
  """(height, width) of each image as its boxes count, and whether EXIF has to turn it for that.

  COCO's boxes belong to the pixels as they are stored; but some tools annotate what a viewer
  shows, which the size in the JSON then tells.
  """
  sizes, upright = [], []
  for entry, info, path in zip(images, infos, paths):
    given = (entry.get("height"), entry.get("width"))
    if info is None:  # Reported already.
      sizes.append((1, 1))
      upright.append(False)
      continue
    stored = (info.height, info.width)
    turned = info.turned and given == stored[::-1] and given != stored
    if given == (None, None):
      report.mend("size of an image taken from its file", path)
    elif given != stored and not turned:
      report.stop(
        path,
        f"is {info.width} x {info.height} px, but the JSON says width {given[1]!r} and height "
        f"{given[0]!r}, so its boxes cannot fit",
      )
    sizes.append(stored[::-1] if turned else stored)
    upright.append(turned)
  return sizes, upright


def _annotations(
  entries: list,
  images: list[dict],
  sizes: list[tuple[int, int]],
  categories: Mapping[int, str],
  report: Report,
  used: Container[int],
) -> list[list[tuple]]:
  """For each image its rows for `Annotations.of`; images that are not used have none."""
  place = {entry["key"]: i for i, entry in enumerate(images)}
  label_of = {category: label for label, category in enumerate(categories)}
  per_image: list[list[tuple]] = [[] for _ in images]
  for k, entry in enumerate(entries):
    if not isinstance(entry, Mapping):
      report.stop(f"annotations[{k}]", f"is {entry!r}, not an object")
      continue
    where = f"annotation {entry.get('id', f'number {k}')}"
    image_id, category, box = (entry.get(key) for key in ("image_id", "category_id", "bbox"))
    if not (_is_int(image_id) or isinstance(image_id, str)) or image_id not in place:
      report.stop(where, f"image_id {image_id!r} is no image of this file")
      continue
    where = f"{where} of {images[place[image_id]]['file_name']}"
    if not _is_int(category) or category not in label_of:
      valid = ", ".join(f"{c} ({n})" for c, n in list(categories.items())[:20])
      report.stop(where, f"category_id {category!r}; valid: {valid}")
      continue
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(v) for v in box):
      report.stop(where, f"bbox {box!r}; valid: [x, y, width, height] in px")
      continue
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
      report.stop(where, f"iscrowd {crowd!r}; valid: 0 or 1")
      continue
    i = place[image_id]
    if i not in used:  # It has no size that the box could be held against.
      continue
    x, y, w, h = box
    fitted = fit_box((x, y, x + w, y + h), sizes[i][1], sizes[i][0], where, report)
    if fitted is None:
      continue
    area = entry.get("area")
    if area is not None and not (is_number(area) and area >= 0):
      report.mend("area that is no number replaced by the box's", where)
      area = None
    per_image[i].append((*fitted, label_of[category], bool(crowd), area))
  return per_image
