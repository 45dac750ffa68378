# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Networks for other programs: StableHLO, ONNX and LiteRT files, checked against JAX.

  model = Model(apply, weights, image=(320, 320))      apply(weights, images uint8) -> named arrays
  export(model, "model.onnx", images=some_real_ones)

The suffix of the file says the format.
"""

import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from dnas.errors import DnasError, choose_from
from dnas.export import int8 as quantization
from dnas.export import to_litert, to_onnx, to_stablehlo
from dnas.export.model import Model, check, from_run, of_detector
from dnas.files import atomic_write

__all__ = ["FORMATS", "Model", "check_arguments", "export", "from_run", "of_detector"]

FORMATS = {".onnx": "ONNX", ".stablehlo": "StableHLO", ".tflite": "LiteRT"}


def export(
  model: Model,
  path: str | os.PathLike,
  *,
  images: np.ndarray | None = None,
  batch: int | None = None,
  fold: bool = True,
  int8: str | None = None,
  calibration: np.ndarray | None = None,
) -> dict[str, Any]:
  """Writes a model to a file, once the file's content gives what JAX gives.

  Args:
    model: what to export.
    path: ends in `.onnx`, `.stablehlo` or `.tflite`.
    images: uint8 `[N, H, W, 3]` for the check; None: noise.
    batch: size of a batch; None: any (LiteRT needs a number).
    fold: whether batch norms are folded into convolutions.
    int8: None, "weights" or "activations" (these and the weights), of ONNX. The check is made on
      the float32 model before; what 8 bits cost is for a measurement to tell.
    calibration: uint8 images for `int8="activations"`.

  Returns:
    `format`, `bytes`, and `error`: the largest |file - JAX| / max(1, |JAX|) over all outputs.

  Raises:
    DnasError: the suffix or an argument is wrong, a package is missing (the message says which
      extra brings it), or the file differs from JAX by more than 1e-4. Nothing is written then.
  """
  path = pathlib.Path(path)
  check_arguments(path, batch, int8)
  if int8 == "activations" and calibration is None:
    raise DnasError("int8: activations need calibration images")
  images = model.noise() if images is None else images
  if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*model.image, 3):
    shape = (*model.image, 3)
    raise DnasError(
      f"images: {images.dtype} {images.shape}; valid is uint8 [N, {', '.join(map(str, shape))}]"
    )
  if batch is not None:
    images = np.resize(images, (-(-len(images) // batch) * batch, *images.shape[1:]))
  parts = [images] if batch is None else np.split(images, len(images) // batch)
  data, got = _convert(model, path.suffix, parts, batch, fold)
  wanted = _joined(map(model.reference(), parts))
  error = check(path.name, wanted, got)
  if int8 == "weights":
    data = quantization.weights(data)
  elif int8 == "activations" and calibration is not None:
    data = quantization.activations(data, calibration, batch=batch)
  atomic_write(path, data)
  return {"format": FORMATS[path.suffix], "bytes": len(data), "error": error}


def _convert(model: Model, suffix: str, parts: list[np.ndarray], batch: int | None, fold: bool):
  """The file's content, and what it gives for the images."""
  function = model.function(fold)
  if suffix == ".onnx":
    data = to_onnx.convert(function, model.image, batch, model.facts())
    session = to_onnx.session(data)
    return data, _joined(to_onnx.predict(session, part) for part in parts)
  if suffix == ".stablehlo":
    data = to_stablehlo.convert(function, model.image, batch)
    return data, _joined(map(to_stablehlo.load(data), parts))
  return to_litert.convert(function, model.image, batch, np.concatenate(parts))


def _joined(outputs: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  rows = list(outputs)
  return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def check_arguments(path: pathlib.Path, batch: int | None, int8: str | None) -> None:
  """Raises DnasError for arguments of `export` that are wrong for any model."""
  if path.suffix not in FORMATS:
    raise DnasError(choose_from("format of the file", path.suffix or path.name, FORMATS))
  if batch is not None and batch < 1:
    raise DnasError(f"batch: {batch} is not at least 1")
  if path.suffix == ".tflite" and batch is None:
    raise DnasError("batch: LiteRT models have a fixed one; give 1 or more")
  if int8 is None:
    return
  if int8 not in quantization.PARTS:
    raise DnasError(choose_from("int8", int8, quantization.PARTS))
  if path.suffix != ".onnx":
    raise DnasError(f"int8: for ONNX files only, not {path.name}")
