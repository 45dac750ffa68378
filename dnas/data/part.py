# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Some images of a source, as a source of their own."""

import copy

import numpy as np

from dnas.data.source import Annotations, ClassificationSource, DetectionSource, Source


def part_of(source: Source, indices: np.ndarray) -> Source:
  """The source with the pictures, ids and targets of these images alone.

  To measure on a part of a split, for one: against all images, the objects of the others would
  count as missed.

  Args:
    source: a split.
    indices: int [N], which of its images.
  """
  part = copy.copy(source)
  part.ids = source.ids[indices]
  part.images = source.images.some(indices)
  if isinstance(source, ClassificationSource) and isinstance(part, ClassificationSource):
    part.labels = source.labels[indices]
    return part
  assert isinstance(source, DetectionSource)
  assert isinstance(part, DetectionSource)
  a = source.annotations
  rows = np.concatenate([np.arange(len(a.boxes))[a.rows(i)] for i in indices.tolist()])
  lengths = (a.starts[1:] - a.starts[:-1])[indices]
  part.annotations = Annotations(
    boxes=a.boxes[rows],
    labels=a.labels[rows],
    crowd=a.crowd[rows],
    areas=a.areas[rows],
    starts=np.concatenate([[0], np.cumsum(lengths)]),
  )
  part.sizes = source.sizes[indices]
  part.files = tuple(source.files[i] for i in indices)
  return part
