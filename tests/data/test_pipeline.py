# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline: deterministic, resumable, shared out to processes, and mapped back to images."""

import itertools
import json

import numpy as np
import pytest

from dnas import data
from dnas.config import ConfigError
from dnas.data.images import Images
from dnas.data.letterbox import to_image
from dnas.data.pipeline import Pipeline

AUGMENT = [
  dict(name="hflip"),
  dict(name="mosaic", probability=0.5),
  dict(name="mixup", probability=0.3),
  dict(name="scale_translate", scale=(0.7, 1.3)),
  dict(name="crop"),
  dict(name="colour", strength=0.3),
]


def scenes(count: int = 23, crowd: bool = True) -> data.DetectionSource:
  """Images of mixed sizes with 0 to 3 boxes, filled with what tells the image."""
  rng = np.random.default_rng(5)
  images, rows, sizes = [], [], []
  for i in range(count):
    h, w = (int(v) for v in rng.integers(20, 70, 2))
    image = rng.integers(0, 255, (h, w, 3), dtype=np.uint8)
    image[..., 0] = i
    images.append(image)
    sizes.append((h, w))
    rows.append([(1 + k, 2.0, w / 2 + k, h - 3.0, k, crowd and k == 2, None) for k in range(i % 4)])
  return data.DetectionSource(
    "scenes [train]",
    ("a", "b", "c"),
    range(100, 100 + count),
    Images(lambda i: images[i], lambda i: f"scene {i}"),
    annotations=data.Annotations.of(rows),
    sizes=sizes,
  )


@pytest.fixture(scope="module")
def source() -> data.DetectionSource:
  return scenes()


@pytest.fixture(scope="module")
def digits() -> data.Source:
  return data.load("digits", "validation")


def train(source, **arguments):
  given = dict(batch_size=8, size=(32, 48), seed=3, train=True, threads=0) | arguments
  return iter(Pipeline(source=source, **given))


def take(iterator, count):
  return list(itertools.islice(iterator, count))


def assert_equal(a, b):
  assert len(a) == len(b)
  for x, y in zip(a, b):
    assert x.keys() == y.keys()
    for key in x:
      assert x[key].dtype == y[key].dtype
      assert np.array_equal(x[key], y[key]), key


def test_training_batch(source):
  batch = next(train(source, augment=AUGMENT))
  room = 2 * (1 + 3 + 1)  # The most boxes of one image, times those that mosaic and mixup join.
  shapes = {
    "image": ((8, 32, 48, 3), np.uint8),
    "boxes": ((8, room, 4), np.float32),
    "labels": ((8, room), np.int32),
    "mask": ((8, room), bool),
    "id": ((8,), np.int64),
  }
  assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
    k: (shape, np.dtype(dtype)) for k, (shape, dtype) in shapes.items()
  }
  boxes, mask = batch["boxes"], batch["mask"]
  assert mask.any()
  assert not boxes[~mask].any()
  assert (boxes[mask][:, 2:] > boxes[mask][:, :2]).all()
  assert boxes.min() >= 0
  assert (boxes <= [48, 32, 48, 32]).all()


def test_crowd_is_no_target(source):
  with_crowd = take(train(source), 2)
  assert any(len(example["boxes"]) == 3 for example in source)
  for batch in with_crowd:
    assert set(batch["labels"][batch["mask"]].tolist()) <= {0, 1}


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(source, threads):
  expected = take(train(source, augment=AUGMENT), 7)
  assert_equal(expected, take(train(source, augment=AUGMENT, threads=threads), 7))


def test_seed_decides(source):
  once = take(train(source, augment=AUGMENT), 3)
  assert_equal(once, take(train(source, augment=AUGMENT), 3))
  other = take(train(source, augment=AUGMENT, seed=4), 3)
  assert not np.array_equal(once[0]["id"], other[0]["id"])


