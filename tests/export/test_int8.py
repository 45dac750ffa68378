# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Models in 8 bits stay close to the float32 model, and are smaller."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from dnas.errors import DnasError  # noqa: E402
from dnas.export import int8, to_onnx  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)


def network(kernel: np.ndarray) -> bytes:
  """Images -> float, NCHW, convolution, ReLU."""
  make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
  number = lambda value, name: onnx.numpy_helper.from_array(np.asarray(value, np.float32), name)
  nodes = [
    make("Cast", ["images"], ["float"], to=onnx.TensorProto.FLOAT),
    make("Div", ["float", "scale"], ["small"]),
    make("Transpose", ["small"], ["x"], perm=[0, 3, 1, 2]),
    make("Conv", ["x", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
    make("Relu", ["conv"], ["y"]),
  ]
  graph = onnx.helper.make_graph(
    nodes,
    "small",
    [info("images", onnx.TensorProto.UINT8, ["B", 8, 8, 3])],
    [info("y", onnx.TensorProto.FLOAT, ["B", len(kernel), 8, 8])],
    [number(kernel, "kernel"), number(128, "scale")],
  )
  opset = [onnx.helper.make_opsetid("", to_onnx.OPSET)]
  model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
  return model.SerializeToString()


def linear(kernel: np.ndarray, form: str) -> bytes:
  """Images -> float, flat, and a linear layer as Gemm, or as it becomes one when simplified."""
  make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
  number = lambda value, name: onnx.numpy_helper.from_array(np.asarray(value, np.float32), name)
  layer = [make("Gemm", ["x", "kernel", "bias"], ["y"], transB=int(form == "turned"))]
  if form == "simplified":
    layer = [make("MatMul", ["x", "kernel"], ["xw"]), make("Add", ["xw", "bias"], ["y"])]
  nodes = [
    make("Cast", ["images"], ["float"], to=onnx.TensorProto.FLOAT),
    make("Div", ["float", "scale"], ["small"]),
    make("Reshape", ["small", "shape"], ["x"]),
    *layer,
  ]
  constants = {
    "kernel": kernel.T if form == "turned" else kernel,
    "bias": kernel.max(0),
    "scale": 128,
  }
  shape = onnx.numpy_helper.from_array(np.array([-1, len(kernel)]), "shape")
  graph = onnx.helper.make_graph(
    nodes,
    "small",
    [info("images", onnx.TensorProto.UINT8, ["B", 8, 8, 3])],
    [info("y", onnx.TensorProto.FLOAT, ["B", len(kernel.T)])],
    [*(number(value, name) for name, value in constants.items()), shape],
  )
  opset = [onnx.helper.make_opsetid("", to_onnx.OPSET)]
  model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
  return to_onnx.simplified(model) if form == "simplified" else model


def y_of(data: bytes) -> np.ndarray:
  return to_onnx.predict(to_onnx.session(data, threads=1), IMAGES)["y"]


def kernel() -> np.ndarray:
  """Channels of very different sizes: one scale for all of them would lose the small ones."""
  return RNG.normal(size=(64, 3, 3, 3)) * np.logspace(-3, 3, 64)[:, None, None, None]


def test_weights():
  data = network(kernel())
  small = int8.weights(data)
  assert len(small) < 0.45 * len(data)
  a, b = y_of(data), y_of(small)
  size = a.max((0, 2, 3))
  alive = size > 0  # ReLU lets some channels through nowhere.
  assert alive.sum() > 32
  error = np.abs(a - b).max((0, 2, 3))[alive] / size[alive]
  assert error.max() < 0.05
  assert error.max() > 0


def test_weights_and_activations():
  data = network(kernel())
  full = int8.activations(data, IMAGES)
  assert len(full) < 0.9 * len(data)
  operations = [node.op_type for node in onnx.load_from_string(full).graph.node]
  assert "QuantizeLinear" in operations
  a, b = y_of(data), y_of(full)
  assert 0 < np.abs(a - b).max() / a.max() < 0.03


def kernels_of(data: bytes) -> list[int]:
  """The types in which the matrices of a model are stored."""
  return [t.data_type for t in onnx.load_from_string(data).graph.initializer if len(t.dims) == 2]


@pytest.mark.parametrize("form", ["plain", "turned", "simplified"])
def test_linear_layers(form):
  """Outputs of very different sizes: one scale for all of them would lose the small ones."""
  data = linear(RNG.normal(size=(192, 64)) * np.logspace(-3, 3, 64), form)
  assert "Gemm" in [node.op_type for node in onnx.load_from_string(data).graph.node]
  small = int8.weights(data)
  assert kernels_of(small) == [onnx.TensorProto.INT8]
  a, b = y_of(data), y_of(small)
  assert 0 < (np.abs(a - b).max(0) / np.abs(a).max(0)).max() < 0.1
  assert kernels_of(int8.activations(data, IMAGES)) == [onnx.TensorProto.INT8]


def test_too_few_images():
  with pytest.raises(DnasError, match="2 calibration images, the model's batch is 4"):
    int8.activations(network(kernel()), IMAGES[:2], batch=4)


def test_nothing_to_quantize():
  graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
  with pytest.raises(DnasError, match="no convolution"):
    int8.weights(onnx.helper.make_model(graph).SerializeToString())
