# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX by jax2onnx, from plain JAX operations.

jax2onnx replaces functions of JAX and Flax while it traces. So tracing is done before, and what it
gets is a replay of the equations, with those written otherwise that it gets wrong (0.17: explicit
padding of pools is dropped; `lax.pad` and empty parts of a concatenation break under a batch
without size) or that have a better name in ONNX (Relu).
"""

import json
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend import core

from dnas.export.environment import need, python_with, run
from dnas.jaxprs import replay

REQUIREMENTS = ("jax2onnx>=0.17",)
OPSET = 17


def convert(
  function: Callable,
  image: tuple[int, int],
  batch: int | None,
  metadata: Mapping[str, Any],
) -> bytes:
  """The function as an ONNX model with the input `images`, its outputs named as in the function.

  Args:
    function: images uint8 `[B, H, W, 3]` -> named arrays.
    image: H and W.
    batch: B, or None for any.
    metadata: stored in the model as JSON, key by key.

  Raises:
    DnasError: a package is missing, or jax2onnx cannot convert the function.
  """
  texts = {key: json.dumps(value) for key, value in metadata.items()}
  for module in ("onnx", "onnxruntime"):
    need(module, "export")
  python = python_with("jax2onnx", REQUIREMENTS)
  return simplified(run(python, _convert, function, image, batch, texts))


def _convert(function: Callable, image, batch: int | None, metadata: Mapping[str, str]) -> bytes:
  """`convert`, where jax2onnx is installed."""
  import jax2onnx  # pyright: ignore[reportMissingImports]

  (size,) = jax.export.symbolic_shape("B") if batch is None else (batch,)
  spec = jax.ShapeDtypeStruct((size, *image, 3), np.uint8)
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(spec)
  names = sorted(shapes)  # As the leaves of a dict are.
  model: Any = jax2onnx.to_onnx(
    lambda images: replay(closed.jaxpr, closed.consts, [images], WRITTEN),
    [spec],
    opset=OPSET,
    input_names=["images"],
    output_names=names,
  )
  for key, text in metadata.items():
    entry = model.metadata_props.add()
    entry.key, entry.value = key, text
  return model.SerializeToString()


def simplified(data: bytes) -> bytes:
  """The same model with constants computed and biases in their convolutions, in ONNX' own terms."""
  onnx, runtime = need("onnx", "export"), need("onnxruntime", "export")
  options = runtime.SessionOptions()
  options.log_severity_level = 3
  options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
  with tempfile.TemporaryDirectory(prefix="dnas-") as folder:
    path = pathlib.Path(folder, "model.onnx")
    options.optimized_model_filepath = str(path)
    runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
  used = {node.domain for node in model.graph.node}
  kept = [opset for opset in model.opset_import if opset.domain in used]
  del model.opset_import[:]
  model.opset_import.extend(kept)
  return model.SerializeToString()


def session(data: bytes, threads: int = 0) -> Any:
  """An onnxruntime session on the CPU.

  Raises:
    DnasError: onnxruntime is not installed.
  """
  runtime = need("onnxruntime", "export")
  options = runtime.SessionOptions()
  options.log_severity_level = 3
  options.intra_op_num_threads = threads
  return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def predict(session: Any, images: np.ndarray) -> dict[str, np.ndarray]:
  """What a session gives for `images`."""
  names = [output.name for output in session.get_outputs()]
  return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _max_pool(eqn: core.JaxprEqn, x: Any) -> Any:
  window, strides, padding = _window(eqn)
  x = _padded(x, padding, float(np.finfo(x.dtype).min))
  return nnx.max_pool(x, window_shape=window, strides=strides, padding="VALID")


def _sum_pool(eqn: core.JaxprEqn, x: Any) -> Any:
  window, strides, padding = _window(eqn)
  x = _padded(x, padding, 0.0)
  mean = nnx.avg_pool(x, window_shape=window, strides=strides, padding="VALID")
  return mean * np.asarray(np.prod(window), x.dtype)


def _window(eqn: core.JaxprEqn) -> tuple[Any, Any, Any]:
  """Window, strides and padding of a pool over the middle axes of `[B, H, W, C]`."""
  params = eqn.params
  window, strides = params["window_dimensions"], params["window_strides"]
  outer = (window[0], window[-1], strides[0], strides[-1])
  dilations = {*params["window_dilation"], *params["base_dilation"]}
  if outer != (1,) * 4 or dilations != {1} or any(params["padding"][0] + params["padding"][-1]):
    raise NotImplementedError(f"{eqn.primitive.name} over other axes than H and W: {params}")
  return window[1:-1], strides[1:-1], params["padding"]


def _padded(x: Any, padding: Sequence[tuple[int, int]], value: float) -> Any:
  return jnp.pad(x, padding, constant_values=value) if any(map(any, padding)) else x


def _pad(eqn: core.JaxprEqn, x: Any, value: Any) -> Any:
  config, filling = eqn.params["padding_config"], eqn.invars[1]
  if any(inner or min(low, high) < 0 for low, high, inner in config):
    return jax.lax.pad(x, value, config)
  known = isinstance(filling, core.Literal)
  filler = np.asarray(filling.val).item() if known else value
  return jnp.pad(x, [(low, high) for low, high, _ in config], constant_values=filler)


def _concatenate(eqn: core.JaxprEqn, *values: Any) -> Any:
  axis = eqn.params["dimension"]
  filled = [x for x in values if not (isinstance(x.shape[axis], int) and x.shape[axis] == 0)]
  return filled[0] if len(filled) == 1 else jax.lax.concatenate(filled, axis)


def _max(eqn: core.JaxprEqn, left: Any, right: Any) -> Any:
  """max(x, 0) as ReLU."""
  for atom, other in ((eqn.invars[1], left), (eqn.invars[0], right)):
    floating = jnp.issubdtype(other.dtype, jnp.floating)
    if isinstance(atom, core.Literal) and np.all(np.asarray(atom.val) == 0) and floating:
      return jax.nn.relu(other)
  return jax.lax.max(left, right)


WRITTEN: dict[str, Callable[..., Any]] = {
  "reduce_window_max": _max_pool,
  "reduce_window_sum": _sum_pool,
  "pad": _pad,
  "concatenate": _concatenate,
  "max": _max,
}
