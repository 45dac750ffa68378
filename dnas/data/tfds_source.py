# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""TFDS data sets that lie prepared on disk (array_record), read without TensorFlow.

`tfds:NAME[/CONFIG][:VERSION]` is the folder DATA_DIR/NAME[/CONFIG]/VERSION. The features say what
the data set is: `image` with `objects{bbox, label}` is detection, `image` with `label` is
classification. Objects that are `is_crowd` (COCO) or `is_difficult` (VOC) count as crowd.
"""

import contextlib
import io
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dnas.data.checks import fit_box, pick_split
from dnas.data.images import Images
from dnas.data.source import (
  Annotations,
  ClassificationSource,
  DataError,
  DetectionSource,
  Report,
  Source,
)
from dnas.errors import choose_from, install

_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.\-]+))?(:(?P<version>\d+\.\d+\.\d+))?")
_KEEP_ENCODED = tfds.decode.SkipDecoding()
_CHUNK = 256  # Records read at once.


def load(
  name: str,
  split: str,
  *,
  data_dir: str | os.PathLike | None = None,
  memory_mib: float = 512.0,
) -> Source:
  """A split of the prepared data set `name`, such as "cifar10:3.0.2" or "coco/2017:1.1.0".

  Args:
    name: with a version, or the newest that is prepared is taken.
    split: also a part of one, as TFDS writes it: `train[:10%]`.
    data_dir: where TFDS data lie; None: see `folder`.
    memory_mib: see `dnas.data.images.Images`.

  Raises:
    DataError: it is not prepared (with the command that prepares it), or not readable as images
      with boxes or labels.
  """
  prepared = _prepared(name, folder(data_dir))
  return from_builder(tfds.builder_from_directory(prepared), split, f"tfds:{name}", memory_mib)


def folder(given: str | os.PathLike | None = None) -> pathlib.Path:
  """Where TFDS data lie: `given`, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
  there = given or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
  return pathlib.Path(there).expanduser()


def _prepared(name: str, data_dir: pathlib.Path) -> pathlib.Path:
  """The folder of a prepared version."""
  match = _NAME.fullmatch(name)
  if not match:
    raise DataError(f"tfds:{name} is no TFDS name: write tfds:NAME:1.2.3 or tfds:NAME/CONFIG:1.2.3")
  parent = data_dir / match["name"] / (match["config"] or "")
  prepared = sorted(
    (p.parent for p in parent.glob("*/dataset_info.json")),
    key=lambda p: [int(n) for n in re.findall(r"\d+", p.name)],
  )
  if match["version"]:
    prepared = [p for p in prepared if p.name == match["version"]]
  if prepared:
    return prepared[-1]
  there = sorted(
    p.parent.relative_to(data_dir).as_posix()
    for depth in ("*/*", "*/*/*")
    for p in data_dir.glob(f"{depth}/dataset_info.json")
  )
  raise DataError(
    f"tfds:{name} is not prepared in {data_dir} (prepared there: {', '.join(there) or 'nothing'}). "
    f"Set TFDS_DATA_DIR if it lies elsewhere. To prepare it: {install('prepare')} (what "
    'builders import), and then python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder({name!r}, data_dir={str(data_dir)!r}, file_format='array_record')"
    '.download_and_prepare()"'
  )


def from_builder(
  builder: tfds.core.DatasetBuilder, split: str, spec: str, memory_mib: float = 512.0
) -> Source:
  """A split of a prepared builder. Raises DataError as `load`."""
  declared, splits = builder.info.features, builder.info.splits
  base, bracket, part = split.partition("[")
  split = pick_split(base, splits, spec) + bracket + part
  name = f"{spec} [{split}]"
  features = _fields(declared)
  if "image" not in features:
    raise DataError(f"{spec} has no feature 'image'; it has: {', '.join(features) or 'none'}")
  try:
    count = splits[split].num_examples
  except (ValueError, KeyError, AssertionError) as error:
    raise DataError(f"{name} is no part of a split; write, for example, train[:10%]") from error
  if not count:
    raise DataError(f"{name} is empty: it has no images")
  # TFDS wraps this method in a logger that hides its parameters from pyright.
  read = cast(Any, builder.as_data_source)
  try:
    records = read(split=split, decoders={"image": _KEEP_ENCODED})
  except (NotImplementedError, ValueError) as error:
    raise DataError(
      f"{name} cannot be read at random places: {' '.join(str(error).split())} "
      "Prepare it again with file_format='array_record'."
    ) from error
  if "objects" in features:
    return _detection(name, features, records, memory_mib)
  if isinstance(features.get("label"), tfds.features.ClassLabel):
    return _classification(name, features, records, memory_mib)
  raise DataError(
    f"{spec} has neither 'objects' (bbox, label) nor a class 'label'; it has: {', '.join(features)}"
  )


def _fields(features: Any) -> dict[str, Any]:
  """The named parts of a FeaturesDict (it has items(), but is no Mapping), or none."""
  return dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}


