# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The example without dnas shows a network what dnas shows it."""

import json
import runpy
import sys
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from dnas.data.images import decode
from dnas.data.letterbox import letterbox
from dnas.export import Model

BOX = np.array([[[20, 22, 40, 41]]], np.float32)


@pytest.fixture
def shown(root, monkeypatch):
  """What the example gives the network for a picture; a stand-in for the network finds `BOX`."""

  def run(model: Model, picture) -> np.ndarray:
    facts, fed = {name: json.dumps(value) for name, value in model.facts().items()}, []
    found = {"boxes": BOX, "scores": [[0.9]], "labels": [[1]], "valid": [[True]]}

    class Session:
      def __init__(self, *arguments, **options):
        pass

      def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map=facts)

      def get_outputs(self):
        return [types.SimpleNamespace(name=name) for name in found]

      def run(self, names, inputs):
        fed.append(inputs["images"])
        return [found[name] for name in names]

    runtime = types.SimpleNamespace(InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(sys, "argv", ["onnx_detect.py", "detector.onnx", str(picture)])
    runpy.run_path(str(root / "scripts" / "examples" / "onnx_detect.py"))
    (images,) = fed
    assert images.dtype == np.uint8
    return images[0]

  return run


def model(**fields) -> Model:
  return Model(lambda weights, images: {}, None, (64, 96), ("cat", "dog"), **fields)


def smooth(height: int, width: int) -> np.ndarray:
  y, x = np.mgrid[:height, :width]
  return np.stack([x * 200 // width, y * 200 // height, 0 * x + 60], -1).astype(np.uint8)


FITTED = {
  "all of it": {},
  "within a margin": dict(content=(60, 92)),
  "sampled": dict(content=(60, 92), interpolation="linear"),
}


@pytest.mark.parametrize("size", [(150, 201), (40, 30)], ids=["smaller", "larger"])
@pytest.mark.parametrize("fields", FITTED.values(), ids=FITTED)
def test_pictures_are_fitted_as_in_training(shown, tmp_path, fields, size, capsys):
  pixels = smooth(*size)
  if fields.get("interpolation") == "linear":  # Means of more pixels would be grey.
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
  cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
  fitted = letterbox(pixels, (64, 96), **{"content": (64, 96), **fields})
  got = shown(model(**fields), tmp_path / "a.png")
  assert np.abs(got.astype(int) - fitted.image).max() <= 3
  corners = (BOX[0, 0].reshape(2, 2) - fitted.offset) / fitted.scale
  x1, y1, x2, y2 = corners.ravel()
  assert capsys.readouterr().out == f"dog 0.90: ({x1:.0f}, {y1:.0f}) to ({x2:.0f}, {y2:.0f})\n"


def test_pictures_are_turned_as_their_exif_says(shown, tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6
  path = tmp_path / "a.jpg"
  Image.fromarray(smooth(60, 90)).save(path, exif=exif, quality=95)
  fitted = letterbox(decode(path.read_bytes())[0], (64, 96))
  assert np.abs(shown(model(), path).astype(int) - fitted.image).max() <= 8


def test_16_bits_of_grey_are_made_8(shown, tmp_path):
  grey = smooth(64, 96)[..., 0].astype(np.uint16) * 257
  cv2.imwrite(str(tmp_path / "a.png"), grey)
  np.testing.assert_array_equal(shown(model(), tmp_path / "a.png")[..., 1], grey // 257)
