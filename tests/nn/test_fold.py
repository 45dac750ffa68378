# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Folded functions compute the same with fewer operations."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.nn import functional, platform
from dnas.nn.blocks import FactorizedReduce, relu_conv_bn, separable
from dnas.nn.detector import Detector
from dnas.nn.fold import fold
from dnas.nn.head import Branch
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import genotypes, macro

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 8, 8, 4)).astype(np.float32)


def trained(module):
  """(params, stats) -> module, with statistics as if it had seen data."""
  static, params, stats = functional.split(module)
  draw = lambda v: RNG.uniform(0.5, 1.5, v.shape).astype(np.float32)
  return static.merge(jax.tree.map(draw, params), jax.tree.map(draw, stats))


def count(function, *args) -> collections.Counter:
  """How often each primitive occurs, calls looked through."""
  names = collections.Counter()

  def walk(jaxpr):
    for eqn in jaxpr.eqns:
      inner = [v for v in eqn.params.values() if hasattr(v, "jaxpr") or hasattr(v, "eqns")]
      names[eqn.primitive.name] += not inner
      for part in inner:
        walk(getattr(part, "jaxpr", part))

  walk(jax.make_jaxpr(function)(*args).jaxpr)
  return names


def same(function, *args):
  folded = fold(function)
  for a, b in zip(jax.tree.leaves(jax.jit(function)(*args)), jax.tree.leaves(folded(*args))):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(a).max()))
  return count(folded, *args)


MODULES = {
  "conv": lambda: relu_conv_bn(4, 6, 3, affine=True, rngs=Rngs(0)),
  "without_affine": lambda: relu_conv_bn(4, 6, 1, 2, affine=False, rngs=Rngs(0)),
  "depthwise": lambda: separable(4, 4, 3, 2, affine=True, rngs=Rngs(0)),
  "two_convolutions_before_one_norm": lambda: FactorizedReduce(4, 6, affine=True, rngs=Rngs(0)),
}


@pytest.mark.parametrize("name", MODULES)
def test_norms_disappear(name):
  module = trained(MODULES[name]())

  def function(x):
    with platform.portable():
      return module(x, Mode())

  names = same(function, IMAGE)
  assert not names["mul"] + names["sub"] + names["rsqrt"], names
  before = count(function, IMAGE)
  assert names["conv_general_dilated"] == before["conv_general_dilated"]


def test_norms_that_share_a_convolution():
  branch = trained(Branch(4, 3, levels=2, convs=1, rngs=Rngs(0)))
  names = same(lambda x: [branch(x, i, Mode()) for i in range(2)], IMAGE)
  assert not names["mul"] + names["sub"] + names["rsqrt"], names


KERNEL = RNG.normal(size=(3, 3, 4, 5)).astype(np.float32)
SHIFT = RNG.normal(size=5).astype(np.float32)
MATRIX = RNG.normal(size=(4, 5)).astype(np.float32)


def conv(x):
  numbers = ("NHWC", "HWIO", "NHWC")
  return jax.lax.conv_general_dilated(x, KERNEL, (1, 1), "SAME", dimension_numbers=numbers)


def used_twice(x):
  y = conv(x)
  return y * SHIFT + y


def from_the_left(x):
  return 3.0 - SHIFT * conv(x) / 2.0


def pixelwise(x):
  return conv(x) + np.arange(8, dtype=np.float32)[None, :, None, None]


def kernel_of_the_input(x):
  return x[0, 0] @ x[1, 0].T * SHIFT[0] + jax.lax.stop_gradient(2.0)


def looped(x):
  y = conv(x) * SHIFT
  return jax.lax.while_loop(lambda y: y.sum() < 10, lambda y: abs(y) * 2 + 1, y)


@pytest.mark.parametrize(
  ("function", "left"),
  [
    (used_twice, {"mul": 1, "add": 1, "conv_general_dilated": 1}),
    (from_the_left, {"mul": 0, "sub": 0, "div": 0, "add": 1}),
    (pixelwise, {"add": 1}),
    (kernel_of_the_input, {"mul": 1}),
    (lambda x: (x @ MATRIX + SHIFT) * SHIFT, {"mul": 0, "add": 1, "dot_general": 1}),
    (looped, {"while": 1}),
  ],
)
def test_what_may_and_may_not_be_folded(function, left):
  names = same(function, IMAGE)
  assert {name: names[name] for name in left if name != "while"} == {
    name: n for name, n in left.items() if name != "while"
  }


def test_symbolic_shapes():
  (batch,) = jax.export.symbolic_shape("b")
  module = trained(MODULES["conv"]())
  folded = fold(lambda x: module(x, Mode()))
  spec = jax.ShapeDtypeStruct((batch, 8, 8, 4), np.float32)
  names = count(folded, spec)
  assert names["conv_general_dilated"] == 1
  assert not names["mul"]


@pytest.mark.slow
def test_a_detector():
  cell = "|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"
  space = macro.detector(genotypes.load(cell), channels=(4, 4), stem_channels=4)
  sizes = dict(strides=(4, 8), neck_channels=4, path="pan", head_convs=1, reg_max=4)
  detector = trained(Detector(space, 2, **sizes, rngs=Rngs(0)))

  def function(x):
    with platform.portable():
      return tuple(detector(x, {}, Mode()))

  image = RNG.normal(size=(2, 24, 40, 3)).astype(np.float32)
  names = same(function, image)
  # An average pool is a sum over a window times its share; nothing else multiplies.
  assert names["mul"] == names["reduce_window_sum"] > 0, names
  assert not names["sub"] + names["rsqrt"], names
