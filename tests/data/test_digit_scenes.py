# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded data sets: digits and digit_scenes."""

import hashlib
import multiprocessing
import pathlib

import numpy as np
import pytest

from dnas import data
from dnas.data import digit_scenes, digits

# SHA-256 of the pixels and boxes of all scenes, in order.
DIGESTS = {
  "train": "6508d53418ba21bedf3070f1dc1e0b5ff2ebf8283ed568b005ac513cad25e149",
  "validation": "0003e31372f76cc2d317b1efa8ddfe8ee0ad021244ed305e130b8b720d37a63c",
  "test": "ca462a50e703924f04a5a7e01863ffb1f35f1754a82dd6f1dcd4bc03d6398f31",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp("cache")


def digest(source: data.DetectionSource) -> str:
  sha = hashlib.sha256()
  for example in source:
    sha.update(example["image"].tobytes())
    sha.update(example["boxes"].astype("<f4").tobytes() + example["labels"].astype("<i4").tobytes())
  return sha.hexdigest()


def _load(cache: str, barrier, queue) -> None:
  digit_scenes.COUNTS.update(train=20, validation=10, test=30)
  barrier.wait()
  queue.put(len(data.load("digit_scenes", "test", cache=cache)))


def test_bytes_are_the_same_everywhere(cache):
  for split, count in digit_scenes.COUNTS.items():
    source = data.load("digit_scenes", split, cache=cache)
    assert isinstance(source, data.DetectionSource)
    assert len(source) == count
    assert source.report.lines() == []
    order = np.argsort(source.ids)  # TFDS shuffles; the order is part of its file format.
    assert np.array_equal(source.ids[order], np.arange(count))
    assert digest(source) == DIGESTS[split], split


def test_loaded_scene_is_the_rendered_one(cache):
  source = data.load("digit_scenes", "validation", cache=cache)
  for i in (0, 7, 399):
    image, boxes = digit_scenes.render("validation", source[i]["id"])
    assert np.array_equal(source[i]["image"], image)
    assert np.array_equal(source[i]["boxes"], np.float32([b[:4] for b in boxes]))
    assert source[i]["labels"].tolist() == [b[4] for b in boxes]


def test_scenes_are_as_the_docs_say(cache):
  source = data.load("digit_scenes", "test", cache=cache)
  counts = np.diff(source.annotations.starts)
  assert counts.min() >= 1
  assert counts.max() <= 6
  assert set(source.annotations.labels.tolist()) == set(range(10))
  assert source.classes == digits.CLASSES
  height = source.annotations.boxes[:, 3] - source.annotations.boxes[:, 1]
  assert 12 <= height.min() < 18
  assert 36 < height.max() <= 48
  assert source[0]["image"].shape == (96, 96, 3)
  for i in range(40):
    boxes = source[i]["boxes"]
    for k, a in enumerate(boxes):
      for b in boxes[:k]:
        inner = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        assert inner.min() <= 0, "digits never overlap"


def test_boxes_are_exact():
  """The ink touches each side of its box, and the background around the box is untouched."""
  ink, _ = digit_scenes._glyphs("train")
  for k in range(30):
    opacity = digit_scenes._draw(ink[k], 14 + k % 27, k % 31 - 15, 85 + k)
    for side in (opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1]):
      assert side.max() >= 32
    assert opacity.min() >= 0
    assert opacity.max() <= 255


def test_splits_use_disjoint_digits():
  seen = {}
  for split in digit_scenes.COUNTS:
    ink, labels = digits.glyphs(split)
    assert np.bincount(labels, minlength=10).min() > 15
    for glyph, label in zip(ink, labels):
      seen.setdefault((glyph.tobytes(), int(label)), set()).add(split)
  assert len(seen) == 1797
  assert all(len(splits) == 1 for splits in seen.values())


def test_second_load_prepares_nothing(cache, monkeypatch):
  data.load("digit_scenes", "test", cache=cache)
  monkeypatch.setattr(digit_scenes, "render", None)
  assert len(data.load("digit_scenes", "test", cache=cache)) == 400


def test_two_processes_prepare_at_once(tmp_path):
  context = multiprocessing.get_context("spawn")
  barrier, queue = context.Barrier(2), context.Queue()
  workers = [context.Process(target=_load, args=(str(tmp_path), barrier, queue)) for _ in range(2)]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join(120)
    assert worker.exitcode == 0
  assert [queue.get(timeout=5) for _ in workers] == [30, 30]
  assert [p.name for p in (tmp_path / "tfds").iterdir()] == ["digit_scenes"], "no leftovers"
  assert len(data.load("digit_scenes", "train", cache=tmp_path)) == 20


def test_digits():
  sources = {split: data.load("digits", split) for split in ("train", "validation", "test")}
  assert [len(s) for s in sources.values()] == [1197, 300, 300]
  example = sources["test"][-1]
  assert example["image"].shape == (8, 8, 3)
  assert example["image"].dtype == np.uint8
  assert example["image"].max() > 200
  assert 0 <= example["label"] < 10
  assert len(data.load("digits", "val")) == 300


@pytest.mark.parametrize("spec", ["digits", "digit_scenes"])
def test_unknown_split(spec, cache):
  with pytest.raises(data.DataError, match=r"'tset'; did you mean 'test'\? Valid:.*train"):
    data.load(spec, "tset", cache=cache)
