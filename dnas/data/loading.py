# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""From the string that names a data set, the same everywhere, to a `Source`."""

import os
from typing import Any

from dnas.cache import folder as cache_folder
from dnas.data.source import DataError, DetectionSource, Source
from dnas.errors import choose_from

SPECS = {
  "digit_scenes": "digits on photographs, 96 x 96, detection, embedded",
  "digits": "scikit-learn's 8 x 8 digits, classification, embedded",
  "tfds:NAME[/CONFIG]:VERSION": "a prepared TFDS data set, such as tfds:cifar10:3.0.2",
  "coco:FILE.json@FOLDER": "COCO JSON; {split} in the paths stands for the split",
  "yolo:FILE.yaml": "a YOLO data file; FILE.yaml does, too",
}


def load(
  spec: str,
  split: str | None = "train",
  *,
  cache: str | os.PathLike | None = None,
  data_dir: str | os.PathLike | None = None,
  memory_mib: float = 512.0,
  decode_all: bool | None = None,
  skip_broken: bool = False,
) -> Source:
  """The split of a data set.

  Args:
    spec: `digit_scenes`, `digits`, `tfds:NAME[/CONFIG]:VERSION`, `coco:FILE.json@FOLDER` or
      `yolo:FILE.yaml`, for which the file's path alone stands, too.
    split: "train", "validation" (or "val"), "test", or what else the data set has. None: the only
      one, of COCO files without {split}.
    cache: where embedded sets are prepared; see `dnas.cache.folder`.
    data_dir: of TFDS; else $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    memory_mib: decoded images are kept in memory up to this much.
    decode_all: decode every image file once to find broken ones; None: if there are at most
      20,000. (Headers are read in any case.)
    skip_broken: of files (`coco:`, `yolo:`), leave out images that cannot be decoded; they are
      named in `report.skipped`. Otherwise one such image makes the data set unusable.

  Raises:
    DataError: the spec, the split or the data are wrong; everything found is in one message.
  """
  spec = whole_spec(spec)
  kind, _, rest = spec.partition(":")
  if kind == "coco" and rest:
    from dnas.data import coco_json

    return coco_json.load(
      rest, split, memory_mib=memory_mib, decode_all=decode_all, skip_broken=skip_broken
    )
  if split is None:
    raise DataError(f"{spec} has several splits: say which")
  if spec == "digits":
    from dnas.data import digits

    return digits.load(split)
  if spec == "digit_scenes":
    from dnas.data import digit_scenes, tfds_source

    builder = tfds_source.prepare(digit_scenes.builder, cache_folder(cache) / "tfds")
    return tfds_source.from_builder(builder, split, spec, memory_mib)
  if kind == "yolo" and rest:
    from dnas.data import yolo_yaml

    return yolo_yaml.load(
      rest, split, memory_mib=memory_mib, decode_all=decode_all, skip_broken=skip_broken
    )
  if kind == "tfds" and rest:
    from dnas.data import tfds_source

    return tfds_source.load(rest, split, data_dir=data_dir, memory_mib=memory_mib)
  raise DataError(choose_from("data set", spec, SPECS))


def whole_spec(spec: str) -> str:
  """The spec by which a data set is told from others: the path of a YAML file gets its `yolo:`."""
  is_path = spec.endswith((".yaml", ".yml")) and not spec.startswith("yolo:")
  return f"yolo:{spec}" if is_path else spec


def labelled(spec: str, split: str | None = "train", **arguments: Any) -> Source:
  """`load`, for a split that something is learnt from or measured on: it must hold a target.

  Raises:
    DataError: as in `load`; or no image of a detection set has a box (crowd regions are none).
  """
  source = load(spec, split, **arguments)
  if isinstance(source, DetectionSource) and not (~source.annotations.crowd).any():
    raise DataError(
      f"{source.name}: none of its {len(source)} images has a box, so there is nothing to learn "
      "or to measure; at least one must"
    )
  return source
