# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Data: `load("coco:instances.json@images")` -> `Source` -> `Pipeline(source=source, ...)`.

`source` says what a data set is, `loading` finds it by name; `tfds_source`, `coco_json`,
`yolo_yaml`, `digits` and `digit_scenes` read one kind each, with `checks` and `image_files`, which
say what is wrong, and `images`, which decodes. `letterbox`, then `augment` (by `sample`, within its
`limits`) change one example; `pipeline` makes deterministic, resumable batches of them. `summary`
describes a data set, `part` is a part of one, `media` is pictures without one.
"""

from dnas.data.loading import labelled, load, whole_spec
from dnas.data.source import (
  Annotations,
  ClassificationSource,
  DataError,
  DetectionSource,
  Report,
  Source,
  check_same_classes,
)

__all__ = [
  "Annotations",
  "ClassificationSource",
  "DataError",
  "DetectionSource",
  "Report",
  "Source",
  "check_same_classes",
  "labelled",
  "load",
  "whole_spec",
]
