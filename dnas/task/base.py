# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The type that every task is, and what its network costs."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from dnas.cost import count
from dnas.data.source import Source
from dnas.detection.thresholds import Thresholds
from dnas.errors import DnasError, choose_from
from dnas.nn import network
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space.space import SearchSpace

Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]
Result = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]  # a batch and its outputs


@dataclasses.dataclass(frozen=True)
class Task:
  """A task as functions.

  Attributes:
    build: (space, rngs, search=None, supernet=PLAIN) -> network; see `nn.network.Backbone`.
    forward: (network, weights, images, mode) -> what the network itself puts out, for counting.
    loss: (network, weights, batch, mode) -> (scalar, metrics); `weights` are the mixing weights of
      the searched cells, `{}` for a genotype.
    predict: (a genotype's network, images) -> arrays `[B, ...]`, jitted by the caller.
    measure: (source, [(batch, outputs), ...], folder) -> the numbers by which results are compared;
      what people want to look at (predictions, pictures) goes into the folder.
    headline: the name of the number that counts most.
    size: height and width of the network's input.
    boxes: of detectors, (a genotype's network, images) -> boxes xyxy `[B, A, 4]` px and scores
      `[B, A, C]`, before suppression; None for others.
    found: of detectors, what `predict` counts as found; None for others.

  `forward`, `predict` and `boxes` hold no data, so that they can be pickled.
  """

  build: Callable[..., nnx.Module]
  forward: Callable[[Any, network.Weights, jax.Array, Mode], Any]
  loss: Callable[[Any, network.Weights, Batch, Mode], tuple[jax.Array, Metrics]]
  predict: Callable[[Any, jax.Array], Mapping[str, jax.Array]]
  measure: Callable[[Source, Iterable[Result], pathlib.Path], dict[str, Any]]
  headline: str
  size: tuple[int, int]
  boxes: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]] | None = None
  found: Thresholds | None = None


DTYPES = ("float32", "bfloat16")


def computing(
  dtype: str, scaled: Callable[[jax.Array], jax.Array]
) -> Callable[[jax.Array], jax.Array]:
  """`scaled`, so that the network behind it computes in `dtype`: a layer takes its input's.

  In bfloat16 feature maps take half the memory, and matrix units of GPUs and TPUs work at twice the
  rate or more; CPUs emulate it. Weights, their gradients, optimiser, statistics of batch norms,
  logits, boxes and losses stay float32. (8 bits of precision, 8 of exponent: no loss scaling.)

  Args:
    dtype: "float32" or "bfloat16".
    scaled: pixels in [0, 255] -> what the network takes.

  Raises:
    DnasError: another dtype.
  """
  if dtype not in DTYPES:
    raise DnasError(choose_from("config.task.dtype:", dtype, DTYPES))
  return lambda images: scaled(images).astype(dtype)


def cost(task: Task, genotype: SearchSpace) -> count.Cost:
  """Exact parameters and MACs of a genotype's network on one image, without running it.

  As it is evaluated: without an auxiliary head, which only training runs.
  """
  call = lambda model, images: task.forward(model, {}, images, Mode())
  model = task.build(genotype, Rngs(None))
  if isinstance(model, network.Network):
    model.auxiliary = None
  return count.count(model, call, (*task.size, 3))
