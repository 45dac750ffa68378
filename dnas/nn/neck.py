# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A feature pyramid whose fusions are cells of the space.

Where two scales meet stands a `Cell` with two inputs, so how they are fused can be searched like
anything else. Top-down, then (in a path aggregation network) bottom-up:

  p_L = lateral(c_L)        p_i = cell(c_i, up(p_{i+1}))
  n_1 = p_1                 n_i = cell(n_{i-1}, p_i)        (the first input is halved)

Sources: Lin et al., Feature pyramid networks, CVPR 2017; Liu et al., Path aggregation network, CVPR
2018; Ghiasi et al., NAS-FPN, CVPR 2019.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from dnas.errors import choose_from
from dnas.nn import blocks, mixed
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space import space as spaces

PATHS = ("fpn", "pan")

# What stands in a space without a fusion cell: the sum of both scales.
SUM = spaces.Cell(
  inputs=2,
  edges=(spaces.Edge(0, 2, ("skip_connect",)), spaces.Edge(1, 2, ("skip_connect",))),
  output=(2,),
)


class Neck(nnx.Module):
  """Feature maps of several strides to as many of one width, each informed by the others.

  Args:
    cell: the fusion: two inputs, one output node.
    c_in: channels of the feature maps, fine to coarse.
    strides: of the feature maps; each twice the one before.
    channels: width of every output.
    path: "fpn" (top-down) or "pan" (top-down, then bottom-up).
    affine, pool_norm, supernet: as in `mixed.MixedOp`.
    rngs: initialises the weights.

  Raises:
    SpaceError: the cell has not two inputs and one output, strides that do not double, or an
      unknown path.
  """

  def __init__(
    self,
    cell: spaces.Cell,
    c_in: Sequence[int],
    strides: Sequence[int],
    channels: int,
    *,
    path: str,
    affine: bool = True,
    pool_norm: bool = False,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    if cell.inputs != 2 or len(cell.output) != 1:
      raise spaces.SpaceError(
        f"a fusion cell has 2 inputs and 1 output node, got {cell.inputs} and {len(cell.output)}"
      )
    if any(b != 2 * a for a, b in itertools.pairwise(strides)):
      raise spaces.SpaceError(f"strides {tuple(strides)}: each must be twice the one before")
    if path not in PATHS:
      raise spaces.SpaceError(choose_from("path", path, PATHS))
    self.cell = cell

    def fusion(widths: Sequence[int], stride_in: Sequence[int]) -> mixed.Cell:
      return mixed.Cell(
        cell,
        widths,
        stride_in,
        channels,
        1,
        affine=affine,
        pool_norm=pool_norm,
        supernet=supernet,
        rngs=rngs,
      )

    self.lateral = blocks.relu_conv_bn(c_in[-1], channels, 1, affine=affine, rngs=rngs)
    # Fine to coarse. The coarser map is enlarged first, so both inputs have the finer stride.
    self.top_down = nnx.List(fusion((c, channels), (s, s)) for c, s in zip(c_in[:-1], strides[:-1]))
    pairs = list(itertools.pairwise(strides)) if path == "pan" else []
    self.bottom_up = nnx.List(fusion((channels, channels), pair) for pair in pairs)

  def __call__(
    self,
    features: Sequence[jax.Array],
    weights: Sequence[jax.Array] | None,
    mode: Mode,
  ) -> list[jax.Array]:
    """Fuses the levels.

    Args:
      features: `[B, H_i, W_i, c_in_i]`, fine to coarse; H_{i+1} = ceil(H_i / 2), and W alike.
      weights: mixing weights `[O]` per edge of the fusion cell; None if it is decided.
      mode: how the pass is meant.

    Returns:
      `[B, H_i, W_i, channels]`, fine to coarse.
    """
    outputs = [self.lateral(features[-1], mode.at(0))]
    for i in reversed(range(len(self.top_down))):
      fine = features[i]
      inputs = (fine, enlarge(outputs[0], fine.shape[1], fine.shape[2]))
      outputs.insert(0, self.top_down[i](inputs, weights, mode.at(1 + i)))
    for i, cell in enumerate(self.bottom_up):
      place = mode.at(1 + len(self.top_down) + i)
      outputs[i + 1] = cell((outputs[i], outputs[i + 1]), weights, place)
    return outputs


def enlarge(x: jax.Array, height: int, width: int) -> jax.Array:
  """Each pixel doubled in both directions, cut to size: `[B, H, W, C] -> [B, height, width, C]`."""
  batch, h, w, channels = x.shape
  doubled = jnp.broadcast_to(x[:, :, None, :, None], (batch, h, 2, w, 2, channels))
  return doubled.reshape(batch, 2 * h, 2 * w, channels)[:, :height, :width]
