# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""LiteRT (TensorFlow Lite) by jax2tf and TensorFlow's converter, in an environment of their own."""

import pickle
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dnas.errors import DnasError
from dnas.export.environment import python_with, run

REQUIREMENTS = ("tensorflow-cpu>=2.21",)


def convert(
  function: Callable, image: tuple[int, int], batch: int | None, images: np.ndarray
) -> tuple[bytes, dict[str, np.ndarray]]:
  """The function as a LiteRT model, and what the model gives for `images`.

  Args:
    function: images uint8 `[B, H, W, 3]` -> named arrays.
    image: H and W.
    batch: B; LiteRT's shapes are fixed, so None is an error.
    images: run through the model, `batch` at a time.

  Raises:
    DnasError: no batch was given, or a package or an operation is missing.
  """
  if batch is None:
    raise DnasError("LiteRT models have a fixed batch: give one (--batch 1)")
  python = python_with("tensorflow", REQUIREMENTS)
  return pickle.loads(run(python, _convert, function, (batch, *image, 3), images))


def _convert(function: Callable, shape: tuple[int, ...], images: np.ndarray) -> bytes:
  """`convert`, where TensorFlow is installed."""
  import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
  from jax.experimental import jax2tf

  names = sorted(jax.eval_shape(function, jax.ShapeDtypeStruct(shape, np.uint8)))
  graph: Any = tf.function(
    jax2tf.convert(function, with_gradient=False),
    input_signature=[tf.TensorSpec(shape, tf.uint8, name="images")],
    autograph=False,
  )
  module: Any = tf.Module()
  module.function = graph
  concrete = [graph.get_concrete_function()]
  data = tf.lite.TFLiteConverter.from_concrete_functions(concrete, module).convert()
  interpreter = tf.lite.Interpreter(model_content=data)
  interpreter.allocate_tensors()
  (given,) = interpreter.get_input_details()
  details = sorted(interpreter.get_output_details(), key=lambda detail: detail["name"])
  chunks = []
  for start in range(0, len(images) - shape[0] + 1, shape[0]):
    interpreter.set_tensor(given["index"], images[start : start + shape[0]])
    interpreter.invoke()
    chunks.append([interpreter.get_tensor(detail["index"]) for detail in details])
  outputs = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
  return pickle.dumps((data, dict(zip(names, outputs, strict=True))))