def _detection(name: str, features: Any, records: Any, memory_mib: float) -> DetectionSource:
  objects = _fields(getattr(features["objects"], "feature", None))
  for field in ("bbox", "label"):
    if field not in objects:
      raise DataError(choose_from(f"{name}: field of 'objects'", field, objects))
  classes = objects["label"].names
  ignored = next((f for f in ("is_crowd", "is_difficult") if f in objects), None)
  shape = features["image"].shape
  id_feature = features.get("image/id")
  has_id = id_feature is not None and np.issubdtype(id_feature.np_dtype, np.integer)
  report, per_image, sizes, ids = Report(), [], [], []
  for first in range(0, len(records), _CHUNK):
    numbers = range(first, min(first + _CHUNK, len(records)))
    for i, record in zip(numbers, records.__getitems__(list(numbers))):
      ids.append(int(record["image/id"]) if has_id else i)
      height, width = shape[:2] if shape[0] and shape[1] else _size(record["image"])
      sizes.append((height, width))
      scale = np.asarray([height, width, height, width], np.float64)
      boxes = np.asarray(record["objects"]["bbox"], np.float64).reshape(-1, 4) * scale
      labels = np.asarray(record["objects"]["label"], np.int64).reshape(-1)
      crowd = record["objects"][ignored] if ignored else [False] * len(boxes)
      rows = []
      for k, ((y1, x1, y2, x2), label, one_crowd) in enumerate(zip(boxes, labels, crowd)):
        where = f"image {ids[-1]} object {k}"
        if not 0 <= label < len(classes):
          report.stop(where, f"label {label}; valid: 0 to {len(classes) - 1}")
          continue
        box = fit_box((x1, y1, x2, y2), width, height, where, report)
        if box is not None:
          rows.append((*box, label, bool(one_crowd), None))
      per_image.append(rows)
  report.check(name)
  if len(set(ids)) < len(ids):
    ids = range(len(ids))
  images = _images(lambda i: records[i]["image"], name, memory_mib)
  return DetectionSource(
    name, classes, ids, images, report, annotations=Annotations.of(per_image), sizes=sizes
  )


def _size(data: bytes) -> tuple[int, int]:
  with Image.open(io.BytesIO(data)) as image:
    return image.height, image.width


def _images(fetch: Callable[[int], bytes], name: str, memory_mib: float) -> Images:
  """The images of a split; TFDS, by which the boxes were made, takes their pixels as stored."""
  where = lambda i: f"{name} image {i}"
  return Images(fetch, where, memory_mib=memory_mib, upright=lambda i: False)


class _LazyLabels(ClassificationSource):
  """Labels come with the images, so that loading ImageNet does not read all of it first.

  An image's id is the place of its record, also in a part of the split (`data.part`).
  """

  def __init__(self, name: str, classes: Sequence[str], records: Any, memory_mib: float):
    self._records = records
    images = _images(self._fetch, name, memory_mib)
    labels = np.full(len(records), -1, np.int32)
    super().__init__(name, classes, ids=range(len(records)), images=images, labels=labels)

  def _fetch(self, i: int) -> bytes:
    place = int(self.ids[i])
    record = self._records[place]
    label = int(record["label"])
    if not 0 <= label < len(self.classes):
      where = f"{self.name} image {place}"
      raise DataError(f"{where}: label {label}; valid: 0 to {len(self.classes) - 1}")
    self.labels[i] = label
    return record["image"]

  def label(self, i: int) -> int:
    if self.labels[i] < 0:
      self._fetch(i)
    return int(self.labels[i])


def _classification(name: str, features: Any, records: Any, memory_mib: float) -> Source:
  return _LazyLabels(name, features["label"].names, records, memory_mib)


def prepare(make_builder: Any, folder: pathlib.Path) -> tfds.core.DatasetBuilder:
  """A builder of ours, prepared in `folder` on the first call and only read on later ones.

  Several processes may call this at once: each prepares into a folder of its own, and the first
  to finish renames it into place.

  Args:
    make_builder: data_dir -> builder.
    folder: the data_dir to keep.
  """
  builder = make_builder(folder)
  final = pathlib.Path(builder.data_dir)
  if not (final / "dataset_info.json").is_file():
    print(f"preparing {builder.name} in {final}: once, some seconds", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder))
    try:
      mine = make_builder(work)
      _prepare_quietly(mine)
      final.parent.mkdir(parents=True, exist_ok=True)
      try:
        os.rename(mine.data_dir, final)
      except OSError:
        if not (final / "dataset_info.json").is_file():
          raise
    finally:
      shutil.rmtree(work, ignore_errors=True)
  return tfds.builder_from_directory(final)


def _prepare_quietly(builder: tfds.core.DatasetBuilder) -> None:
  """Prepares without progress bars and announcements: it takes seconds."""
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    builder.download_and_prepare()
