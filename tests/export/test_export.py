# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Exported files give what JAX gives; what cannot be exported is said before it is computed."""

import contextlib
import re
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from dnas.detection import nms
from dnas.detection.thresholds import VALIDATION
from dnas.errors import DnasError
from dnas.export import Model, environment, export, model, to_litert, to_onnx
from dnas.jaxprs import replay
from dnas.nn import depthwise

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)


def apply(weights, images):
  """A small detector: a convolution, a pool, boxes and their suppression."""
  x = (images.astype(jnp.float32) - 127.5) / 64
  numbers = ("NHWC", "HWIO", "NHWC")
  x = jax.lax.conv_general_dilated(x, weights, (2, 2), "SAME", dimension_numbers=numbers)
  x = depthwise.max_pool_3x3(jax.nn.relu(x * 0.1 + np.arange(6, dtype=np.float32)), 1)
  x = x.reshape(x.shape[0], -1, 6)
  corner = jnp.cumsum(x[..., :2], 1)
  boxes = jnp.concatenate([corner, corner + 8 + x[..., 2:4]], -1)
  found = VALIDATION._replace(max_detections=5, top_k=20)
  return nms.nms(boxes, jax.nn.sigmoid(x[..., 4:]), found)._asdict()


def small() -> Model:
  return Model(apply, KERNEL, (8, 8), ("cell", "plate"))


@pytest.mark.parametrize(
  ("path", "arguments", "message"),
  [
    ("model.onx", {}, r"'.onx'; did you mean '.onnx'"),
    ("model", {}, "unknown format of the file 'model'"),
    ("model.onnx", {"batch": 0}, "batch: 0"),
    ("model.tflite", {}, "batch: LiteRT"),
    ("model.onnx", {"int8": "wheights"}, "did you mean 'weights'"),
    ("model.onnx", {"int8": "activations"}, "calibration"),
    ("model.stablehlo", {"int8": "weights"}, "for ONNX files only"),
    ("model.onnx", {"images": np.zeros((1, 8, 8, 3), np.float32)}, r"float32 \(1, 8, 8, 3\)"),
    ("model.onnx", {"images": np.zeros((1, 9, 8, 3), np.uint8)}, r"valid is uint8 \[N, 8, 8, 3\]"),
  ],
)
def test_wrong_arguments(tmp_path, path, arguments, message):
  with pytest.raises(DnasError, match=message):
    export(small(), tmp_path / path, **arguments)
  assert not list(tmp_path.iterdir())


def test_a_missing_package_names_its_extra(monkeypatch):
  monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(
    DnasError,
    match=r"onnxruntime is not installed: it is with `EXTRAS=export bash scripts/setup\.sh`",
  ):
    environment.need("onnxruntime", "export")


def test_what_is_here_needs_no_environment():
  assert str(environment.python_with("numpy", ["numpy"])) == sys.executable


def test_a_second_first_export_waits_for_the_environment(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("DNAS_CACHE", str(tmp_path))
  monkeypatch.setattr(environment, "WAIT_S", 0.01)
  waited = []

  def wait(seconds):  # Stands in for the other process: at the second look it is done.
    waited.append(seconds)
    if len(waited) == 2:
      (folder,) = (tmp_path / "environments").iterdir()
      (made := folder.with_suffix("")).mkdir()
      (made / "ready").write_text("")
      held.close()

  monkeypatch.setattr(time, "sleep", wait)
  real = environment.run_lock
  with contextlib.ExitStack() as held:

    def lock(folder):
      if not waited:
        held.enter_context(real(folder))
      return real(folder)

    monkeypatch.setattr(environment, "run_lock", lock)
    python = environment.python_with("no_such_module", ["nothing"])
  assert python.parts[-2:] == ("bin", "python")
  assert waited == [0.01] * 2
  said = capsys.readouterr().err
  assert said.count("waiting for it") == said.count("\n") == 1


def test_a_converter_that_is_killed_says_so(tmp_path):
  pytest.importorskip("cloudpickle")
  python = tmp_path / "python"
  python.write_text("#!/bin/sh\nkill -9 $$\n")
  python.chmod(0o755)
  message = "to_onnx failed: exit status -9, killed, often for lack of memory: no message"
  with pytest.raises(DnasError, match=message):
    environment.run(python, to_onnx.convert)


FOUND = {
  "boxes": np.array([[[0, 0, 4, 4], [9, 9, 12, 12], [0, 0, 0, 0]]], np.float32),
  "scores": np.array([[0.9, 0.9, 0]], np.float32),
  "labels": np.array([[1, 0, -1]], np.int32),
  "valid": np.array([[True, True, False]]),
}


def changed(**arrays):
  return FOUND | {key: np.asarray(value, FOUND[key].dtype) for key, value in arrays.items()}


@pytest.mark.parametrize(
  ("got", "error"),
  [
    (FOUND, 0),
    ({key: value[:, [1, 0, 2]] for key, value in FOUND.items()}, 0),
    (changed(scores=[[0.9, 0.90001, 0]]), 1e-5),
    # Of 12 px, which the image has.
    (changed(boxes=[[[0, 1e-3, 4, 4], [9, 9, 12, 12], [0, 0, 0, 0]]]), 1e-3 / 12),
    (
      changed(boxes=[[[9, 9, 12, 12], [0, 0, 4, 4.0005], [0, 0, 0, 0]]], labels=[[0, 1, -1]]),
      5e-4 / 12,
    ),
  ],
)
def test_equal_detections(got, error):
  assert model.check("file", FOUND, got) == pytest.approx(error, abs=1e-7)


@pytest.mark.parametrize(
  ("got", "message"),
  [
    (changed(scores=[[0.9, 0.91, 0]]), "'scores' differs"),
    (changed(labels=[[1, 1, -1]]), "differs from JAX by"),
    (changed(scores=[[np.nan, 0.9, 0]]), "'scores' differs"),
    (changed(boxes=[[[0, 0.01, 4, 4], [9, 9, 12, 12], [0, 0, 0, 0]]]), "'boxes' differs"),
    (changed(boxes=[[[0, 0, 4, 4]] * 2 + [[0] * 4]], labels=[[1, 1, -1]]), "differs"),
    ({key: value[:, :2] for key, value in FOUND.items()}, "gives"),
    ({"boxes": FOUND["boxes"]}, "gives"),
  ],
)
def test_other_detections(got, message):
  with pytest.raises(DnasError, match=message):
    model.check("file", FOUND, got)


def pools(x):
  """What jax2onnx needs in another form."""
  window = dict(window_dimensions=(1, 3, 3, 1), window_strides=(1, 2, 2, 1))
  padding = ((0, 0), (1, 1), (1, 0), (0, 0))
  most = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, padding=padding, **window)
  total = jax.lax.reduce_window(x, 0.0, jax.lax.add, padding=padding, **window)
  edge = jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0)), mode="edge")[:, ::2, ::2]
  return most, total, jax.nn.relu(edge) + jnp.pad(edge, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, 1:]


