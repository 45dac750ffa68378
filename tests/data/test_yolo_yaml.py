# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO data files: what is read, what is mended, and what stops with file and line."""

import pathlib

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from dnas import data
from dnas.data.yolo_yaml import label_file


class Folder:
  """A small YOLO data set on disk: 3 training images of 40 x 20 px, one for validation."""

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.yaml = {
      "path": "data",
      "train": "images/train",
      "val": "images/val",
      "test": None,
      "names": ["cat", "dog"],
    }
    for name in ("train/a", "train/sub/b", "train/c", "val/d"):
      file = path / "data" / "images" / f"{name}.png"
      file.parent.mkdir(parents=True, exist_ok=True)
      cv2.imwrite(str(file), np.full((20, 40, 3), len(name), np.uint8))
    self.labels("train/a", "1 0.5 0.5 0.5 0.5\n\n0 0.1 0.2 0.1 0.2\n")
    self.labels("train/sub/b", "0 0.25 0.5 0.75 0.5 0.5 1.0\n")
    self.labels("val/d", "")

  def labels(self, name: str, text: str) -> None:
    file = self.path / "data" / "labels" / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="latin-1")

  def load(self, split="train", **arguments):
    file = self.path / "x.yaml"
    file.write_text(yaml.safe_dump(self.yaml, sort_keys=False))
    return data.load(f"yolo:{file}", split, **arguments)


@pytest.fixture
def folder(tmp_path) -> Folder:
  return Folder(tmp_path)


def test_good(folder):
  source = folder.load()
  assert (len(source), source.classes) == (3, ("cat", "dog"))
  assert [pathlib.Path(f).name for f in source.files] == ["a.png", "c.png", "b.png"]
  assert np.allclose(source[0]["boxes"], [[10, 5, 30, 15], [2, 2, 6, 6]])
  assert source[0]["labels"].tolist() == [1, 0]
  assert source[1]["boxes"].shape == (0, 4)
  assert np.allclose(source[2]["boxes"], [[10, 10, 30, 20]]), "the box of the polygon"
  assert source.report.lines()[0].startswith("1 x image without a label file")
  assert source.sizes.tolist() == [[20, 40]] * 3
  assert source.to_coco()["annotations"][0]["bbox"] == pytest.approx([10, 5, 20, 10])
  background = folder.load("validation")
  assert (len(background), background.max_boxes) == (1, 0)


def test_names_as_dict_and_count_only(folder):
  folder.yaml["names"] = {1: "dog", 0: "cat"}
  assert folder.load().classes == ("cat", "dog")
  folder.yaml.update(nc=2)
  assert folder.load().classes == ("cat", "dog")
  folder.yaml.pop("names")
  assert folder.load().classes == ("class 0", "class 1")


def test_lists_of_images(folder):
  folder.yaml["train"] = ["list.txt", "images/val"]
  (folder.path / "data" / "list.txt").write_text(
    f"./images/train/a.png\nimages/train/c.png\n\n{folder.path}/data/images/train/sub/b.png\n"
  )
  source = folder.load()
  assert [pathlib.Path(f).name for f in source.files] == ["a.png", "c.png", "b.png", "d.png"]
  assert len(source.annotations.boxes) == 3
  folder.yaml["train"] = ["images/train", "list.txt"]
  source = folder.load()
  assert len(source) == 3
  assert "3 x image that is listed twice taken once (first: train)" in source.report.lines()


def test_root_is_the_folder_of_the_file_or_the_working_folder(folder, monkeypatch):
  folder.yaml["path"] = str(folder.path / "data")
  assert len(folder.load()) == 3
  (folder.path / "datasets").mkdir()
  (folder.path / "data").rename(folder.path / "datasets" / "pets")
  folder.yaml["path"] = "pets"
  monkeypatch.chdir(folder.path)
  assert len(folder.load()) == 3
  folder.yaml.pop("path")
  folder.yaml["train"] = "datasets/pets/images/train"
  assert len(folder.load()) == 3


def test_a_folder_beside_the_file_that_is_written_as_one_above(folder):
  """As Roboflow exports data sets."""
  folder.yaml.update(path="data/images", train="../train", val="../../data/images/val")
  source = folder.load()
  assert len(source) == 3
  assert "1 x path that starts with ../ taken without it (first: ../train)" in source.report.lines()
  assert len(folder.load("val")) == 1  # It is where it is said to be.
  folder.yaml["train"] = "../gone"
  with pytest.raises(data.DataError, match=r"data/images/\.\./gone: missing"):
    folder.load()


