# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Augmentations: boxes move with the pixels, whatever is drawn."""

import functools
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.data import augment
from dnas.data.letterbox import FILL
from dnas.data.sample import Move, clip_boxes, warp
from dnas.naming import functions

BOTH = ["hflip", "dihedral", "scale_translate", "crop", "colour", "pad_crop"]
DETECTION = [*BOTH, "mosaic", "mixup"]
CLASSIFICATION = [*BOTH, "cutout"]
MIXING = {"mosaic": 4, "mixup": 2}


def colours(count: int) -> np.ndarray:
  """Bright colours that differ from each other, from grey and from black."""
  return np.array([(255, 30 * (k + 1), 0) for k in range(count)], np.uint8)


def sample(seed: int, h: int, w: int, count: int = 3) -> dict:
  """Rectangles of one colour each, side by side on grey, so that a box can be measured."""
  rng = np.random.default_rng(seed)
  image = np.full((h, w, 3), FILL, np.uint8)
  boxes = []
  for k in range(count):
    x1 = int(w * k / count + rng.integers(1, 3))
    x2 = int(w * (k + 1) / count - rng.integers(1, 3))
    y1, y2 = int(rng.integers(1, h // 2 - 4)), int(rng.integers(h // 2 + 4, h - 1))
    image[y1:y2, x1:x2] = colours(count)[k]
    boxes.append((x1, y1, x2, y2))
  image.flags.writeable = False
  return {
    "image": image,
    "boxes": np.array(boxes, np.float32).reshape(-1, 4),
    "labels": np.arange(count, dtype=np.int32),
    "kept": "as it is",
  }


def apply(name: str, rng: np.random.Generator, one: dict, **arguments) -> dict:
  function = getattr(augment, name)
  if name in MIXING:
    h, w = one["image"].shape[:2]
    draw = lambda: sample(int(rng.integers(99)), h, w)
    return function(rng, one, draw, **({"probability": 1.0} | arguments))
  return function(rng, one, **arguments)


def measure(image: np.ndarray, colour: np.ndarray) -> tuple[float, float, float, float]:
  """The bounds of what has (nearly) this colour."""
  near = np.abs(image.astype(int) - colour).max(-1) < 14
  ys, xs = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
  return xs[0], ys[0], xs[-1] + 1, ys[-1] + 1


def test_every_augmentation_is_tested():
  assert set(functions(augment)) == set(DETECTION) | set(CLASSIFICATION)
  for name, function in functions(augment).items():
    assert getattr(function, "images", 1) == MIXING.get(name, 1)
    parameters = list(inspect.signature(function).parameters)
    expected = ["rng", "sample"] + (["draw"] if name in MIXING else [])
    assert parameters[: len(expected)] == expected


@pytest.mark.parametrize("name", DETECTION)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), h=st.integers(24, 70), w=st.integers(40, 90))
def test_boxes_stay_valid(name, seed, h, w):
  """On the canvas, of some area, of their own classes; nothing is changed in place."""
  h = w if name == "dihedral" else h
  before = sample(seed, h, w)
  after = apply(name, np.random.default_rng(seed), before)
  fresh = sample(seed, h, w)
  assert all(np.array_equal(before[k], fresh[k]) for k in fresh)
  assert after["kept"] == "as it is"
  assert after["image"].shape == (h, w, 3)
  assert after["image"].dtype == np.uint8
  boxes = after["boxes"]
  count = len(boxes)
  assert count <= 3 * MIXING.get(name, 1)
  assert boxes.dtype == np.float32
  assert boxes.shape == (count, 4)
  assert (after["labels"].shape, after["labels"].dtype) == ((count,), np.int32)
  assert (boxes >= 0).all()
  assert (boxes <= [w, h, w, h]).all()
  assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()


