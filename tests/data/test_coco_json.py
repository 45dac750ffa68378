# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""COCO JSON: what is read, what is mended, and what stops with a message that says where."""

import copy
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from dnas import data
from dnas.data.pipeline import Pipeline


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


GOOD = {
  "images": [
    {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},
    {"id": 3, "file_name": "b.png", "width": 20, "height": 24},
  ],
  "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
  "annotations": [
    {"id": 1, "image_id": 7, "category_id": 90, "bbox": [2, 3, 10, 12], "area": 60.5, "iscrowd": 0,
     "segmentation": [[2, 3, 12, 3, 12, 15]]},
    {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1,
     "segmentation": {"counts": [0, 1200], "size": [30, 40]}},
    {"id": 3, "image_id": 3, "category_id": 1, "bbox": [4.5, 5, 6, 7.25]},
  ],
}  # fmt: skip


class Folder:
  """A small COCO data set on disk."""

  def __init__(self, path):
    self.path = path
    self.json = copy.deepcopy(GOOD)
    (path / "images").mkdir()
    cv2.imwrite(str(path / "images" / "a.jpg"), image(30, 40))
    cv2.imwrite(str(path / "images" / "b.png"), image(24, 20))

  def load(self, split="train", **arguments):
    (self.path / "instances.json").write_text(json.dumps(self.json))
    return data.load(f"coco:{self.path}/instances.json@{self.path}/images", split, **arguments)


@pytest.fixture
def folder(tmp_path) -> Folder:
  return Folder(tmp_path)


def test_good(folder):
  source = folder.load()
  assert (len(source), source.classes) == (2, ("person", "toothbrush"))
  assert source.report.lines() == []
  first, second = source
  assert first["image"].shape == (30, 40, 3)
  assert first["boxes"].tolist() == [[2, 3, 12, 15], [0, 0, 40, 30]]
  assert first["labels"].tolist() == [1, 0]
  assert first["crowd"].tolist() == [False, True]
  assert (first["id"], second["id"]) == (7, 3)
  assert {k: v.dtype for k, v in first.items() if k not in ("id",)} == {
    "image": np.uint8, "boxes": np.float32, "labels": np.int32, "crowd": bool
  }  # fmt: skip
  assert np.array_equal(second["image"], image(24, 20)[..., ::-1]), "RGB"


def test_ground_truth_keeps_ids_crowds_and_areas(folder):
  truth = folder.load().to_coco()
  assert [c["id"] for c in truth["categories"]] == [1, 90]
  assert truth["images"][0] == {"id": 7, "width": 40, "height": 30, "file_name": "a.jpg"}
  rows = [(a["image_id"], a["category_id"], a["bbox"], a["area"], a["iscrowd"])
          for a in truth["annotations"]]  # fmt: skip
  assert rows == [
    (7, 90, [2, 3, 10, 12], 60.5, 0),
    (7, 1, [0, 0, 40, 30], 1200, 1),
    (3, 1, [4.5, 5, 6, 7.25], 43.5, 0),
  ]
  assert [a["id"] for a in truth["annotations"]] == [1, 2, 3]


def test_split_placeholder(tmp_path):
  for split in ("train", "val"):
    (tmp_path / split).mkdir()
    cv2.imwrite(str(tmp_path / split / "a.jpg"), image(30, 40))
    content = GOOD | {"images": GOOD["images"][:1], "annotations": GOOD["annotations"][:1]}
    (tmp_path / f"instances_{split}.json").write_text(json.dumps(content))
  spec = f"coco:{tmp_path}/instances_{{split}}.json@{tmp_path}/{{split}}"
  assert len(data.load(spec, "train")) == len(data.load(spec, "validation")) == 1
  missing = rf"{tmp_path}/instances_test\.json is missing: .*'test'.* Valid: train, val"
  with pytest.raises(data.DataError, match=missing):
    data.load(spec, "test")
  with pytest.raises(data.DataError, match="several splits: say which"):
    data.load(spec, None)


