# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`digits`: 1,797 real handwritten digits of 8 x 8 px, embedded in scikit-learn (UCI, CC BY 4.0).

They are the test set of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998,
UCI Machine Learning Repository): scans of 32 x 32 binary px, counted in blocks of 4 x 4.
"""

import numpy as np
from sklearn.datasets import load_digits

from dnas.data.checks import pick_split
from dnas.data.images import Images
from dnas.data.source import ClassificationSource

CLASSES = tuple("0123456789")
_COUNTS = {"train": 1197, "validation": 300, "test": 300}
# PCG64's raw stream is part of NumPy's compatibility promise, so the splits never change.
_SPLIT_SEED = 1797


def _digits() -> tuple[np.ndarray, np.ndarray]:
  pixels, target = load_digits(return_X_y=True)
  return np.asarray(pixels).reshape(-1, 8, 8), np.asarray(target)


def glyphs(split: str) -> tuple[np.ndarray, np.ndarray]:
  """The digits of one split as (ink uint8 [N, 8, 8] from 0 to 16, labels int32 [N]).

  The splits are disjoint: 1,197 train, 300 validation, 300 test, chosen by a fixed permutation.

  Raises:
    DataError: for an unknown split.
  """
  split = pick_split(split, _COUNTS, "digits")
  images, target = _digits()
  order = np.argsort(np.random.PCG64(_SPLIT_SEED).random_raw(len(images)), kind="stable")
  before = 0
  for name, count in _COUNTS.items():
    if name == split:
      break
    before += count
  chosen = np.sort(order[before : before + _COUNTS[split]])
  return images[chosen].astype(np.uint8), target[chosen].astype(np.int32)


def load(split: str) -> ClassificationSource:
  """The digits as images: uint8 [8, 8, 3], white ink on black.

  Raises:
    DataError: for an unknown split.
  """
  ink, labels = glyphs(split)
  grey = np.minimum(ink.astype(np.int32) * 16, 255).astype(np.uint8)
  rgb = np.repeat(grey[..., None], 3, axis=-1)
  name = f"digits [{pick_split(split, _COUNTS, 'digits')}]"
  return ClassificationSource(
    name,
    CLASSES,
    range(len(rgb)),
    Images(lambda i: rgb[i], lambda i: f"{name} image {i}", memory_mib=0),
    labels=labels,
  )
