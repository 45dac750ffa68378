# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""QARepVGG and plain blocks in two forms: as they are trained, and fused into one convolution.

A block with branches is a sum of linear maps once its batch norms are constants, so it is one
convolution with bias. `fuse` gives the module of that form; values are equal up to rounding.
Attributes are named as in the published state dicts (see `dnas.nn.yolo_nas_weights`).

Source: Chu et al., Make RepVGG greater again: a quantization-aware approach (2212.01593), figure 6.
"""

from typing import Any

import jax
import numpy as np
from flax import nnx

from dnas.nn.init import Rngs
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm


def norm(channels: int, affine: bool = True) -> BatchNorm:
  """Batch norm as YOLO-NAS has it: epsilon 1e-3, momentum 0.97 (PyTorch says 0.03)."""
  return BatchNorm(channels, affine=affine, momentum=0.97, epsilon=1e-3)


class ConvBias(nnx.Module):
  """y = relu(conv(x) + b): the fused form of a block, or y = conv(x) + b.

  Args:
    kernel: `[k, k, c_in, c_out]`.
    bias: `[c_out]`.
    stride: in both directions.
    relu: whether ReLU follows.
  """

  def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, relu: bool = True):
    k, _, c_in, c_out = kernel.shape
    self.conv = Conv(c_in, c_out, k, stride, bias=True, rngs=Rngs(None))
    self.conv.kernel = nnx.Param(np.asarray(kernel, np.float32))
    self.conv.bias = nnx.Param(np.asarray(bias, np.float32))
    self.relu = relu

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    y = self.conv(x)
    return jax.nn.relu(y) if self.relu else y


class ConvNorm(nnx.Module):
  """y = relu(bn(conv(x))), or without the ReLU.

  Args:
    c_in, c_out: channels.
    kernel: side of the kernel.
    stride: in both directions.
    relu: whether ReLU follows.
    affine: whether the batch norm has scale and bias.
    rngs: initialises the weights.
  """

  def __init__(
    self,
    c_in: int,
    c_out: int,
    kernel: int,
    stride: int = 1,
    *,
    relu: bool = True,
    affine: bool = True,
    rngs: Rngs,
  ):
    self.conv = Conv(c_in, c_out, kernel, stride, rngs=rngs)
    self.bn = norm(c_out, affine)
    self.relu = relu

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    y = self.bn(self.conv(x), mode)
    return jax.nn.relu(y) if self.relu else y

  def fused(self) -> ConvBias:
    """The same as one convolution with bias, from the running statistics."""
    scale, shift = _affine_of(self.bn)
    kernel = np.asarray(self.conv.kernel[...], np.float64)
    return ConvBias(kernel * scale, shift, int(_stride(self.conv)), self.relu)


class QARepVGG(nnx.Module):
  """y = relu(post_bn(bn(conv3x3(x)) + conv1x1(x) + b [+ x])).

  Args:
    c_in, c_out: channels.
    stride: in both directions.
    identity: whether x is added; needs stride 1 and c_in = c_out.
    affine: whether the batch norms have scale and bias.
    rngs: initialises the weights.

  Raises:
    ValueError: an identity that cannot be.
  """

  def __init__(
    self,
    c_in: int,
    c_out: int,
    stride: int = 1,
    *,
    identity: bool = False,
    affine: bool = True,
    rngs: Rngs,
  ):
    if identity and (stride != 1 or c_in != c_out):
      raise ValueError(f"QARepVGG: an identity needs stride 1 and equal channels: {c_in}->{c_out}")
    self.branch_3x3 = ConvNorm(c_in, c_out, 3, stride, relu=False, affine=affine, rngs=rngs)
    self.branch_1x1 = Conv(c_in, c_out, 1, stride, bias=True, rngs=rngs)
    self.post_bn = norm(c_out, affine)
    self.identity = identity

  @property
  def placeholder(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the kernel (PyTorch's order) and bias that the published files keep, unused."""
    kernel = self.branch_3x3.conv.kernel
    return (kernel.shape[3], kernel.shape[2], 3, 3), (kernel.shape[3],)

  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`."""
    y = self.branch_3x3(x, mode) + self.branch_1x1(x)
    if self.identity:
      y = y + x
    return jax.nn.relu(self.post_bn(y, mode))

  def fused(self) -> ConvBias:
    """The same as one 3x3 convolution with bias, from the running statistics."""
    scale, shift = _affine_of(self.branch_3x3.bn)
    kernel = np.asarray(self.branch_3x3.conv.kernel[...], np.float64) * scale
    kernel[1, 1] += np.asarray(self.branch_1x1.kernel[...], np.float64)[0, 0]
    if self.identity:
      kernel[1, 1] += np.eye(kernel.shape[2])
    assert self.branch_1x1.bias is not None  # it is built with one
    bias = shift + np.asarray(self.branch_1x1.bias[...], np.float64)
    scale, shift = _affine_of(self.post_bn)
    return ConvBias(kernel * scale, bias * scale + shift, int(_stride(self.branch_1x1)))


def _affine_of(bn: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
  """(a, b), float64 `[C]`, of y = a x + b that a batch norm is outside of training."""
  wide = lambda variable: np.asarray(variable[...], np.float64)
  scale = 1 / np.sqrt(wide(bn.var) + bn.epsilon)
  if bn.scale is not None:
    scale = scale * wide(bn.scale)
  shift = -wide(bn.mean) * scale
  return scale, shift if bn.bias is None else shift + wide(bn.bias)


def fuse(module: nnx.Module) -> nnx.Module:
  """A copy in which every block that has a fused form takes it; for evaluation only.

  Works on any module, and on concrete weights (outside of jit).
  """
  return _fused(nnx.clone(module))


def _fused(node: Any) -> Any:
  if hasattr(node, "fused") and callable(node.fused):
    return node.fused()
  if isinstance(node, nnx.List):
    for i, child in enumerate(node):
      node[i] = _fused(child)
  elif isinstance(node, nnx.Module):
    for name, child in list(vars(node).items()):
      if isinstance(child, (nnx.Module, nnx.List)):
        setattr(node, name, _fused(child))
  return node


def _stride(conv: Conv) -> int:
  return conv.stride if isinstance(conv.stride, int) else conv.stride[0]
