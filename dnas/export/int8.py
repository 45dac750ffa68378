# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization of an ONNX model to 8 bits: weights, then activations too.

w ~ scale_c * q, q in [-127, 127], scale_c = max |w_c| / 127 per output channel; activations per
tensor, their ranges from calibration images (Jacob et al. 2018, arXiv:1712.05877, section 2).
Convolutions and matrix products are quantized; decoding and suppression of boxes stay in float32.
"""

import pathlib
import tempfile
from typing import Any

import numpy as np

from dnas.errors import DnasError
from dnas.export.environment import need

PARTS = ("weights", "activations")
_OPERATIONS = ("Conv", "MatMul", "Gemm")  # Gemm: a matrix product with its bias.


def weights(data: bytes) -> bytes:
  """The model with its kernels stored as int8: a quarter of the size, computed in float32."""
  onnx = need("onnx", "export")
  model = onnx.load_from_string(data)
  graph = model.graph
  stored = {tensor.name: tensor for tensor in graph.initializer}
  done: set[str] = set()
  front = []
  for node in graph.node:
    name = node.input[1] if len(node.input) > 1 else ""
    kernel = stored.get(name)
    if node.op_type not in _OPERATIONS or kernel is None:
      continue
    if name not in done:
      front.append(_quantize(onnx, graph, kernel, _channel(node)))
      done.add(name)
    node.input[1] = f"{name}/float"
  if not done:
    raise DnasError("int8: the model has no convolution or matrix product with constant weights")
  nodes = [*front, *graph.node]
  del graph.node[:]
  graph.node.extend(nodes)
  used = {name for node in nodes for name in node.input}
  kept = [tensor for tensor in graph.initializer if tensor.name in used]
  del graph.initializer[:]
  graph.initializer.extend(kept)
  return model.SerializeToString()


def _channel(node: Any) -> int:
  """The axis of the weight (input 1) whose index is the output channel."""
  turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
  return 0 if node.op_type == "Conv" or turned else -1


def _quantize(onnx: Any, graph: Any, kernel: Any, axis: int) -> Any:
  """Stores a kernel as int8 and its scales; gives the node that makes it float32 again."""
  w = onnx.numpy_helper.to_array(kernel)
  axis %= w.ndim
  rest = tuple(i for i in range(w.ndim) if i != axis)
  scale = np.maximum(np.abs(w).max(rest), 1e-12).astype(np.float32) / np.float32(127)
  along = [1] * w.ndim
  along[axis] = -1
  q = np.clip(np.round(w / scale.reshape(along)), -127, 127).astype(np.int8)
  parts = {"int8": q, "scale": scale, "zero": np.zeros(len(scale), np.int8)}
  for suffix, array in parts.items():
    graph.initializer.append(onnx.numpy_helper.from_array(array, f"{kernel.name}/{suffix}"))
  inputs = [f"{kernel.name}/{suffix}" for suffix in parts]
  return onnx.helper.make_node("DequantizeLinear", inputs, [f"{kernel.name}/float"], axis=axis)


def activations(data: bytes, images: np.ndarray, *, batch: int | None = None) -> bytes:
  """The model with weights and activations of its layers in int8, by onnxruntime.

  Args:
    data: the float32 model.
    images: uint8 `[N, H, W, 3]`, from which ranges are taken: of the training split, not the one
      that is measured.
    batch: of the model; None: any.

  Raises:
    DnasError: onnxruntime is not installed, or there are fewer images than the model's batch.
  """
  need("onnxruntime", "export")
  from onnxruntime import quantization as ort  # pyright: ignore[reportMissingImports]

  size = batch or 1
  if len(images) < size:
    raise DnasError(f"int8: {len(images)} calibration images, the model's batch is {size}")
  parts = [images[i : i + size] for i in range(0, len(images) - size + 1, size)]
  feeds = iter([{"images": part} for part in parts])

  class Reader(ort.CalibrationDataReader):
    """Hands out one batch after another, as onnxruntime asks for them."""

    def get_next(self) -> Any:
      return next(feeds, None)

  with tempfile.TemporaryDirectory(prefix="dnas-") as folder:
    paths = [pathlib.Path(folder, name) for name in ("float.onnx", "fused.onnx", "int8.onnx")]
    paths[0].write_bytes(data)
    # Joins biases to their convolutions, which are quantized together.
    ort.quant_pre_process(str(paths[0]), str(paths[1]), skip_symbolic_shape=True)
    ort.quantize_static(
      str(paths[1]),
      str(paths[2]),
      Reader(),
      quant_format=ort.QuantFormat.QDQ,
      op_types_to_quantize=[*_OPERATIONS],
      per_channel=True,
      activation_type=ort.QuantType.QUInt8,
      weight_type=ort.QuantType.QInt8,
    )
    return paths[2].read_bytes()
