# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""NAS: a run is loaded, counted, measured, predicts, trains on; bad input is named."""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest
import yaml

from dnas import config as configs
from dnas import data, detectors, finetune, predict
from dnas import evaluate as evaluating
from dnas.data import DataError
from dnas.data.images import ImageError
from dnas.data.letterbox import letterbox
from dnas.detection import nms
from dnas.detection.coco_names import COCO_IDS, COCO_NAMES
from dnas.detection.thresholds import VALIDATION, Thresholds
from dnas.errors import DnasError
from dnas.export.model import OUTPUTS, from_run, of_detector
from dnas.loaded import Loaded
from dnas.method import task_of
from dnas.nas import NAS
from dnas.nn import functional, yolo_nas_weights
from dnas.nn.init import Rngs
from dnas.space import yolo_nas as spaces
from dnas.space.cells import nasbench201
from dnas.space.genotypes import RESIDUAL, from_nasbench201
from dnas.space.macro import detector
from dnas.space.mbconv import efficientnet_b0
from dnas.trees import save_tree

GENOTYPE = detector(
  from_nasbench201("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
  (4, 4),
  stem_channels=4,
)
SIZES = [(40, 60), (20, 60), (40, 60), (32, 32), (60, 20)]
OPS = dict.fromkeys(spaces.STAGES + spaces.NECK, ("csp_qarep_1x4",))
TINY_YOLO = spaces.family({**OPS, "head": ("yolo_head_1",)}, (8, 8, 8, 8))


def write_run(root: pathlib.Path, folder: pathlib.Path, data: pathlib.Path) -> None:
  """A run's folder with random weights of a tiny detector for cats and dogs."""
  fields = {
    "data.spec": f"yolo:{data}",
    "data.size": (32, 32),
    "data.threads": 0,
    "task.strides": (4, 8),
    "task.neck_channels": 4,
    "task.reg_max": 4,
    "evaluate.split": "val",
    "evaluate.batch_size": 2,
    "train.batch_size": 2,
  }
  overrides = {key: str(value) for key, value in fields.items()}
  config = configs.load(root / "configs" / "quickstart.py", overrides)
  task = task_of(config, detectors.blank(["cat", "dog"]))
  _, params, stats = functional.split(task.build(GENOTYPE, Rngs(jax.random.key(0))))
  folder.mkdir()
  (folder / "config.json").write_text(configs.to_json(config))
  (folder / "genotype.json").write_text(GENOTYPE.to_json())
  (folder / "classes.json").write_text('["cat", "dog"]')
  save_tree(folder / "weights.npz", {"params": params, "stats": stats})


@pytest.fixture(scope="module")
def place(root, tmp_path_factory):
  """`run` with its weights, `data.yaml` with splits train and val, and their images."""
  path = tmp_path_factory.mktemp("nas")
  rng = np.random.default_rng(0)
  for split in ("train", "val"):
    for kind in ("images", "labels"):
      (path / kind / split).mkdir(parents=True)
    for i, (height, width) in enumerate(SIZES):
      pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
      cv2.imwrite(str(path / "images" / split / f"{i}.png"), pixels)
      (path / "labels" / split / f"{i}.txt").write_text(f"{i % 2} 0.5 0.5 0.4 0.6\n")
  names = ["cat", "dog"]
  content = {"path": str(path), "train": "images/train", "val": "images/val", "names": names}
  (path / "data.yaml").write_text(yaml.safe_dump(content))
  write_run(root, path / "run", path / "data.yaml")
  return path


@pytest.fixture(scope="module")
def model(place):
  return NAS(place / "run")


def test_importing_dnas_imports_nothing():
  code = "import sys, dnas; assert 'jax' not in sys.modules; assert dnas.__version__"
  subprocess.run([sys.executable, "-c", code], check=True)
  import dnas

  assert dnas.NAS is NAS
  with pytest.raises(AttributeError, match="no attribute 'SAN'"):
    dnas.SAN  # noqa: B018


def test_info(model, capsys):
  numbers = model.info()
  assert (
    numbers.parameters
    == numbers.gradients
    == sum(leaf.size for leaf in jax.tree.leaves(model.loaded.params))
  )
  assert numbers.gflops == pytest.approx(4 * model.info(size=(16, 32), verbose=False).gflops / 2)
  page = capsys.readouterr().out
  assert f"{numbers.layers} layers, {numbers.parameters:,} parameters" in page
  assert "backbone" in page
  assert repr(model) == "<NAS run: 2 classes, 32 x 32 px, trained weights>"


def test_predicting_compiles_once_and_batches_change_nothing(model, place):
  one = model.predict(place / "images" / "val" / "0.png", conf=0.0)
  assert (one.names, len(one)) == (("cat", "dog"), 1)
  assert one.boxes.shape == (len(one.scores), 4)
  assert len(one.scores) == len(one.labels) > 0
  assert (np.diff(one.scores) <= 0).all()
  assert one.boxes.min() >= 0
  assert (one.boxes <= [60, 40, 60, 40]).all()
  seen = set(model.programs.compile_s)
  several = model.predict(str(place / "images" / "val" / "*.png"), conf=0.0)
  assert set(model.programs.compile_s) == seen
  assert [(r.size, r.stem) for r in several] == [(s, str(i)) for i, s in enumerate(SIZES)]
  np.testing.assert_array_equal(several[0].boxes, one.boxes)
  arrays = [result.read() for result in several]
  together = model.predict(arrays, conf=0.0, batch=3)
  assert len(set(model.programs.compile_s) - seen) == 2  # the network and suppression, batch 3
  model.predict(arrays, conf=0.5, iou=0.1, batch=3)  # Limits are no part of a program.
  assert len(set(model.programs.compile_s) - seen) == 2
  for a, b in zip(several, together, strict=True):
    np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
    assert set(a.speed) == {"preprocess", "inference", "postprocess"}


def test_classes_that_are_not_looked_for_take_no_place(model):
  """Twenty boxes of a class that the data set lacks, each surer than the one that it has."""
  boxes = np.zeros((1, 21, 4), np.float32)
  boxes[0, :, 0] = 10 * np.arange(21)
  boxes[0, :, 2:] = boxes[0, :, :2] + 5
  scores = np.zeros((1, 21, 2), np.float32)
  scores[0, :20, 0], scores[0, 20, 1] = 0.9, 0.6
  few = Thresholds(0.01, 0.7, 10, 10)
  every = model.programs.suppress(boxes, scores, few)
  assert np.asarray(every.labels).tolist() == [[0] * 10]
  some = model.programs.suppress(boxes, scores, few, np.array([False, True]))
  assert np.asarray(some.valid).sum() == 1
  np.testing.assert_array_equal(some.boxes[0, 0], boxes[0, 20])


def test_raw_boxes_are_those_before_suppression(model, place):
  image = np.random.default_rng(1).random((1, 32, 32, 3), np.float32)
  boxes, scores = model.predict_raw(image)
  assert boxes.shape == (1, 80, 4)  # 8^2 + 4^2 anchors
  assert scores.shape == (1, 80, 2)
  found = model.predict((image[0] * 255).round().astype(np.uint8), conf=0.0, max_det=1)
  assert found.scores[0] == pytest.approx(scores.max(), abs=1e-3)
  for bad, message in (
    (image[0], r"float32 \[32, 32, 3\]"),
    (image.astype(np.float64), "float64"),
    (image * 255, "numbers from 0 to 1"),
  ):
    with pytest.raises(DnasError, match=message):
      model.predict_raw(bad)


def test_what_cannot_be_decoded_is_skipped_counted_and_named(model, place, tmp_path, capsys):
  good = (place / "images" / "val" / "0.png").read_bytes()
  for i in range(5):
    (tmp_path / f"{i}.png").write_bytes(good)
  (tmp_path / "3.png").write_bytes(good[:60])
  results = model.predict(tmp_path)
  assert [result.stem for result in results] == ["0", "1", "2", "4"]
  assert results.skipped[0][0].endswith("3.png")
  assert "skipped 1 of 5 pictures that cannot be decoded: " in capsys.readouterr().err
  assert len(list(model.predict_each(tmp_path))) == 4
  said = capsys.readouterr().err
  assert "skipped: " in said
  assert "skipped 1 of 5 pictures" in said
  for predict_on in (model.predict, lambda source: list(model.predict_each(source))):
    with pytest.raises(ImageError, match=r"3\.png: OpenCV cannot decode its 60 bytes"):
      predict_on(tmp_path / "3.png")


def test_validation_writes_what_it_measured(model, place, tmp_path, capsys):
  metrics = model.val(str(place / "data.yaml"), batch=2, folder=tmp_path / "out")
  assert metrics.results_dict["metrics/mAP50-95(B)"] == metrics.box.map
  assert 0 <= metrics.coco["AP"] <= 1
  assert (metrics.images, metrics.skipped) == (5, ())
  assert metrics.confusion.sum(0)[:2].tolist() == [3, 2]
  assert [row["objects"] for row in metrics.per_class()] == [3, 2]
  written = json.loads((tmp_path / "out" / "metrics.json").read_text())
  assert written["coco"]["AP"] == metrics.coco["AP"]
  assert min(written["speed_ms"].values()) > 0
  for name in ("precision_recall", "confusion_matrix", "predictions"):
    assert (tmp_path / "out" / f"{name}.png").stat().st_size > 1000
  assert "all (5 images)" in capsys.readouterr().out


def test_a_broken_image_does_not_stop_a_validation(model, place, tmp_path, capsys):
  broken = place / "images" / "val" / "9.png"
  broken.write_bytes((place / "images" / "val" / "0.png").read_bytes()[:100])
  try:
    metrics = model.val(str(place / "data.yaml"), batch=2, folder=None, verbose=False)
  finally:
    broken.unlink()
  assert (metrics.images, [pathlib.Path(f).name for f, _ in metrics.skipped]) == (5, ["9.png"])
  assert "skipped 1 of 6 pictures" in capsys.readouterr().err


def test_objects_only_on_what_cannot_be_decoded(model, place, tmp_path):
  for kind in ("images", "labels"):
    (tmp_path / kind / "val").mkdir(parents=True)
  sound = (place / "images" / "val" / "0.png").read_bytes()
  (tmp_path / "images" / "val" / "0.png").write_bytes(sound)
  (tmp_path / "images" / "val" / "1.png").write_bytes(sound)
  (tmp_path / "labels" / "val" / "1.txt").write_text("0 0.5 0.5 0.4 0.6\n")
  content = {"path": str(tmp_path), "val": "images/val", "names": ["cat", "dog"]}
  (tmp_path / "data.yaml").write_text(yaml.safe_dump(content))
  loading = data.labelled

  def cut_afterwards(*args, **kwargs):
    source = loading(*args, **kwargs)
    (tmp_path / "images" / "val" / "1.png").write_bytes(sound[:100])
    return source

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(data, "labelled", cut_afterwards)
    with pytest.raises(DataError, match=r"no image with an object can be decoded; .*1\.png"):
      model.val(str(tmp_path / "data.yaml"), folder=None)


@pytest.mark.slow
def test_validation_gives_what_evaluating_the_run_gives(model, place):
  result = evaluating.evaluate(model.loaded.config, place / "run")
  metrics = model.val(f"yolo:{place}/data.yaml", batch=2, folder=None, verbose=False)
  for name, value in metrics.coco.items():
    assert result[name] == value, name


@pytest.mark.slow
def test_rectangular_canvases_compile_once_for_each(model, place):
  """64-px steps up to 128: (40, 60) and (20, 60) are shown at 85 and 43 px of height."""
  options = dict(size=(128, 128), batch=2, folder=None, verbose=False)
  metrics = model.val(str(place / "data.yaml"), rect=True, **options)
  assert (
    metrics.shapes == 3
  )  # 128 x 128 (two images of 40 x 60, one of 32 x 32), 64 x 128, 128 x 64
  assert model.val(str(place / "data.yaml"), rect=True, **options).shapes == 0


@pytest.mark.slow
def test_training_on_other_classes_resumes_and_is_loaded(model, place, tmp_path):
  data = yaml.safe_load((place / "data.yaml").read_text()) | {"names": ["bird", "fish", "cow"]}
  (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
  fresh = NAS(place / "run")
  options = dict(workdir=tmp_path / "more", batch=2, overrides={"data.threads": 0})
  folder = fresh.train(str(tmp_path / "data.yaml"), epochs=1, **options)
  assert fresh.names == ("bird", "fish", "cow")
  assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2  # 5 images, batches of 2
  again = NAS(folder)
  for a, b in zip(*(jax.tree.leaves(m.loaded.params) for m in (again, fresh)), strict=True):
    np.testing.assert_array_equal(a, b)
  config = json.loads((folder / "config.json").read_text())
  assert config["train"]["start"]["name"] == "run"
  # The same call goes on, here: is done at once. Other weights to start from are another run.
  assert NAS(place / "run").train(str(tmp_path / "data.yaml"), epochs=1, **options) == folder
  with pytest.raises(DnasError, match=r"train\.start"):
    again.train(str(tmp_path / "data.yaml"), epochs=1, **options)
  kept = jax.tree.leaves(model.loaded.params["backbone"])
  moved = jax.tree.leaves(fresh.loaded.params["backbone"])
  gap = max(float(np.abs(a - b).max()) for a, b in zip(kept, moved))
  assert 0 < gap < 0.05  # two steps from where it was, not from scratch


@pytest.mark.slow
def test_networks_of_yolo_nas_kind_fused_and_from_files(tmp_path, capsys):
  (tmp_path / "genotype.json").write_text(TINY_YOLO.to_json())
  random = NAS(tmp_path / "genotype.json", classes=["a", "b"])
  assert "random weights and detects nothing yet" in capsys.readouterr().err
  yolo_nas_weights.save(tmp_path / "tiny.npz", random.loaded.module())
  loaded = NAS(tmp_path / "genotype.json", weights=tmp_path / "tiny.npz")
  assert loaded.names == ("class 0", "class 1")
  image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
  unfused = loaded.loaded.boxes(loaded.loaded.module(), image * 255)
  for fused, plain in zip(loaded.predict_raw(image), unfused, strict=True):
    np.testing.assert_allclose(fused, plain, atol=1e-3)
  assert loaded.info(verbose=True).parameters == random.info(verbose=False).parameters
  assert "fused for evaluation" in capsys.readouterr().out
  capsys.readouterr()
  other = NAS(tmp_path / "genotype.json", weights=tmp_path / "tiny.npz", classes=3)
  assert "weights are of another number of classes" in capsys.readouterr().err
  assert repr(other).endswith("trained weights, but for the classes>")
  assert repr(loaded).endswith("trained weights>")
  assert other.predict_raw(image)[1].shape == (1, 84, 3)
  cut = (tmp_path / "tiny.npz").read_bytes()[:-3000]
  (tmp_path / "cut.npz").write_bytes(cut)
  with pytest.raises(DnasError, match=r"cut\.npz is no \.npz of arrays, or broken"):
    NAS(tmp_path / "genotype.json", weights=tmp_path / "cut.npz")


@pytest.mark.slow
def test_raw_boxes_of_yolo_nas_s_are_the_reference(shared, tmp_path):
  spec = importlib.util.spec_from_file_location("w", shared / "tools" / "synthetic_weights.py")
  synthetic = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(synthetic)
  case = np.load(shared / "parity" / "yolo_nas_s_64.npz")
  meta = json.loads(str(case["meta_json"]))
  state = {k: synthetic.weight(k, tuple(v)) for k, v in zip(meta["keys"], meta["shapes"])}
  np.savez(tmp_path / "mine.npz", **state)
  model = NAS(tmp_path / "mine.npz")
  assert model.names == COCO_NAMES
  assert model.loaded.genotype == spaces.genotype("yolo_nas_s")
  numbers = model.info(verbose=False)
  assert (numbers.parameters, round(numbers.gflops / 2, 3)) == (12_878_304, 16.939)
  boxes, scores = model.predict_raw(case["input"].transpose(0, 2, 3, 1))
  np.testing.assert_allclose(boxes, case["pred_bboxes"], atol=1e-3)
  np.testing.assert_allclose(scores, case["pred_scores"], atol=1e-4)


def test_the_forms_in_which_a_run_is_exported(place):
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
  said = {form: from_run(place / "run", form)[0].reference()(images) for form in OUTPUTS}
  assert {name: array.shape for name, array in said["raw"].items()} == {
    "logits": (2, 80, 2),
    "distribution": (2, 80, 20),
  }
  every, best = said["boxes"], VALIDATION._replace(max_detections=100)  # As the task has it.
  wanted = nms.nms(every["boxes"], every["scores"], best)._asdict()
  assert wanted.keys() == said["detections"].keys()
  for name, array in said["detections"].items():
    np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-4)


def test_what_was_trained_in_bfloat16_is_exported_in_float32(place, tmp_path):
  """Rounded to 8 bits another program cannot give what JAX gives."""
  shutil.copytree(place / "run", half := tmp_path / "half")
  config = configs.changed(configs.load(half / "config.json"), {"task.dtype": "bfloat16"})
  (half / "config.json").write_text(configs.to_json(config))
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
  for export in (
    lambda folder: from_run(folder, "boxes")[0],
    lambda folder: of_detector(detectors.load(folder), None),
  ):
    said = [export(folder).reference()(images) for folder in (place / "run", half)]
    assert not np.array_equal(said[0]["scores"], np.zeros_like(said[0]["scores"]))
    for name, array in said[0].items():
      np.testing.assert_array_equal(said[1][name], array)


@pytest.mark.slow
def test_the_export_gives_the_same(model, tmp_path):
  report = model.export(tmp_path / "model.stablehlo", batch=1)
  assert report["format"] == "StableHLO"
  assert report["error"] < 1e-4
  assert report["bytes"] == (tmp_path / "model.stablehlo").stat().st_size
  with pytest.raises(DnasError, match=r"unknown format of the file '\.pkl'"):
    model.export(tmp_path / "model.pkl")


@pytest.mark.slow
@pytest.mark.parametrize("detections", [True, False])
def test_a_network_of_yolo_nas_kind_is_exported_to_onnx(detections, tmp_path):
  runtime = pytest.importorskip("onnxruntime")
  model = NAS(TINY_YOLO, classes=2)
  file = tmp_path / "model.onnx"
  report = model.export(file, size=64, batch=1, detections=detections)
  assert (report["format"], report["bytes"]) == ("ONNX", file.stat().st_size)
  assert report["error"] < 1e-4
  outputs = runtime.InferenceSession(str(file)).get_outputs()
  wanted = {"boxes", "scores", "labels", "valid"} if detections else {"boxes", "scores"}
  assert {output.name for output in outputs} == wanted


@pytest.mark.slow
def test_command_lines(root, place, tmp_path, capsys):
  def main(name, *arguments):
    spec = importlib.util.spec_from_file_location(name, root / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--model", str(place / "run"), *map(str, arguments)])
    return capsys.readouterr()

  images, out = place / "images" / "val", tmp_path / "out"
  main("predict", "--source", images, "--conf", 0, "--out", out)
  assert sorted(p.name for p in out.glob("*.png")) == [f"{i}.png" for i in range(5)]
  rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
  assert [row["height"] for row in rows] == [height for height, _ in SIZES]
  printed = main("predict", "--source", images / "1.png", "--conf", 0, "--json").out
  assert json.loads(printed)["detections"] == rows[1]["detections"]
  printed = main("val", "--data", place / "data.yaml", "--batch", 2, "--out", out, "--json").out
  assert json.loads(printed)["images"] == 5
  with pytest.raises(SystemExit) as stop:
    main("predict", "--source", tmp_path / "gone.png")
  assert stop.value.code == 2
  assert "gone.png: there is no such file or folder" in capsys.readouterr().err
  # One that cannot be decoded among others is named and counted; alone it is an error.
  good, mixed = (images / "0.png").read_bytes(), tmp_path / "mixed"
  mixed.mkdir()
  for i in range(3):
    (mixed / f"{i}.png").write_bytes(good if i else good[:60])
  said = main("predict", "--source", mixed, "--json")
  assert len(said.out.splitlines()) == 2
  assert "skipped 1 of 3 pictures that cannot be decoded: " in said.err
  with pytest.raises(SystemExit) as stop:
    main("predict", "--source", mixed / "0.png", "--json")
  assert stop.value.code == 2
  assert "0.png: OpenCV cannot decode its 60 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("size", "content", "offset"),
  [((480, 640), (477, 636), (2, 81)), ((427, 640), (424, 636), (2, 108)),
   ((1080, 810), (636, 477), (81, 2))],
)  # fmt: skip
def test_the_letterbox_is_that_of_yolo_nas(size, content, offset):
  loaded = Loaded("x", TINY_YOLO, *[None] * 5, (640, 640), 32, (4, 4), "linear", True)
  fitted = letterbox(np.zeros((*size, 3), np.uint8), (640, 640), content=(636, 636))
  rows, columns = (np.flatnonzero((fitted.image[..., 0] == 0).any(axis)) for axis in (1, 0))
  assert (len(rows), len(columns)) == content
  assert tuple(fitted.offset.astype(int)) == offset
  canvas = predict.canvas_of(loaded, size, (640, 640))
  assert all(c + 4 <= side and side % 64 == 0 for c, side in zip(content, canvas))
  assert all(side - c < 68 for c, side in zip(content, canvas))


def test_a_run_shows_images_at_the_size_that_it_was_trained_at(place, tmp_path):
  """`data.content` smaller than `data.size` in one direction only."""
  shutil.copytree(place / "run", tmp_path / "run")
  config = json.loads((tmp_path / "run" / "config.json").read_text())
  config["data"]["content"] = [32, 20]
  (tmp_path / "run" / "config.json").write_text(json.dumps(config))
  loaded = detectors.load(tmp_path / "run")
  assert loaded.margin == (0, 12)
  assert loaded.content((32, 32)) == (32, 20)
  assert predict.canvas_of(loaded, (55, 100), (128, 128)) == (64, 128)  # Shown at 64 x 116.
  recipe = finetune.recipe(loaded, str(place / "data.yaml"), 1)
  assert tuple(recipe.data.content) == (32, 20)
  # An exported file says so, too.
  facts = {"classes": ["cat", "dog"], "image": [32, 32], "content": [32, 20]}
  for model in (from_run(tmp_path / "run")[0], of_detector(loaded, None)):
    assert model.facts() == {**facts, "interpolation": "area"}
  of_yolo = of_detector(detectors.load(TINY_YOLO, classes=2), None, (64, 96)).facts()
  assert (of_yolo["content"], of_yolo["interpolation"]) == ([60, 92], "linear")


@pytest.mark.parametrize(
  ("what", "arguments", "message"),
  [
    ("yolo_nas_x", {}, "unknown detector .* did you mean 'yolo_nas_"),
    ("{}/data.txt", {}, r"not from \.txt"),
    ("{}/empty", {}, "holds no weights.npz"),
    ("{}/half", {}, "genotype.json is missing"),
    ("{}/cut", {}, r"cut.weights\.npz is no weight file, or broken"),
    ("{}/unnamed", {}, r"classes\.json is no JSON"),
    ("{}/bad.npz", {}, r"bad\.npz is no \.npz of arrays, or broken"),
    ("{}/other.npz", {}, "widths are those of none of yolo_nas_s"),
    ("{}/bad.json", {}, r"bad\.json"),
    ("{}/run", {"weights": "x.npz"}, "has weights of its own"),
    ("{}/run", {"classes": 3}, r"3 given, but .*run was trained for 2; NAS\('.*run'\)\.train"),
    ("{}/run/other.npz", {}, "widths are those of none of yolo_nas_s"),
    ("{}/run/none.npz", {}, r"none\.npz"),
    ("{}/run/genotype.json", {"weights": "x.npz"}, "only networks of YOLO-NAS' kind"),
    ("{}/run/genotype.json", {"classes": 0}, "classes = 0; valid"),
    ("{}/run/genotype.json", {"classes": "cat"}, "classes = 'cat'; valid"),
  ],
)
def test_what_cannot_be_loaded_is_named(place, what, arguments, message):
  for name in ("empty", "half"):
    (place / name).mkdir(exist_ok=True)
  (place / "half" / "weights.npz").write_bytes(b"")
  (place / "data.txt").write_text("x")
  whole = (place / "run" / "weights.npz").read_bytes()
  (place / "bad.npz").write_bytes(whole[:500])
  for name in ("cut", "unnamed"):
    shutil.copytree(place / "run", place / name, dirs_exist_ok=True)
  (place / "cut" / "weights.npz").write_bytes(whole[:-30])
  (place / "unnamed" / "classes.json").write_text("[cat")
  for folder in (place, place / "run"):
    np.savez(folder / "other.npz", x=np.zeros(3))
  (place / "bad.json").write_text("{")
  with pytest.raises(DnasError, match=message):
    NAS(what.format(place), **arguments)


@pytest.mark.parametrize(
  ("what", "strides"),
  [
    ("DARTS_V2", (4, 8, 16)),
    (RESIDUAL, (4, 8, 16)),
    ("paper_results/quickstart/genotype.json", (4, 8, 16)),
    *((f"paper_results/family/{size}.json", (4, 8, 16)) for size in "SML"),
    (efficientnet_b0(), (8, 16, 32)),
    (GENOTYPE, (4, 8)),
  ],
)
def test_any_genotype_is_a_detector(root, what, strides):
  file = isinstance(what, str) and what.endswith(".json")
  loaded = detectors.load(root / what if file else what, classes=2)
  assert loaded.random
  assert tuple(loaded.config.task.strides) == strides
  module = loaded.module()
  boxes, scores = jax.eval_shape(
    lambda images: loaded.boxes(module, images), jax.ShapeDtypeStruct((1, 64, 96, 3), "uint8")
  )
  anchors = sum((64 // stride) * (96 // stride) for stride in strides)
  assert (boxes.shape, scores.shape) == ((1, anchors, 4), (1, anchors, 2))


def test_a_search_space_is_no_detector():
  with pytest.raises(DnasError, match=r"genotype: still holds choices in \['cell'\]"):
    detectors.load(nasbench201())


def test_a_run_is_named_by_its_folder_and_may_rename_its_classes(place, monkeypatch):
  monkeypatch.chdir(place / "run")
  for what in (".", "weights.npz"):
    loaded = detectors.load(what, classes=["chat", "chien"])
    assert (loaded.name, loaded.classes) == ("run", ("chat", "chien"))


def test_wrong_data_and_arguments_are_named(model, place, tmp_path):
  (tmp_path / "bad.yaml").write_text("names: [cat\n")
  with pytest.raises(DataError, match=r"bad\.yaml is not valid YAML: line 2"):
    model.val(str(tmp_path / "bad.yaml"))
  data = yaml.safe_load((place / "data.yaml").read_text())
  (tmp_path / "data.yaml").write_text(yaml.safe_dump(data | {"names": ["cat", "dog", "cow"]}))
  with pytest.raises(DnasError, match="3 classes, run has 2, and does not know cow"):
    model.val(str(tmp_path / "data.yaml"))
  with pytest.raises(DataError, match="unknown split"):
    model.val(str(place / "data.yaml"), split="test")
  with pytest.raises(DataError, match="data set for classification"):
    model.val("digits", split="test")
  image = str(place / "images" / "val" / "0.png")
  for arguments, message in (
    ({"conf": 2}, "conf = 2"),
    ({"batch": 0}, "batch = 0"),
    ({"max_det": 0}, "max_det = 0"),
    ({"size": (0, 32)}, "image size"),
  ):
    with pytest.raises(DnasError, match=message):
      model.predict(image, **arguments)
  with pytest.raises(DnasError, match="epochs must be a whole number"):
    model.train(str(place / "data.yaml"), epochs=0)


def test_labels_go_by_name_where_names_are_known(model):
  source = detectors.blank(["dog"])
  from dnas.validate import match_classes

  assert match_classes(model.loaded, source).tolist() == [-1, 0]
  assert match_classes(model.loaded, detectors.blank(["dog", "cat"])).tolist() == [1, 0]
  assert match_classes(model.loaded, detectors.blank(["x", "y"])).tolist() == [0, 1]
  assert match_classes(model.loaded, detectors.blank(["cat", "cow"])).tolist() == [0, 1]
  with pytest.raises(DnasError, match="2 classes, run has 2, and does not know cow"):
    match_classes(model.loaded, detectors.blank(["dog", "cow"]))  # Places contradict names.


def test_names_of_coco():
  assert len(COCO_NAMES) == len(set(COCO_NAMES)) == len(COCO_IDS) == 80
  assert dict(zip(COCO_NAMES, COCO_IDS))["toothbrush"] == 90
  assert dict(zip(COCO_NAMES, COCO_IDS))["stop sign"] == 13