@pytest.mark.parametrize("threads", [0, 2])
def test_resume_is_exact(source, threads):
  iterator = train(source, augment=AUGMENT, threads=threads)
  take(iterator, 4)
  state = json.loads(json.dumps(iterator.get_state()))
  expected = take(iterator, 4)
  fresh = train(source, augment=AUGMENT, threads=threads)
  take(fresh, 1)
  fresh.set_state(state)
  assert_equal(expected, take(fresh, 4))


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_global_batch(source, processes, is_training):
  arguments = dict(augment=AUGMENT if is_training else (), train=is_training)
  whole = take(train(source, **arguments), 3)
  parts = [
    take(train(source, process_index=p, process_count=processes, **arguments), 3)
    for p in range(processes)
  ]
  joined = [
    {key: np.concatenate([part[step][key] for part in parts]) for key in whole[0]}
    for step in range(3)
  ]
  assert_equal(whole, joined)


def test_every_epoch_holds_each_example_once(source):
  ids = np.concatenate([b["id"] for b in take(train(source), 23)])
  epochs = ids.reshape(8, 23)
  assert (np.sort(epochs, 1) == np.arange(100, 123)).all()
  assert len({tuple(epoch) for epoch in epochs}) == 8, "another order each time"


def test_weights_and_alpha_are_disjoint(source):
  parts = {}
  for part in ("weights", "alpha"):
    parts[part] = {
      i for b in take(train(source, part=part, fraction=0.7), 8) for i in b["id"].tolist()
    }
  assert len(parts["weights"]) == 16
  assert len(parts["alpha"]) == 7
  assert parts["weights"] | parts["alpha"] == set(range(100, 123))
  other = Pipeline(
    source=source, batch_size=2, size=(8, 8), seed=4, train=True, part="weights", fraction=0.7
  )
  assert set(source.ids[other.indices].tolist()) != parts["weights"], "the seed decides"


def test_mosaic_of_a_part_stays_in_the_part(source):
  """What mosaic adds comes from the same half, else alpha would see training images."""
  augment = [dict(name="mosaic", probability=1.0, scale=(1.0, 1.0))]
  pipeline = Pipeline(
    source=source, batch_size=8, size=(64, 64), seed=3, train=True, part="alpha", augment=augment,
    threads=0,
  )  # fmt: skip
  for _, batch in zip(range(3), pipeline):
    reds = set(np.unique(batch["image"][:, ::7, ::7, 0]).tolist())
    blended = {114}  # The grey beside the images.
    assert reds & set(range(23)) <= set(pipeline.indices.tolist()) | blended


def test_evaluation_sees_each_example_once(source):
  pipeline = Pipeline(source=source, batch_size=5, size=(32, 48), train=False, threads=2)
  found = list(pipeline)
  assert len(found) == len(pipeline) == 5
  assert [int(b["valid"].sum()) for b in found] == [5, 5, 5, 5, 3]
  ids = np.concatenate([b["id"][b["valid"]] for b in found])
  assert ids.tolist() == list(range(100, 123))
  last = found[-1]
  assert not last["image"][3:].any()
  assert not last["mask"][3:].any()
  assert (last["id"][3:] == -1).all()


def test_predictions_map_back(source):
  for batch in Pipeline(source=source, batch_size=5, size=(40, 32), train=False, threads=0):
    for row in np.flatnonzero(batch["valid"]):
      i = int(batch["id"][row]) - 100
      assert tuple(batch["original"][row]) == tuple(source.sizes[i])
      placed = batch["boxes"][row][batch["mask"][row]]
      place = (batch[name][row] for name in ("scale", "offset", "original"))
      back, inside = to_image(placed, *place)
      assert inside.all()
      assert np.allclose(back, source.targets(i)["boxes"], atol=1e-4)


def test_source_without_boxes(source):
  rows = [[] for _ in range(len(source))]
  empty = data.DetectionSource(
    "empty [train]", ("a",), range(23), source.images, annotations=data.Annotations.of(rows),
    sizes=source.sizes,
  )  # fmt: skip
  batch = next(train(empty, augment=AUGMENT))
  assert batch["mask"].shape[1] >= 1
  assert not batch["mask"].any()
  coco = empty.to_coco()
  assert (len(coco["images"]), len(coco["annotations"])) == (23, 0)


