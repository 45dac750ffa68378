# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A decoupled anchor-free head: one branch for classes, one for distances, shared by all levels.

Convolutions are shared, because an object looks alike at every level; the statistics of the levels
differ, so each has its own batch norms (as in RTMDet, arXiv:2212.07784, section 3.1).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from dnas.detection.boxes import anchor_points
from dnas.detection.loss import Predictions
from dnas.nn.init import Rngs, prior_bias
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm

# An untrained classifier says "nothing here" with probability 99 % (RetinaNet, section 4.1).


class Branch(nnx.Module):
  """(conv 3x3, batch norm of the level, ReLU) `convs` times, then a 1x1 convolution with bias.

  Args:
    c_in: channels of every level, and of the 3x3 convolutions.
    c_out: channels of the result.
    levels: number of levels.
    convs: number of 3x3 convolutions.
    rngs: initialises the weights.
  """

  def __init__(self, c_in: int, c_out: int, levels: int, convs: int, *, rngs: Rngs):
    self.convs = nnx.List(Conv(c_in, c_in, 3, rngs=rngs) for _ in range(convs))
    self.norms = nnx.List(nnx.List(BatchNorm(c_in) for _ in range(convs)) for _ in range(levels))
    self.predict = Conv(c_in, c_out, 1, bias=True, rngs=rngs)

  def __call__(self, x: jax.Array, level: int, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, H * W, c_out]` in float32."""
    for conv, norm in zip(self.convs, self.norms[level]):
      x = jax.nn.relu(norm(conv(x), mode))
    y = self.predict(x)
    return y.reshape(y.shape[0], -1, y.shape[-1]).astype(jnp.float32)


class Head(nnx.Module):
  """Class logits and distance distributions at every cell of every level.

  Args:
    c_in: channels of every level.
    classes: number of classes.
    strides: px per cell of each level.
    convs: 3x3 convolutions per branch.
    reg_max: largest distance in cells; each side gets reg_max + 1 bins.
    rngs: initialises the weights.

  Raises:
    ValueError: classes, reg_max or convs out of range.
  """

  def __init__(
    self,
    c_in: int,
    classes: int,
    strides: Sequence[int],
    *,
    convs: int,
    reg_max: int,
    rngs: Rngs,
  ):
    if classes < 1 or reg_max < 1 or convs < 0:
      raise ValueError(
        f"head: classes={classes}, reg_max={reg_max}, convs={convs}; valid is classes >= 1, "
        "reg_max >= 1, convs >= 0"
      )
    levels = len(strides)
    self.strides = tuple(strides)
    self.classes = Branch(c_in, classes, levels, convs, rngs=rngs)
    self.distances = Branch(c_in, 4 * (reg_max + 1), levels, convs, rngs=rngs)
    self.classes.predict.bias = nnx.Param(prior_bias(classes))

  def __call__(self, features: Sequence[jax.Array], mode: Mode) -> Predictions:
    """Predicts from the neck's outputs `[B, H_i, W_i, c_in]`, fine to coarse."""
    logits = [self.classes(x, i, mode) for i, x in enumerate(features)]
    distribution = [self.distances(x, i, mode) for i, x in enumerate(features)]
    points, strides = anchor_points([(x.shape[1], x.shape[2]) for x in features], self.strides)
    # Constants stay NumPy arrays: the assigners may need the sizes of the levels while tracing.
    return Predictions(
      jnp.concatenate(logits, 1), jnp.concatenate(distribution, 1), points, strides
    )
