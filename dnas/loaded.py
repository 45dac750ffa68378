# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A detector with its weights: predicting, measuring and training on need no more.

(Where they come from: `detectors.py`.)
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from dnas import task as tasks
from dnas.config import Config
from dnas.detection.thresholds import Thresholds
from dnas.errors import DnasError
from dnas.nn import functional, qarepvgg, yolo_nas_weights
from dnas.nn.init import Rngs
from dnas.space.space import SearchSpace

Size = int | tuple[int, int] | None  # height and width, or the side of a square


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
  """A detector with weights.

  Attributes:
    name: for people.
    genotype: what its network is built from.
    task: builds the network and knows its loss.
    config: `task` (and, of a run, all else), so that it can be trained on.
    classes: names.
    params, stats: weights and batch statistics, as trained.
    size: height and width of the network's input, px.
    multiple: sides of an input are multiples of it, px.
    margin: an image fills so much less than the input's height and width, px.
    interpolation: see `data.letterbox`.
    random: whether the weights are initial ones.
    new_classes: whether those that predict the class are, and the others not.
  """

  name: str
  genotype: SearchSpace
  task: tasks.Task
  config: Config
  classes: tuple[str, ...]
  params: Any
  stats: Any
  size: tuple[int, int]
  multiple: int
  margin: tuple[int, int]
  interpolation: str
  random: bool
  new_classes: bool = False

  @property
  def caution(self) -> str | None:
    """What whoever loads it has to know of its weights, if anything."""
    if self.random and self.config.task.name == "yolo_nas":
      return yolo_nas_weights.RANDOM.format(name=self.name)
    if self.random:
      return f"{self.name} has random weights and detects nothing yet: train it (model.train)"
    if self.new_classes:
      return (
        f"{self.name}: the weights are of another number of classes, so what predicts the class is "
        "random and every score means nothing yet: train it (model.train)"
      )
    return None

  def module(self, fused: bool = False) -> nnx.Module:
    """The network with its weights; fused: blocks with branches as one convolution each."""
    static, _, _ = functional.split(self.task.build(self.genotype, Rngs(None)))
    module = static.merge(self.params, self.stats)
    return qarepvgg.fuse(module) if fused else module

  def boxes(self, module: nnx.Module, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Every box before suppression, xyxy px `[B, A, 4]`, and scores `[B, A, C]`.

    Args:
      module: of `module`.
      images: `[B, H, W, 3]`, 0 to 255, of any dtype.
    """
    assert self.task.boxes is not None  # Of a detector.
    return self.task.boxes(module, images)

  def content(self, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width, px, that an image may fill of an input of this size."""
    return max(1, size[0] - self.margin[0]), max(1, size[1] - self.margin[1])

  @property
  def found(self) -> Thresholds:
    """What counts as found when the detector is measured."""
    assert self.task.found is not None  # Of a detector.
    return self.task.found

  def check_image(self, size: Size = None) -> tuple[int, int]:
    """Height and width of an input, px.

    Args:
      size: these; one number: of a square; None: the network's own.

    Raises:
      DnasError: the network does not take such images.
    """
    size = self.size if size is None else size
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    right = len(sides) == 2 and all(isinstance(side, int | np.integer) for side in sides)
    if not right or any(side < 1 or side % self.multiple for side in sides):
      raise DnasError(
        f"image size {size} px: {self.name} takes height and width from {self.multiple} px on, in "
        f"steps of {self.multiple}"
      )
    return int(sides[0]), int(sides[1])