@pytest.mark.parametrize("name", ["hflip", "dihedral", "scale_translate", "crop"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_box_sits_on_its_object(name, seed):
  """What has the colour of an object spans its box, to a pixel of interpolation."""
  h, w = 96 if name == "dihedral" else 80, 96
  after = apply(name, np.random.default_rng(seed), sample(seed, h, w))
  for box, label in zip(after["boxes"], after["labels"]):
    if min(box[2:] - box[:2]) > 6:
      assert np.allclose(measure(after["image"], colours(3)[label]), box, atol=1.6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mosaic_boxes_sit_on_objects(seed):
  after = apply("mosaic", np.random.default_rng(seed), sample(seed, 80, 96), min_visible=0.5)
  for (x1, y1, x2, y2), label in zip(np.rint(after["boxes"]).astype(int), after["labels"]):
    inside = after["image"][y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].astype(int)
    if inside.size:
      near = np.abs(inside - colours(3)[label]).max(-1) < 14
      assert near.mean() > 0.8


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification_needs_no_boxes(name):
  one = {"image": sample(0, 40, 40)["image"], "label": 3}
  after = apply(name, np.random.default_rng(0), one)
  assert after["label"] == 3
  assert after["image"].shape == (40, 40, 3)
  assert set(after) == {"image", "label"}


@pytest.mark.parametrize("name", sorted(set(DETECTION + CLASSIFICATION)))
def test_generator_decides(name):
  one = sample(1, 48, 48)
  images = [apply(name, np.random.default_rng(seed), one)["image"] for seed in (*range(8), 0)]
  assert np.array_equal(images[0], images[-1])
  assert any(not np.array_equal(images[0], other) for other in images[1:-1])


@pytest.mark.parametrize("name", DETECTION)
def test_no_boxes(name):
  empty = sample(0, 40, 40, count=0)
  draw = lambda: sample(0, 40, 40, count=0)
  function = getattr(augment, name)
  function = functools.partial(function, draw=draw) if name in MIXING else function
  after = function(np.random.default_rng(0), empty)
  assert after["boxes"].shape == (0, 4)


def test_hflip_twice_is_nothing():
  one = sample(4, 33, 47)
  flip = functools.partial(augment.hflip, np.random.default_rng(0), probability=1.0)
  twice = flip(flip(one))
  assert np.array_equal(twice["image"], one["image"])
  assert np.allclose(twice["boxes"], one["boxes"])
  assert augment.hflip(np.random.default_rng(0), one, probability=0.0) is one


def test_dihedral_needs_a_square():
  with pytest.raises(ValueError, match="square canvas, not 40 x 48 px"):
    augment.dihedral(np.random.default_rng(0), sample(1, 40, 48))


def test_scale_translate_of_nothing_is_nothing():
  one = sample(4, 33, 47)
  same = augment.scale_translate(
    np.random.default_rng(0), one, scale=(1.0, 1.0), translate=0.0, aspect=1.0
  )
  assert np.array_equal(same["image"], one["image"])
  assert np.allclose(same["boxes"], one["boxes"], atol=1e-4)


def test_crop_of_everything_is_nothing():
  one = sample(4, 33, 47)
  same = augment.crop(np.random.default_rng(0), one, area=(1.0, 1.0), aspect=1.0)
  assert np.array_equal(same["image"], one["image"])


def test_colour_of_strength_0_is_nothing():
  image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
  same = augment.colour(np.random.default_rng(0), {"image": image}, strength=0.0, hue=0.0)
  assert np.abs(same["image"].astype(int) - image).max() <= 1


def test_hue_keeps_grey_and_turns_a_third():
  grey = np.full((2, 2, 3), 90, np.uint8)
  rng = np.random.default_rng(0)
  assert np.abs(augment.colour(rng, {"image": grey}, 0.0, 0.5)["image"].astype(int) - 90).max() <= 1

  class Third:
    def uniform(self, low, high, count=None):
      return np.ones(count) if count else 1 / 3

  red = np.zeros((1, 1, 3), np.uint8)
  red[..., 0] = 200
  turned = augment.colour(Third(), {"image": red}, 0.0, 0.5)["image"]  # pyright: ignore
  assert turned.ravel().tolist() == [0, 200, 0], "a third of a turn: red becomes green"


@pytest.mark.parametrize("factor", [2, 3])
def test_warp_puts_pixels_where_boxes_go(factor):
  """Magnified by 2, pixel (3, 3) covers [6, 8] x [6, 8]; by 3 another way of painting is used."""
  image = np.zeros((16, 16, 3), np.uint8)
  image[3, 3] = 200
  one = {"image": image, "boxes": np.array([[3, 3, 4, 4]], np.float32)}
  one |= {"labels": np.zeros(1, np.int32)}
  moved = warp(one, Move(factor, factor, 1.2, -1.8), 0.3)
  assert moved["boxes"].tolist() == [
    [3 * factor + 1, 3 * factor - 2, 4 * factor + 1, 4 * factor - 2]
  ]
  mass = moved["image"][:, 1:, 0].astype(int)  # Without the grey beside the image.
  y, x = np.mgrid[: mass.shape[0], 1 : mass.shape[1] + 1] + 0.5
  mass[y >= 15] = 0
  centre = (mass * x).sum() / mass.sum(), (mass * y).sum() / mass.sum()
  assert centre == pytest.approx((3.5 * factor + 1, 3.5 * factor - 2), abs=0.05)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 4), st.floats(0.1, 4), st.floats(-50, 50), st.floats(-50, 50))
def test_snapped_is_near_and_whole(sx, sy, tx, ty):
  h, w = 40, 56
  move = Move(sx, sy, tx, ty).snapped(h, w)
  edges = [move.tx, move.ty, move.tx + move.sx * w, move.ty + move.sy * h]
  assert np.allclose(edges, np.rint(edges), atol=1e-9)
  wanted = [tx, ty, tx + sx * w, ty + sy * h]
  assert np.abs(np.subtract(edges, wanted)).max() <= 0.5 + 1e-9


def test_clip_drops_what_is_hardly_visible():
  one = sample(0, 40, 40) | {
    "boxes": np.array([[0, 0, 10, 10], [-8, 0, 2, 10], [39.5, 0, 60, 9]], np.float32)
  }
  assert clip_boxes(one, (0, 0, 40, 40), 0.3)["labels"].tolist() == [0]
  kept = clip_boxes(one, (0, 0, 40, 40), 0.1)
  assert kept["labels"].tolist() == [0, 1]
  assert kept["boxes"][1].tolist() == [0, 0, 2, 10]


def test_mixup_blends():
  one, other = sample(1, 40, 48), sample(2, 40, 48)
  mixed = augment.mixup(np.random.default_rng(0), one, lambda: other, probability=1.0)
  low, high = np.minimum(one["image"], other["image"]), np.maximum(one["image"], other["image"])
  assert (mixed["image"] >= low).all()
  assert (mixed["image"] <= high).all()
  assert np.array_equal(mixed["boxes"], np.concatenate([one["boxes"], other["boxes"]]))


def test_cutout_and_pad_crop():
  image = np.full((32, 32, 3), 9, np.uint8)
  for seed in range(20):
    cut = augment.cutout(np.random.default_rng(seed), {"image": image}, length_px=8)["image"]
    assert 16 <= (cut[..., 0] == FILL).sum() <= 64
    moved = augment.pad_crop(np.random.default_rng(seed), {"image": image}, pad_px=2)["image"]
    assert 28 * 28 <= (moved[..., 0] == 9).sum() <= 32 * 32
  assert (image == 9).all()
