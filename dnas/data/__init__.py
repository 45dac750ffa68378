# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Data: `load("coco:instances.json@images")` -> `Source` -> `batches(source, ...)`.

`source` and `validate` say what a data set is and what may be wrong with it; `tfds_source`,
`coco_json`, `yolo_yaml`, `digits` and `digit_scenes` read one kind each; `augment` and
`letterbox` change one example; `pipeline` makes deterministic, resumable batches of them.
"""

from dnas.data.loading import labelled, load
from dnas.data.source import (
  Annotations,
  ClassificationSource,
  DataError,
  DetectionSource,
  Report,
  Source,
)

__all__ = [
  "Annotations",
  "ClassificationSource",
  "DataError",
  "DetectionSource",
  "Report",
  "Source",
  "labelled",
  "load",
]