def test_label_file():
  path = pathlib.Path("/x/images/y/images/z/7.v2.jpg")
  assert label_file(path) == pathlib.Path("/x/images/y/labels/z/7.v2.txt")
  assert label_file(pathlib.Path("/x/y/7.jpg")) == pathlib.Path("/x/y/7.txt")


def test_image_turned_by_exif(folder):
  """Parts of width and height are those of the image as a viewer shows it."""
  turned = Image.fromarray(np.zeros((20, 40, 3), np.uint8))
  exif = turned.getexif()
  exif[0x0112] = 6
  turned.save(folder.path / "data" / "images" / "val" / "d.png", exif=exif)
  folder.labels("val/d", "0 0.5 0.5 1 1\n")
  source = folder.load("val")
  assert source[0]["image"].shape == (40, 20, 3)
  assert source[0]["boxes"].tolist() == [[0, 0, 20, 40]]


MENDED = {
  "twice": ("0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n", "1 x row that stands twice", 1),
  "clipped": ("0 0.95 .5 .2 .2\n", "1 x box clipped to its image", 1),
  "no area": ("0 .5 .5 0 .2\n0 .5 .5 .2 .2\n", "1 x box without area dropped", 1),
  "outside": ("0 1.08 .5 .1 .2\n", "1 x box outside its image dropped", 0),
  "float class": ("1.0 .5 .5 .2 .2\n", "1 x image without a label file", 1),
}


@pytest.mark.parametrize(("text", "line", "count"), MENDED.values(), ids=MENDED)
def test_mended(folder, text, line, count):
  folder.labels("train/a", text)
  source = folder.load()
  assert any(shown.startswith(line) for shown in source.report.lines())
  assert len(source[0]["boxes"]) == count


ROWS = {
  "class": ("0 .5 .5 .2 .2\n2 .5 .5 .2 .2", "line 2: class 2; valid: 0 to 1"),
  "negative class": ("-1 .5 .5 .2 .2", "line 1: class -1; valid: 0 to 1"),
  "half class": ("0.5 .5 .5 .2 .2", "class 0.5; valid: 0 to 1"),
  "px": ("0 320 240 50 60", "line 1: coordinate 320; valid: 0 to 1, parts of the width"),
  "not finite": ("0 nan .5 .2 .2", "coordinate nan"),
  "words": ("cat .5 .5 .2 .2", "'cat .5 .5 .2 .2' is not all numbers"),
  "few": ("0 .5 .5 .2", "line 1: 4 values; valid: class cx cy w h"),
  "confidence": ("0 .5 .5 .2 .2 .9", "line 1: 6 values"),
  "odd polygon": ("0 .1 .1 .2 .2 .3 .3 .4", "line 1: 8 values"),
  "encoding": ("0 .5 .5 .2 .2 \xe9", "is not UTF-8 text: byte 14"),
}


@pytest.mark.parametrize(("text", "message"), ROWS.values(), ids=ROWS)
def test_bad_row(folder, text, message):
  folder.labels("train/a", text)
  with pytest.raises(data.DataError, match=f"labels/train/a.txt.*{message}"):
    folder.load()


FIELDS = {
  "no names": (dict(names=None), "has neither 'names' nor 'nc'"),
  "empty names": (dict(names=[]), r"names = \[\]; valid: a list or a dict"),
  "gap": (dict(names={0: "cat", 2: "dog"}), r"keys of names are \[0, 2\]; valid: 0 to 1"),
  "named keys": (dict(names={"cat": 0, "dog": 1}), "keys of names are"),
  "count": (dict(nc=3), "nc = 3, but names has 2 entries"),
  "bad count": (dict(nc="2"), "nc = '2'; valid: the number of classes"),
  "path": (dict(path="elsewhere"), "path = 'elsewhere' is no folder; tried .*elsewhere"),
  "path type": (dict(path=5), "path = 5; valid: a folder"),
  "split type": (dict(train=5), "train: 5; valid: a folder of images"),
  "split missing": (dict(train="images/nope"), "images/nope: missing"),
  "split file": (dict(train="images/train/a.png"), "is neither a folder nor a .txt list"),
  "no images": (dict(train="labels"), "is empty: 'labels' holds no images"),
  "no split": (dict(train=None), "'train'.* Valid: val"),
}


@pytest.mark.parametrize(("fields", "message"), FIELDS.values(), ids=FIELDS)
def test_bad_field(folder, fields, message):
  folder.yaml.update(fields)
  with pytest.raises(data.DataError, match=message) as caught:
    folder.load()
  assert "x.yaml" in str(caught.value)


