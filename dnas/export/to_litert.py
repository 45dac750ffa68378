# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""LiteRT (TensorFlow Lite) by jax2tf and TensorFlow's converter, in an environment of their own.

The converter (2.21) knows neither `chlo.top_k` nor `vhlo.sort_v1`, by which JAX sorts. So a
function is cut into pieces around each `top_k`, which TensorFlow's own then does.
"""

import functools
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from dnas.errors import DnasError
from dnas.export.environment import python_with, run
from dnas.jaxprs import bind, read, replay

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

  whole = cut(function, shape)
  in_tf = functools.partial(jax2tf.convert, with_gradient=False)
  top_k = lambda x, k: tf.math.top_k(x, k)
  graph: Any = tf.function(
    lambda images: dict(zip(whole.names, through(whole, images, in_tf, top_k), strict=True)),
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
  return pickle.dumps((data, dict(zip(whole.names, outputs, strict=True))))


class Piece(NamedTuple):
  """A part of a function: `outputs = run(*inputs)`, or one `top_k`.

  Attributes:
    inputs, outputs: variables.
    run: values of the inputs -> values of the outputs, in JAX; None for `top_k`.
    k: of `top_k`, which sorts along the last axis.
  """

  inputs: tuple[Any, ...]
  outputs: tuple[Any, ...]
  run: Callable[..., list[Any]] | None
  k: int = 0


class Cut(NamedTuple):
  """A function of images in pieces: the images' variable, the parts, names of the last outputs."""

  images: Any
  pieces: tuple[Piece, ...]
  names: list[str]


def cut(function: Callable, shape: tuple[int, ...]) -> Cut:
  """A function of uint8 images of this shape, cut around each `top_k`."""
  spec = jax.ShapeDtypeStruct(shape, np.uint8)
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(spec)
  # Once more, with calls in place, so that no `top_k` hides in one.
  flat = jax.make_jaxpr(lambda images: replay(closed.jaxpr, closed.consts, [images], {}))(spec)
  jaxpr, known = flat.jaxpr, dict(zip(flat.jaxpr.constvars, flat.consts, strict=True))
  groups: list[list[core.JaxprEqn]] = [[]]
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == "top_k":
      groups += [[eqn], []]
    else:
      groups[-1].append(eqn)
  found: list[Piece] = []
  needed = outputs = tuple(jaxpr.outvars)
  for n in reversed(range(len(groups))):
    made = {var for eqn in groups[n] for var in eqn.outvars}
    if n < len(groups) - 1:
      outputs = tuple(var for var in needed if var in made)
    reads = [*(atom for eqn in groups[n] for atom in eqn.invars), *outputs]
    open_ = [a for a in reads if not (isinstance(a, core.Literal) or a in made or a in known)]
    inputs = tuple(dict.fromkeys(open_))
    if n % 2:
      (eqn,) = groups[n]
      found.insert(0, Piece(inputs, tuple(eqn.outvars), None, eqn.params["k"]))
    else:
      run = functools.partial(_run, groups[n], known, inputs, outputs)
      found.insert(0, Piece(inputs, outputs, run))
    kept = [] if n == len(groups) - 1 else [var for var in needed if var not in made]
    needed = tuple(dict.fromkeys([*kept, *inputs]))
  return Cut(jaxpr.invars[0], tuple(found), sorted(shapes))  # Sorted as the leaves of a dict are.


def _run(eqns, known, inputs, outputs, *values: Any) -> list[Any]:
  """The equations of a piece in JAX."""
  env = {**known, **dict(zip(inputs, values, strict=True))}
  for eqn in eqns:
    results = bind(eqn, [read(env, atom) for atom in eqn.invars])
    env.update(zip(eqn.outvars, results, strict=True))
  return [jax.numpy.asarray(read(env, atom)) for atom in outputs]


def through(whole: Cut, images: Any, wrap: Callable, top_k: Callable) -> list[Any]:
  """The outputs of the last piece, from those of all before.

  Args:
    whole: the pieces.
    images: what goes in.
    wrap: of each piece's function: JAX's -> another framework's.
    top_k: (array, k) -> (values, indices) of that framework.
  """
  env, results = {whole.images: images}, []
  for piece in whole.pieces:
    values = [env[var] for var in piece.inputs]
    results = list(top_k(*values, piece.k) if piece.run is None else wrap(piece.run)(*values))
    pairs = zip(piece.outputs, results, strict=True)
    env |= {var: value for var, value in pairs if not isinstance(var, core.Literal)}
  return results