def test_a_missing_file_is_named_with_its_split(tmp_path):
  spec = f"coco:{tmp_path}/{{split}}/all_{{split}}.json@{tmp_path}/{{split}}"
  missing = rf"^{tmp_path}/val/all_val\.json is missing, and so is the file of every other split"
  with pytest.raises(data.DataError, match=missing):
    data.load(spec, "val")
  for name in ("a/all_a", "b/all_b", "c/all_d"):  # The last is of no split.
    (tmp_path / name).parent.mkdir()
    (tmp_path / f"{name}.json").write_text("{}")
  with pytest.raises(data.DataError, match=r"val/all_val\.json is missing: .* Valid: a, b$"):
    data.load(spec, "val")


def test_paths_may_hold_what_parts_them(folder, tmp_path):
  at = tmp_path / "a@b.org"
  at.mkdir()
  (folder.path / "images").rename(at / "images@full")
  (at / "all.v1.json").write_text(json.dumps(folder.json))
  assert len(data.load(f"coco:{at}/all.v1.json@{at}/images@full")) == 2
  (at / "all.v1.json").rename(tmp_path / "instances")
  assert len(data.load(f"coco:{tmp_path}/instances@{at}/images@full")) == 2
  for incomplete in (f"{at}/all.json", f"{at}/all.json@", ".json", "@images"):
    with pytest.raises(data.DataError, match=r"write coco:FILE\.json@FOLDER|missing"):
      data.load(f"coco:{incomplete}")


def test_one_file_is_one_split(folder):
  assert len(folder.load(None)) == 2
  with pytest.raises(data.DataError, match=r"'test' cannot be had from it; put \{split\}"):
    folder.load("test")


def test_image_turned_by_exif(folder):
  """Boxes count on the pixels as stored, unless the JSON's size says otherwise."""
  turned = Image.fromarray(image(30, 40))
  exif = turned.getexif()
  exif[0x0112] = 6
  turned.save(folder.path / "images" / "a.jpg", exif=exif)
  assert folder.load()[0]["image"].shape == (30, 40, 3)
  folder.json["images"][0].update(width=30, height=40)
  source = folder.load()
  assert source[0]["image"].shape == (40, 30, 3)
  assert source.sizes[0].tolist() == [40, 30]


def test_string_ids_and_missing_sizes(folder):
  folder.json["images"] = [{"id": "x", "file_name": "a.jpg"}, {"id": "y", "file_name": "b.png"}]
  for entry, key in zip(folder.json["annotations"], "xxy"):
    entry["image_id"] = key
  source = folder.load()
  assert source.ids.tolist() == [1, 2]
  assert source.sizes.tolist() == [[30, 40], [24, 20]]
  assert source.annotations.starts.tolist() == [0, 2, 3]


MENDED = {
  "clipped": (lambda a: a.update(bbox=[-5, 3, 10, 12]), "1 x box clipped", [0, 3, 5, 15]),
  "too wide": (lambda a: a.update(bbox=[2, 3, 1000, 12]), "1 x box clipped", [2, 3, 40, 15]),
  "no width": (lambda a: a.update(bbox=[2, 3, 0, 12]), "1 x box without area dropped", None),
  "negative": (lambda a: a.update(bbox=[9, 3, -4, 12]), "1 x box without area dropped", None),
  "outside": (lambda a: a.update(bbox=[60, 3, 5, 5]), "1 x box outside its image dropped", None),
  "area": (lambda a: a.update(area="big"), "1 x area that is no number", [2, 3, 12, 15]),
}


@pytest.mark.parametrize(("change", "line", "box"), MENDED.values(), ids=MENDED)
def test_mended(folder, change, line, box):
  change(folder.json["annotations"][0])
  source = folder.load()
  assert source.report.lines()[0].startswith(line)
  assert "annotation 1 of a.jpg" in source.report.lines()[0]
  assert source[0]["boxes"].tolist()[:-1] == ([box] if box else [])


def bad_annotation(**fields):
  return lambda folder: folder.json["annotations"][0].update(fields)


def bad_image(**fields):
  return lambda folder: folder.json["images"][0].update(fields)


def put(key, value):
  return lambda folder: folder.json.update({key: value})


