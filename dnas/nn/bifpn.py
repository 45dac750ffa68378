# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The bidirectional feature pyramid with fast normalised fusion (Tan et al., 1911.09070).

With f(x) = bn(separable(swish(sum_k w_k x_k / (sum_k w_k + 1e-4)))), w_k >= 0, section 3:

up, for i = 6 .. 3:    t_i = f_i(p_i, up(t_{i+1}))            t_7 = p_7
down, for i = 4 .. 7:  o_i = f_i(p_i, t_i, down(o_{i-1}))     o_3 = t_3; o_7 lacks t_7
"""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from dnas.nn import depthwise, layers, mbconv
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode
from dnas.nn.neck import enlarge
from dnas.nn.norm import BatchNorm

_EPSILON = 1e-4


def norm(channels: int) -> BatchNorm:
  """Batch norm with EfficientDet's epsilon; the statistics move by 0.1 a step, there by 0.01."""
  return BatchNorm(channels, epsilon=mbconv.EPSILON)


def separable(c_in: int, c_out: int, *, rngs: Rngs) -> layers.Sequence:
  """Depthwise 3x3, pointwise with bias."""
  return layers.Sequence(
    Conv(c_in, c_in, 3, groups=c_in, rngs=rngs), Conv(c_in, c_out, 1, bias=True, rngs=rngs)
  )


def _to_width(c_in: int, width: int, *, rngs: Rngs) -> layers.Sequence:
  """1x1 with bias, batch norm; nothing where the width is there already."""
  if c_in == width:
    return layers.Sequence()
  return layers.Sequence(Conv(c_in, width, 1, bias=True, rngs=rngs), norm(width))


class Fusion(nnx.Module):
  """y = bn(separable(swish(sum_k w_k x_k / (sum_k w_k + 1e-4)))), w = relu(weight).

  Args:
    c_in: channels of each input.
    width: of the output; inputs of other widths are brought to it first.
    weighted: whether there are weights; otherwise the inputs are summed.
    rngs: initialises the weights.
  """

  def __init__(self, c_in: Sequence[int], width: int, *, weighted: bool, rngs: Rngs):
    self.prepare = nnx.List(_to_width(c, width, rngs=rngs) for c in c_in)
    self.weight = nnx.Param(np.ones(len(c_in), np.float32)) if weighted else None
    self.conv = separable(width, width, rngs=rngs)
    self.norm = norm(width)

  def __call__(self, inputs: Sequence[jax.Array], resize, mode: Mode) -> jax.Array:
    """Fuses `[B, H_k, W_k, c_in_k]`; resize: for each input a function to the output's size."""
    parts = [
      size(prepare(x, mode)) for x, prepare, size in zip(inputs, self.prepare, resize, strict=True)
    ]
    if self.weight is not None:
      w = jax.nn.relu(self.weight[...])
      w = (w / (w.sum() + _EPSILON)).astype(parts[0].dtype)
      parts = [w[k] * part for k, part in enumerate(parts)]
    return self.norm(self.conv(jax.nn.swish(sum(parts[1:], parts[0])), mode), mode)


class BiFPNLayer(nnx.Module):
  """One pass up and one down, see the module.

  Args:
    c_in: channels of the levels, fine to coarse; three or more levels.
    width: channels of every output.
    weighted: see `Fusion`.
    rngs: initialises the weights.
  """

  def __init__(self, c_in: Sequence[int], width: int, *, weighted: bool, rngs: Rngs):
    fusion = lambda *channels: Fusion(channels, width, weighted=weighted, rngs=rngs)
    last = len(c_in) - 1
    self.up = nnx.List(fusion(c_in[i], c_in[last] if i == last - 1 else width) for i in range(last))
    self.down = nnx.List(
      fusion(c_in[i], *([width] if i < last else []), width) for i in range(1, last + 1)
    )

  def __call__(self, features: Sequence[jax.Array], mode: Mode) -> list[jax.Array]:
    """`[B, H_i, W_i, c_in_i]` to `[B, H_i, W_i, width]`, fine to coarse; H_{i+1} = H_i / 2."""
    same, last = lambda x: x, len(features) - 1
    between = [features[last]]
    for i in reversed(range(last)):
      bigger = lambda x, i=i: enlarge(x, *features[i].shape[1:3])
      between.insert(0, self.up[i]((features[i], between[0]), (same, bigger), mode))
    outputs = [between[0]]
    smaller = lambda x: depthwise.max_pool_3x3(x, 2)
    for i in range(1, last + 1):
      inputs = [features[i], *([between[i]] if i < last else []), outputs[-1]]
      resize = [same] * (len(inputs) - 1) + [smaller]
      outputs.append(self.down[i - 1](inputs, resize, mode))
    return outputs


class BiFPN(nnx.Module):
  """Two levels more by pooling, then `depth` layers.

  Args:
    c_in: channels of the backbone's levels, fine to coarse.
    width, depth: of the pyramid.
    weighted: see `Fusion`.
    rngs: initialises the weights.
  """

  def __init__(self, c_in: Sequence[int], width: int, depth: int, *, weighted: bool, rngs: Rngs):
    self.extra = _to_width(c_in[-1], width, rngs=rngs)
    widths = [[*c_in, width, width]] + [[width] * (len(c_in) + 2)] * (depth - 1)
    self.layers = nnx.List(BiFPNLayer(w, width, weighted=weighted, rngs=rngs) for w in widths)

  def __call__(self, features: Sequence[jax.Array], mode: Mode) -> list[jax.Array]:
    """The backbone's levels to all levels, `[B, H_i, W_i, width]`."""
    coarse = depthwise.max_pool_3x3(self.extra(features[-1], mode), 2)
    x = [*features, coarse, depthwise.max_pool_3x3(coarse, 2)]
    for layer in self.layers:
      x = layer(x, mode)
    return x
