# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of augmentations: what is valid computes, what is not is an error at once."""

import functools
import inspect
import math

import numpy as np
import pytest

from dnas.data import augment, limits
from dnas.data.images import Images
from dnas.data.pipeline import Pipeline
from dnas.data.source import Annotations, DataError, DetectionSource
from dnas.naming import functions

GIVEN = {"rng", "sample", "draw"}
EDGES = {
  "probability": (0, 1.0),
  "min_visible": (0, 1),
  "strength": (0, 1),
  "hue": (0, 1),
  "scale": ((0.01, 0.01), [1, 20]),
  "area": ((1e-4, 1e-4), (1, 1)),
  "aspect": (1, 50),
  "translate": (0, 3),
  "centre": (0, 0.4999),
  "alpha": (1e-3, 1e3),
  "pad_px": (0, 50),
  "length_px": (0, 100),
  "fill": (0, 255),
}


def unreadable() -> DetectionSource:
  """Nothing of it may be looked at."""
  annotations = Annotations.of([[(0, 0, 4, 4, 0, False, None)]])
  images = Images(lambda i: pytest.fail("an image was read"), lambda i: "image")
  return DetectionSource("none", ("a",), [1], images, annotations=annotations, sizes=[(8, 8)])


def pipeline(name: str, size=(16, 16), **arguments) -> Pipeline:
  entry = {"name": name, **arguments}
  return Pipeline(source=unreadable(), batch_size=1, size=size, train=True, augment=[entry])


@pytest.mark.parametrize("name", functions(augment))
def test_every_argument_has_limits_and_computes_at_them(name):
  rng, function = np.random.default_rng(0), functions(augment)[name]
  parameters = {k: p for k, p in inspect.signature(function).parameters.items() if k not in GIVEN}
  assert parameters.keys() <= limits.LIMITS.keys() == EDGES.keys()
  limits.check(functools.partial(function, **{k: p.default for k, p in parameters.items()}), (8, 8))
  image = rng.integers(0, 256, (20, 20, 3), np.uint8)
  boxes = np.array([[2, 2, 12, 9]], np.float32)
  sample = {"image": image, "boxes": boxes, "labels": np.zeros(1, np.int32)}
  draw = (lambda: sample,) if hasattr(function, "images") else ()
  for argument in parameters:
    for value in EDGES[argument]:
      pipeline(name, **{argument: value})
      for _ in range(20):
        after = function(rng, sample, *draw, **{argument: value})
        assert after["image"].shape == image.shape
        assert np.isfinite(after["boxes"]).all()


BAD = [
  ("scale_translate", dict(scale=(0, 1)), r"scale\[0\] must be in \(0, inf\), got 0"),
  ("scale_translate", dict(scale=(1.2, 0.8)), r"scale must be a range, \(lowest, highest\)"),
  ("scale_translate", dict(scale=0.5), r"scale must be a range, \(lowest, highest\), got 0.5"),
  ("scale_translate", dict(aspect=0.5), r"aspect must be in \[1, inf\), got 0.5"),
  ("scale_translate", dict(translate=(0.1, 0.1)), "translate must be a number"),
  ("scale_translate", dict(min_visible=30), r"min_visible must be in \[0, 1\], got 30"),
  ("crop", dict(area=(-0.5, 1)), r"area\[0\] must be in \(0, 1\], got -0.5"),
  ("crop", dict(area=(0.5, math.nan)), r"area\[1\] must be in"),
  ("mosaic", dict(centre=0.9), r"centre must be in \[0, 0.5\), got 0.9"),
  ("mosaic", dict(scale=(0.5, math.inf)), r"scale\[1\] must be in"),
  ("mixup", dict(alpha=0), r"alpha must be in \(0, inf\), got 0"),
  ("pad_crop", dict(pad_px=-1), "pad_px must be a whole number, 0 or more, got -1"),
  ("cutout", dict(length_px=2.5), "length_px must be a whole number, 0 or more, got 2.5"),
  ("cutout", dict(fill=300), r"fill must be in \[0, 255\], got 300"),
  ("colour", dict(strength="x"), r"strength must be a number \(in \[0, 1\]\), got 'x'"),
  ("hflip", dict(probability=1.5), r"probability must be in \[0, 1\], got 1.5"),
  ("dihedral", dict(size=(16, 24)), "needs a square canvas, not 16 x 24 px"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_bad_arguments_are_errors_before_anything_is_read(name, arguments, message):
  with pytest.raises(DataError, match=rf"augmentation {name}:? {message}"):
    pipeline(name, **arguments)


def test_of_ones_own_augmentations_nothing_is_known(user_folder):
  (user_folder / "my_lab.py").write_text("def blur(rng, sample, scale): return sample\n")
  pipeline("my_lab.blur", scale=-1)