def write(name, content):
  return lambda folder: (folder.path / "images" / name).write_bytes(content)


STOPS = {
  "unknown image": (bad_annotation(image_id=8), "annotation 1: image_id 8 is no image"),
  "image id true": (bad_annotation(image_id=True), "image_id True is no image"),
  "unknown category": (bad_annotation(category_id=2), r"annotation 1 of a.jpg: category_id 2; "
                       r"valid: 1 \(person\), 90 \(toothbrush\)"),
  "category missing": (bad_annotation(category_id=None), "category_id None"),
  "box missing": (bad_annotation(bbox=None), r"bbox None; valid: \[x, y, width, height\]"),
  "box of 3": (bad_annotation(bbox=[1, 2, 3]), r"bbox \[1, 2, 3\]"),
  "box of words": (bad_annotation(bbox=["1", 2, 3, 4]), "bbox"),
  "box not finite": (bad_annotation(bbox=[float("nan"), 2, 3, 4]), r"bbox \[nan, 2, 3, 4\]"),
  "crowd": (bad_annotation(iscrowd="yes"), "iscrowd 'yes'; valid: 0 or 1"),
  "annotation": (put("annotations", [5]), r"annotations\[0\]: is 5, not an object"),
  "size": (bad_image(width=41), "a.jpg: is 40 x 30 px, but the JSON says width 41"),
  "no file name": (bad_image(file_name=None), r"images\[0\]: image 7 has no 'file_name'"),
  "image id": (bad_image(id=1.5), r"images\[0\]: has no integer 'id'"),
  "same image id": (bad_image(id=3), r"images\[1\]: id 3 is taken by another image"),
  "missing file": (bad_image(file_name="c.jpg"), r"images/c.jpg: missing"),
  "folder": (bad_image(file_name="."), "images: a folder, not an image"),
  "not an image": (write("a.jpg", b"hello"), r"a.jpg: not an image that can be read \(5 bytes\)"),
  "empty file": (write("a.jpg", b""), "a.jpg: not an image"),
  "no categories": (put("categories", []), "at least one class is needed"),
  "category name": (put("categories", [{"id": 1}]), "category 1 has no 'name'"),
  "category id": (put("categories", [{"name": "x"}]), r"categories\[0\]: has no integer 'id'"),
  "same category": (put("categories", [{"id": 1, "name": n} for n in "xy"]),
                    r"categories\[1\]: id 1 is taken by 'x'"),
  "no images": (put("images", []), "is empty: it lists no images"),
  "no list": (put("annotations", {}), "has no list 'annotations'"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), STOPS.values(), ids=STOPS)
def test_stops(folder, change, message):
  change(folder)
  with pytest.raises(data.DataError, match=message) as caught:
    folder.load()
  assert "instances.json" in str(caught.value)


def test_truncated_image(folder):
  path = folder.path / "images" / "a.jpg"
  path.write_bytes(path.read_bytes()[:-200])
  with pytest.raises(data.DataError, match=r"a\.jpg: cannot be read: OpenCV cannot decode"):
    folder.load()
  # With headers alone it is found when it is its turn, and named then.
  source = folder.load(decode_all=False)
  with pytest.raises(ValueError, match=r"a\.jpg: OpenCV cannot decode"):
    list(Pipeline(source=source, batch_size=2, size=(16, 16), train=False, threads=1))


def test_everything_wrong_is_in_one_report(folder):
  for number in range(30):
    folder.json["annotations"].append({"id": 10 + number, "image_id": 99})
  folder.json["images"][0]["file_name"] = "c.jpg"
  with pytest.raises(data.DataError) as caught:
    folder.load()
  message = str(caught.value)
  assert "31 faults" in message
  assert "c.jpg: missing" in message
  assert "annotation 10" in message
  assert "and 11 more" in message


def test_wrong_folder_is_one_line(folder):
  (folder.path / "images").rename(folder.path / "pictures")
  with pytest.raises(data.DataError, match=r"missing, as all 2 images are: is the folder right"):
    folder.load()