JUNK = [
  None,
  True,
  -1,
  0,
  2**80,
  1.5,
  "",
  "x",
  "a\0b",
  [],
  [1],
  ["x", None],
  {},
  {"a": 1},
  "images",
]


def test_whatever_stands_in_the_file_is_read_or_refused(folder):
  """Each field in turn replaced by junk: never anything but a source or a DataError."""
  good = dict(folder.yaml)
  refused = []
  for field in ("path", "train", "names", "nc"):
    for junk in JUNK:
      folder.yaml = {**good, field: junk}
      try:
        assert len(folder.load()) > 0
      except data.DataError as error:
        refused.append(str(error))
  assert all("x.yaml" in message for message in refused)
  assert len(refused) > 30


FILES = {
  "broken": (b"names: [cat\ntrain: x", "is not valid YAML: line 2 column"),
  "list": (b"- a", "not a mapping with"),
  "empty": (b"", "is None, not a mapping"),
  "bytes": (b"names: \xff", "is not UTF-8 text: byte 7"),
  "tag": (b"names: !!int ", "is not valid YAML"),
  "date": (b"names: 2020-99-99", "is not valid YAML"),
  "code": (b"!!python/object/apply:os.system [ls]", "is not valid YAML.*could not determine"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_bad_file(tmp_path, content, message):
  (tmp_path / "x.yaml").write_bytes(content)
  with pytest.raises(data.DataError, match=message):
    data.load(f"yolo:{tmp_path}/x.yaml")


def test_the_path_of_a_yaml_file_is_enough_from_inside_its_folder_too(folder, monkeypatch):
  del folder.yaml["path"]
  (folder.path / "data" / "x.yaml").write_text(yaml.safe_dump(folder.yaml))
  monkeypatch.chdir(folder.path / "data")
  assert label_file(pathlib.Path("images/train/a.png")) == pathlib.Path("labels/train/a.txt")
  source = data.load("x.yaml")
  assert source[0]["labels"].tolist() == [1, 0]


def test_two_classes_of_one_name(folder):
  folder.yaml["names"] = ["cat", "cat"]
  with pytest.raises(data.DataError, match="two classes are named 'cat'; names are unique"):
    folder.load()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_every_format_is_turned_once(tmp_path, suffix, orientation):
  folder = Folder(tmp_path)
  (tmp_path / "data" / "images" / "val" / "d.png").unlink()
  image = Image.fromarray(np.zeros((20, 40, 3), np.uint8))
  exif = image.getexif()
  exif[0x0112] = orientation
  image.save(tmp_path / "data" / "images" / "val" / f"d.{suffix}", exif=exif)
  source = folder.load("val")
  expected = (40, 20) if orientation > 4 else (20, 40)
  assert tuple(source.sizes[0]) == source[0]["image"].shape[:2] == expected


def test_missing_files(folder, tmp_path):
  with pytest.raises(data.DataError, match="missing: it should be a YOLO data file"):
    data.load(f"yolo:{tmp_path}/y.yaml")
  with pytest.raises(data.DataError, match="cannot be read"):
    data.load(f"yolo:{tmp_path}")
  (folder.path / "data" / "labels").rename(folder.path / "data" / "annotations")
  with pytest.raises(data.DataError, match=r"a\.txt: missing, and so are the labels of all 3"):
    folder.load()
  (folder.path / "data" / "list.txt").write_bytes(b"\xff")
  folder.yaml["train"] = "list.txt"
  with pytest.raises(data.DataError, match=r"list\.txt is not UTF-8 text: byte 0"):
    folder.load()


def test_an_image_that_cannot_be_decoded_is_left_out_where_that_is_asked_for(folder):
  broken = folder.path / "data" / "images" / "train" / "c.png"
  broken.write_bytes(broken.read_bytes()[:50])
  with pytest.raises(data.DataError, match=r"c\.png: cannot be read"):
    folder.load()
  source = folder.load(skip_broken=True)
  assert [pathlib.Path(file).name for file in source.files] == ["a.png", "b.png"]
  ((where, why),) = source.report.skipped
  assert (where, "cannot be read" in why) == (str(broken), True)
  assert any("left out" in line for line in source.report.lines())
  np.testing.assert_array_equal(source.annotations.starts, [0, 2, 3])
  broken.unlink()
  folder.yaml["train"] = "list.txt"
  images = folder.path / "data" / "images" / "train"
  (folder.path / "data" / "list.txt").write_text(f"{images}/a.png\n{images}/gone.png\n")
  with pytest.raises(data.DataError, match=r"gone\.png: missing"):
    folder.load(skip_broken=True)
