# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""TFDS without TensorFlow: a tiny data set of each kind, and the real CIFAR-10 where it is."""

import io
import os
import pathlib
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from dnas import data
from dnas.data import tfds_source
from dnas.data.part import part_of
from dnas.data.pipeline import Pipeline


def png(height: int, width: int, value: int) -> io.BytesIO:
  return io.BytesIO(cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes())


class Tiny(tfds.core.GeneratorBasedBuilder):
  """What the subclasses share."""

  VERSION = tfds.core.Version("1.2.0")
  SPLITS = ("train", "validation")

  def _info(self):
    features = tfds.features.FeaturesDict(self.features())
    return tfds.core.DatasetInfo(builder=self, features=features, description="tiny")

  def _split_generators(self, dl_manager):
    return {split: self._generate_examples(split) for split in self.SPLITS}

  def _generate_examples(self, split):
    for i in range(6 if split == "train" else 3):
      yield i, self.example(i)


class TinyLabelled(Tiny):
  def features(self):
    return {
      "image": tfds.features.Image(shape=(None, None, 3)),
      "label": tfds.features.ClassLabel(names=["a", "b"]),
    }

  def example(self, i):
    return {"image": png(10 + i, 12, i), "label": i % 2}


class TinyBoxes(Tiny):
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2017", version="1.2.0", description="one")]  # noqa: RUF012

  def features(self):
    return {
      "image": tfds.features.Image(),
      "image/id": np.int64,
      "objects": tfds.features.Sequence(
        {
          "bbox": tfds.features.BBoxFeature(),
          "is_crowd": np.bool_,
          "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
      ),
    }

  def example(self, i):
    box = {"bbox": tfds.features.BBox(0.1, 0.25, 0.5, 1.0), "is_crowd": False, "label": 1}
    crowd = {"bbox": tfds.features.BBox(0.0, 0.0, 1.0, 0.5), "is_crowd": True, "label": 0}
    return {"image": png(20, 40, i), "image/id": 1000 + i, "objects": [box, crowd][: i % 3]}


class TinyVoc(Tiny):
  SPLITS = ("test",)

  def features(self):
    box = {
      "bbox": tfds.features.BBoxFeature(),
      "is_difficult": np.bool_,
      "label": tfds.features.ClassLabel(names=["cat"]),
    }
    return {
      "image": tfds.features.Image(),
      "image/filename": tfds.features.Text(),
      "objects": tfds.features.Sequence(box),
    }

  def example(self, i):
    box = {"bbox": tfds.features.BBox(0.0, 0.0, 0.5, 0.5), "is_difficult": i == 1, "label": 0}
    return {"image": png(20, 40, i), "image/filename": f"{i}.jpg", "objects": [box]}


def turned() -> io.BytesIO:
  """A JPEG of 40 x 30 px that a viewer shows as 30 x 40 px."""
  image = Image.fromarray(np.zeros((30, 40, 3), np.uint8))
  exif = image.getexif()
  exif[0x0112] = 6
  file = io.BytesIO()
  image.save(file, "JPEG", exif=exif)
  return io.BytesIO(file.getvalue())


class TinyTurned(TinyBoxes):
  BUILDER_CONFIGS = ()

  def example(self, i):
    box = {"bbox": tfds.features.BBox(0.1, 0.25, 0.5, 1.0), "is_crowd": False, "label": 1}
    return {"image": turned(), "image/id": i, "objects": [box]}


class TinyTurnedLabelled(TinyLabelled):
  def example(self, i):
    return {"image": turned(), "label": 0}


class TinyDepth(Tiny):
  def features(self):
    return {"image": tfds.features.Image(), "depth": np.float32}

  def example(self, i):
    return {"image": png(4, 4, i), "depth": 0.5}


class TinyText(Tiny):
  def features(self):
    return {"text": tfds.features.Text()}

  def example(self, i):
    return {"text": "x"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  path = tmp_path_factory.mktemp("tfds")
  for builder in (
    *(TinyLabelled, TinyBoxes, TinyVoc, TinyDepth, TinyText),
    *(TinyTurned, TinyTurnedLabelled),
  ):
    tfds_source._prepare_quietly(builder(data_dir=path, file_format="array_record"))
  return path


def load(folder, name, split="train"):
  return data.load(f"tfds:{name}", split, data_dir=folder)


def test_detection(folder):
  source = load(folder, "tiny_boxes/2017:1.2.0")
  assert isinstance(source, data.DetectionSource)
  assert (len(source), source.classes) == (6, ("cat", "dog"))
  by_id = {example["id"]: example for example in source}
  assert set(by_id) == set(range(1000, 1006))
  both = by_id[1002]
  assert both["image"].shape == (20, 40, 3)
  assert (both["image"] == 2).all()
  assert np.allclose(both["boxes"], [[10, 2, 40, 10], [0, 0, 20, 20]])
  assert both["labels"].tolist() == [1, 0]
  assert both["crowd"].tolist() == [False, True]
  assert by_id[1000]["boxes"].shape == (0, 4)
  truth = source.to_coco()
  assert {(i["height"], i["width"]) for i in truth["images"]} == {(20, 40)}
  assert sum(a["iscrowd"] for a in truth["annotations"]) == 2
  assert source.max_boxes == 1
  assert "tensorflow" not in sys.modules


def test_difficult_objects_count_as_crowd(folder):
  source = load(folder, "tiny_voc:1.2.0", "test")
  assert source.ids.tolist() == [0, 1, 2]
  for example in source:
    assert example["crowd"].tolist() == [example["image"][0, 0, 0] == 1]


def test_classification(folder):
  source = load(folder, "tiny_labelled:1.2.0", "val")
  assert source.task == "classification"
  assert source.classes == ("a", "b")
  for example in source:
    assert example["label"] == int(example["image"][0, 0, 0]) % 2
    assert example["image"].shape == (10 + example["image"][0, 0, 0], 12, 3)
  batch = next(iter(Pipeline(source=source, batch_size=2, size=(8, 8), train=True, threads=1)))
  assert batch["label"].tolist() == (batch["image"][:, 0, 0, 0] % 2).tolist()


def test_label_before_the_image_is_read(folder):
  source = load(folder, "tiny_labelled:1.2.0")
  assert sorted(source.label(i) for i in range(6)) == [0, 0, 0, 1, 1, 1]


def test_labels_of_a_part(folder):
  """Also where neither an image nor a label of the whole was read before."""
  part = part_of(load(folder, "tiny_labelled:1.2.0"), np.array([4, 1, 3, 5]))
  again = part_of(part, np.array([2, 0]))
  assert again.ids.tolist() == [3, 4]
  for source in (again, part):
    labels = [source.label(i) for i in range(len(source))]
    assert labels == [int(source.images.read(i)[0, 0, 0]) % 2 for i in range(len(source))]
    assert labels == [example["label"] for example in source]


def test_images_are_not_turned_by_exif(folder):
  """Boxes and sizes count on the pixels as stored, which TFDS decodes, too."""
  source = load(folder, "tiny_turned:1.2.0")
  assert source.sizes.tolist() == [[30, 40]] * 6
  assert source[0]["image"].shape == (30, 40, 3)
  assert np.allclose(source[0]["boxes"], [[10, 3, 40, 15]])
  labelled = load(folder, "tiny_turned_labelled:1.2.0")
  assert labelled[0]["image"].shape == (30, 40, 3)


def test_newest_version_and_parts_of_a_split(folder):
  assert len(load(folder, "tiny_labelled")) == 6
  assert len(load(folder, "tiny_labelled", "train[:50%]")) == 3


def test_folder_from_the_environment(folder, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
  assert len(data.load("tfds:tiny_labelled:1.2.0")) == 6


BAD = {
  "not prepared": ("coco/2017:1.1.0", "train", r"tfds:coco/2017:1.1.0 is not prepared in .*"
                   r"prepared there: .*tiny_boxes/2017/1.2.0.*EXTRAS=prepare bash scripts/setup.sh"
                   r".* python -c .*tfds.builder\('coco/2017:1.1.0', data_dir=.*array_record"),
  "other version": ("tiny_labelled:9.0.0", "train", "is not prepared"),
  "config missing": ("tiny_boxes:1.2.0", "train", "is not prepared"),
  "name": ("tiny labelled", "train", "is no TFDS name: write tfds:NAME:1.2.3"),
  "upwards": ("../x:1.0.0", "train", "is no TFDS name"),
  "split": ("tiny_labelled:1.2.0", "test", "unknown split .*'test'.*Valid: train, validation"),
  "part": ("tiny_labelled:1.2.0", "train[oops]", r"train\[oops\]\] is no part of a split"),
  "empty part": ("tiny_labelled:1.2.0", "train[:0]", "is empty: it has no images"),
  "neither": ("tiny_depth:1.2.0", "train", "neither 'objects' .* it has: .*depth"),
  "no image": ("tiny_text:1.2.0", "train", "has no feature 'image'; it has: text"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "split", "message"), BAD.values(), ids=BAD)
def test_bad(folder, name, split, message):
  with pytest.raises(data.DataError, match=message):
    load(folder, name, split)


def test_not_random_access(tmp_path):
  """Data that TFDS prepared in its old default format have to be prepared again."""
  builder = TinyLabelled(data_dir=tmp_path, file_format="array_record")
  tfds_source._prepare_quietly(builder)
  info = pathlib.Path(builder.data_dir) / "dataset_info.json"
  info.write_text(info.read_text().replace("array_record", "tfrecord"))
  with pytest.raises(data.DataError, match="again with file_format='array_record'"):
    load(tmp_path, "tiny_labelled:1.2.0")


def test_cifar10():
  """The real one, which `make_cifar10.py` prepares."""
  for variable in ("DNAS_TFDS", "TFDS_DATA_DIR"):
    folder = os.environ.get(variable)
    if folder and pathlib.Path(folder, "cifar10", "3.0.2", "dataset_info.json").is_file():
      break
  else:
    pytest.skip("CIFAR-10 is not prepared: see ../shared/tools/make_cifar10.py, then set DNAS_TFDS")
  source = data.load("tfds:cifar10:3.0.2", "test", data_dir=folder)
  assert (len(source), source.classes[:2]) == (10_000, ("airplane", "automobile"))
  assert len(data.load("tfds:cifar10:3.0.2", data_dir=folder)) == 50_000
  augment = [dict(name="pad_crop"), dict(name="hflip"), dict(name="cutout")]
  batch = next(
    iter(Pipeline(source=source, batch_size=64, size=(32, 32), train=True, augment=augment))
  )
  assert batch["image"].shape == (64, 32, 32, 3)
  assert len(set(batch["label"].tolist())) > 5