JUNK = [None, True, -1, 0, 1.5, 1e300, float("nan"), 2**80, "", "x", "a\0b", [], [1], {}, {"id": 7}]


def leaves(value, path=()):
  """The paths of everything in a JSON value, the whole included."""
  yield path
  items = value.items() if isinstance(value, dict) else enumerate(value)
  for key, item in items if isinstance(value, (dict, list)) else ():
    yield from leaves(item, (*path, key)) if isinstance(item, (dict, list)) else [(*path, key)]


def test_whatever_stands_in_the_file_is_read_or_refused(folder):
  """Each value in turn replaced by junk: never anything but a source or a DataError."""
  read, refused = 0, []
  for *path, last in [p for p in leaves(GOOD) if p and "segmentation" not in p]:
    for junk in JUNK:
      folder.json = copy.deepcopy(GOOD)
      at = folder.json
      for key in path:
        at = at[key]
      at[last] = junk
      try:
        source = folder.load(decode_all=False)
        assert len(source.to_coco()["images"]) == len(source)
        read += 1
      except data.DataError as error:
        refused.append(str(error))
  assert all("instances.json" in message for message in refused)
  assert len(refused) > read > 20


FILES = {
  "not JSON": (b'{"images": [1,\n 2,,]}', "is no JSON: .*line 2 column 4"),
  "results": (b"[]", "is a list, as results are"),
  "word": (b'"x"', "has no list 'images'"),
  "latin": (b'{"a": "\xe9"}', "is not UTF-8 text: byte 7"),
  "deep": (b"[" * 100_000, "is no JSON: "),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_bad_file(tmp_path, content, message):
  (tmp_path / "x.json").write_bytes(content)
  with pytest.raises(data.DataError, match=message):
    data.load(f"coco:{tmp_path}/x.json@{tmp_path}")


def test_bad_spec(tmp_path):
  with pytest.raises(data.DataError, match="missing: it should be a COCO instances file"):
    data.load(f"coco:{tmp_path}/x.json@{tmp_path}")
  with pytest.raises(data.DataError, match="cannot be read"):
    data.load(f"coco:{tmp_path}@{tmp_path}")
  for spec in ("coco:x.json", "coco:@x", "coco:x.json@"):
    with pytest.raises(data.DataError, match="is incomplete: write coco:FILE"):
      data.load(spec)
  for spec in ("coco", "coco:", "voc", "tfds", "", "yolo:"):
    with pytest.raises(data.DataError, match=r"unknown data set .*Valid: .*coco:FILE"):
      data.load(spec)


def test_blood_cells(shared):
  """The counts that come with the data."""
  root = shared / "data" / "cbc"
  spec = f"coco:{root}/annotations/instances_{{split}}.json@{root}/images/{{split}}"
  counts = {"train": (240, 3139), "val": (60, 812), "test": (60, 907)}
  for split, (images, boxes) in counts.items():
    source = data.load(spec, split)
    assert (len(source), len(source.annotations.boxes)) == (images, boxes)
    assert source.classes == ("RBC", "WBC", "Platelets")
  batch = next(iter(Pipeline(source=source, batch_size=4, size=(160, 160), train=False, threads=0)))
  assert batch["image"].shape == (4, 160, 160, 3)
  assert np.allclose(batch["scale"], 0.25)
  assert batch["offset"].tolist() == [[0, 20]] * 4


def test_an_image_that_cannot_be_decoded_is_left_out_where_that_is_asked_for(folder):
  (folder.path / "images" / "a.jpg").write_bytes(b"no image")
  source = folder.load(skip_broken=True)
  assert (source.ids.tolist(), source.files) == ([3], ("b.png",))
  assert source.sizes.tolist() == [[24, 20]]
  assert source.annotations.boxes.tolist() == [[4.5, 5, 10.5, 12.25]]
  assert source.images.read(0).shape == (24, 20, 3)
  assert source.report.skipped[0][0].endswith("a.jpg")
  (folder.path / "images" / "b.png").write_bytes(b"no image either")
  with pytest.raises(data.DataError, match="2 faults"):
    folder.load(skip_broken=True)