def test_image_of_one_pixel():
  source = data.DetectionSource(
    "dot [train]",
    ("a",),
    [7],
    Images(lambda i: np.full((1, 1, 3), 200, np.uint8), lambda i: "dot"),
    annotations=data.Annotations.of([[(0, 0, 1, 1, 0, False, None)]]),
    sizes=[(1, 1)],
  )
  batch = next(train(source, augment=AUGMENT, size=(16, 16), batch_size=2))
  assert batch["id"].tolist() == [7, 7]
  plain = next(train(source, size=(16, 16), batch_size=2))
  assert plain["boxes"][0, 0].tolist() == [0, 0, 16, 16]


def test_classification(digits):
  augment = [dict(name="pad_crop", pad_px=1), dict(name="hflip"), dict(name="cutout", length_px=2)]
  batch = next(train(digits, batch_size=16, size=(8, 8), seed=0, augment=augment))
  assert {k: v.shape for k, v in batch.items()} == {
    "image": (16, 8, 8, 3), "label": (16,), "id": (16,)
  }  # fmt: skip
  assert [digits.label(i) for i in batch["id"]] == batch["label"].tolist()
  evaluated = list(train(digits, batch_size=64, size=(12, 10), train=False))
  assert sum(int(b["valid"].sum()) for b in evaluated) == 300
  assert evaluated[0]["image"].shape == (64, 12, 10, 3)


BAD = {
  "batch_size": (dict(batch_size=0), "batch_size = 0; valid: at least 1"),
  "size": (dict(size=(0, 5)), r"size = \(0, 5\); valid: \(height, width\)"),
  "seed": (dict(seed=-1), r"seed = -1; valid: 0 to 2\*\*32"),
  "fraction": (dict(part="alpha", fraction=1.0), "fraction = 1.0; valid: between 0 and 1"),
  "part": (dict(part="alphas"), "unknown part 'alphas'; did you mean 'alpha'"),
  "empty part": (dict(part="weights", fraction=0.01), "part 'weights' of the 23 .* is empty"),
  "process_count": (dict(process_count=3), "process_count = 3; valid: a divisor of batch_size"),
  "process_index": (dict(process_index=1), "process_index = 1; valid: 0 to"),
  "threads": (dict(threads=-1), "threads = -1"),
  "content": (dict(content=(40, 40)), "within size"),
  "one side": (dict(content=16), r"content = 16; valid: None or \(height, width\)"),
  "three sides": (dict(content=(8, 8, 8)), "within size"),
  "half a pixel": (dict(content=(8.5, 8)), "within size"),
  "interpolation": (dict(interpolation="cubic"), "interpolation = 'cubic'; valid: one of"),
  "evaluation": (dict(train=False, augment=AUGMENT), "valid: empty unless train is True"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_argument(source, arguments, message):
  with pytest.raises(data.DataError, match=message):
    train(source, **arguments)


def test_unknown_augmentation(source):
  with pytest.raises(ConfigError, match=r"'hflop'; did you mean 'hflip'"):
    train(source, augment=[dict(name="hflop")])
  with pytest.raises(ConfigError, match=r"strenght.*did you mean 'strength'"):
    train(source, augment=[dict(name="colour", strenght=1)])


def test_mixing_without_boxes(digits):
  with pytest.raises(data.DataError, match="has none"):
    train(digits, augment=["mosaic"])


def test_content_without_boxes(digits):
  """Images to classify cover their canvas, so that this would do nothing."""
  with pytest.raises(data.DataError, match=r"content = \(8, 8\), but digits .*; valid: None"):
    train(digits, size=(8, 8), content=(8, 8))


def test_broken_image_names_itself():
  source = data.DetectionSource(
    "broken [train]",
    ("a",),
    [1],
    Images(lambda i: b"not an image", lambda i: "folder/7.jpg"),
    annotations=data.Annotations.of([[]]),
    sizes=[(10, 10)],
  )
  with pytest.raises(ValueError, match=r"folder/7\.jpg: OpenCV cannot decode"):
    next(train(source, batch_size=1, threads=1))