def test_a_replay_computes_the_same():
  x = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype(np.float32)
  closed = jax.make_jaxpr(pools)(x)
  again = replay(closed.jaxpr, closed.consts, [x], to_onnx.WRITTEN)
  for a, b in zip(pools(x), again, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_stablehlo_for_any_batch(tmp_path):
  pytest.importorskip("flatbuffers")
  report = export(small(), tmp_path / "model.stablehlo")
  assert report["error"] <= 1e-4
  again = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
  assert set(again.platforms) == {"cpu", "cuda", "tpu"}
  assert str(again.in_avals[0].shape) == "(B, 8, 8, 3)"
  with pytest.raises(ValueError, match="8"):
    again.call(np.zeros((1, 9, 8, 3), np.uint8))


def test_pieces_around_sorting_compute_the_same():
  function, images = small().function(), small().noise()
  whole = to_litert.cut(function, images.shape)
  assert [piece.k for piece in whole.pieces] == [0, 20, 0, 5, 0]  # Suppression sorts twice.
  got = to_litert.through(whole, images, lambda run: run, jax.lax.top_k)
  model.check("pieces", small().reference()(images), dict(zip(whole.names, got, strict=True)))


@pytest.mark.slow
def test_litert_with_suppression(tmp_path):
  try:
    report = export(small(), tmp_path / "model.tflite", batch=1)
  except DnasError as error:
    if "pip install" in str(error):
      pytest.skip(str(error))  # The converter's environment needs a network the first time.
    raise
  assert report["error"] <= 1e-4
  assert (tmp_path / "model.tflite").stat().st_size == report["bytes"]


@pytest.mark.slow
def test_onnx_for_any_batch(root, tmp_path):
  runtime = pytest.importorskip("onnxruntime")
  try:
    report = export(small(), tmp_path / "model.onnx")
  except DnasError as error:
    if "pip install" in str(error):
      pytest.skip(str(error))  # The converter's environment needs a network the first time.
    raise
  assert report["error"] <= 1e-4
  session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
  assert session.get_modelmeta().custom_metadata_map["classes"] == '["cell", "plate"]'
  for count in (1, 3):
    images = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    model.check("again", small().reference()(images), to_onnx.predict(session, images))
  # The README's example, which knows nothing of dnas.
  PIL.Image.fromarray(images[0]).resize((30, 20)).save(tmp_path / "picture.png")
  example = root / "scripts" / "examples" / "onnx_detect.py"
  command = [sys.executable, example, tmp_path / "model.onnx", tmp_path / "picture.png"]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  lines = done.stdout.splitlines()
  assert lines
  assert all(re.match(r"(cell|plate) \d\.\d\d: \(", line) for line in lines)


@pytest.mark.slow
def test_a_function_that_cannot_be_converted_says_why(tmp_path):
  pytest.importorskip("cloudpickle")

  def breaks(weights, images):
    raise NotImplementedError("no such operation")

  with pytest.raises(DnasError, match="no such operation"):
    environment.run(sys.executable, _call, Model(breaks, None, (8, 8)).function())


def _call(function) -> bytes:
  function(np.zeros((1, 8, 8, 3), np.uint8))
  return b""
