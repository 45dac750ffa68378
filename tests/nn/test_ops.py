# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract of every operation in `dnas.nn.ops`; a new one is found and joins by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas import naming
from dnas.nn import blocks, functional, ops
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv
from dnas.nn.mode import Mode

OPS = naming.functions(ops)
RANDOM, BLIND = {"noise"}, {"none", "noise"}  # those that need a key, and those that ignore x
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture
def accelerator_form(monkeypatch):
  """Depthwise convolutions as on a GPU: compiled in a fraction of the time, and equal to the form
  of a CPU as test_depthwise shows.
  """
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def mode_of(name, **options):
  return Mode(key=jax.random.key(1) if name in RANDOM else None, **options)


def build(name, c_in=4, c_out=4, stride=1, affine=True):
  return OPS[name](c_in, c_out, stride, affine=affine, rngs=Rngs(0))


def test_the_published_operations_are_there():
  published = """none noise skip_connect max_pool_3x3 avg_pool_3x3 sep_conv_3x3 sep_conv_5x5
    sep_conv_7x7 dil_conv_3x3 dil_conv_5x5 conv_7x1_1x7 nor_conv_1x1 nor_conv_3x3 residual_block"""
  assert set(published.split()) <= set(OPS)


@pytest.mark.parametrize("name", OPS)
def test_shapes_and_dtypes(name):
  """`[B, H, W, c_in] -> [B, ceil(H / stride), ceil(W / stride), c_out]`, x's dtype, in any mode."""
  for stride in (1, 2):
    for c_in, c_out in ((4, 4), (4, 6), (6, 4)):
      op = build(name, c_in, c_out, stride, affine=c_in == c_out)
      for height, width in ((7, 6), (1, 2)):
        x = jax.ShapeDtypeStruct((2, height, width, c_in), "float32")
        y = jax.eval_shape(lambda x, op=op: op(x, mode_of(name)), x)
        expected = (2, -(-height // stride), -(-width // stride), c_out)
        assert (y.shape, y.dtype) == (expected, "float32")
      if c_in == c_out:
        for train in (True, False):
          x = jax.ShapeDtypeStruct((2, 5, 6, c_in), "bfloat16")
          static, params, stats = functional.split(op)
          y = jax.eval_shape(
            lambda p, s, x, static=static, t=train: static.merge(p, s)(x, mode_of(name, train=t)),
            params,
            stats,
            x,
          )
          assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", OPS)
@pytest.mark.usefixtures("accelerator_form")
def test_gradients_are_finite_and_reach_the_input_and_all_weights(name):
  """In training, at stride 1 and at stride 2 with another width; then in evaluation."""
  statics, *state = zip(
    *(functional.split(op) for op in (build(name, 16, 16), build(name, 16, 24, 2)))
  )
  x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 7, 6, 16)), jnp.float32)

  @jit
  def run(params, stats, x):
    results = []
    for static, p, s in zip(statics, params, stats):

      def loss(p, x, static=static, s=s):
        op = static.merge(p, s)
        y = op(x, mode_of(name, train=True))
        weighted = y * jnp.sin(jnp.arange(y.size).reshape(y.shape))
        return weighted.sum(), functional.stats_of(op)

      gradient, new = jax.grad(loss, (0, 1), has_aux=True)(p, x)
      results.append((*gradient, new, static.merge(p, new)(x, mode_of(name))))
    return results

  for old, (for_weights, for_x, new, y) in zip(state[1], run(*state, x)):
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(for_x))
    assert np.any(for_x) == (name not in BLIND)
    for leaf in jax.tree.leaves(for_weights):
      assert np.all(np.isfinite(leaf))
      assert np.any(leaf)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), old, new)
    assert all(jax.tree.leaves(moved)), "training tracks the statistics of every batch norm"


@pytest.mark.parametrize("name", OPS)
def test_affine_says_whether_norms_have_weights(name):
  norms = lambda affine: [
    node.scale is not None
    for _, node in nnx.iter_graph(build(name, affine=affine))
    if type(node).__name__ == "BatchNorm"
  ]
  assert all(norms(True))
  assert not any(norms(False))


@pytest.mark.parametrize("name", sorted(set(OPS) - RANDOM))
@pytest.mark.usefixtures("accelerator_form")
def test_each_example_is_on_its_own_in_evaluation(name):
  """One op at stride 2: the second example does not see the first."""
  op = build(name, stride=2)
  x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 6, 6, 4)), jnp.float32)
  both, other = jit(lambda x: (op(x, Mode()), op(x.at[0].add(1.0), Mode())))(x)
  np.testing.assert_array_equal(both[1], other[1])


# Kernels (height x width), stride and dilation of each convolution, in order, at stride 2 and from
# 4 to 6 channels: from the papers, not from the code.
CONVOLUTIONS = {
  "none": "",
  "noise": "",
  "skip_connect": "1x1/2 1x1/2",
  "max_pool_3x3": "1x1",
  "avg_pool_3x3": "1x1",
  "sep_conv_3x3": "3x3/2 1x1 3x3 1x1",
  "sep_conv_5x5": "5x5/2 1x1 5x5 1x1",
  "sep_conv_7x7": "7x7/2 1x1 7x7 1x1",
  "dil_conv_3x3": "3x3/2*2 1x1",
  "dil_conv_5x5": "5x5/2*2 1x1",
  "conv_7x1_1x7": "1x7/1,2 7x1/2,1",
  "nor_conv_1x1": "1x1/2",
  "nor_conv_3x3": "3x3/2",
  "residual_block": "3x3/2 3x3 1x1",
  "channel_attention": "1x1/2 1x1/2",
  "light_down": "1x1",
  "qarep_3x3": "3x3/2 1x1/2",
}


def convolutions(name, **options):
  words = []
  for _, node in nnx.iter_graph(build(name, **options)):
    if isinstance(node, Conv):
      height, width = node.kernel.shape[:2]
      stride = node.stride if isinstance(node.stride, tuple) else (node.stride,) * 2
      by = {(1, 1): "", (2, 2): "/2"}.get(stride, "/{},{}".format(*stride))
      words.append(f"{height}x{width}{by}" + (f"*{node.dilation}" if node.dilation != 1 else ""))
  return " ".join(words)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_convolutions_are_those_of_the_papers(name):
  assert sorted(convolutions(name, c_out=6, stride=2).split()) == sorted(CONVOLUTIONS[name].split())


def test_the_convolution_of_a_skip_between_widths():
  assert convolutions("skip_connect", c_out=6) == "1x1"


def test_skip_connect():
  assert isinstance(build("skip_connect"), blocks.Identity)
  assert isinstance(build("skip_connect", stride=2), blocks.FactorizedReduce)
  assert not isinstance(build("skip_connect", 4, 6), blocks.Identity)
  with pytest.raises(ValueError, match="a skip connection of stride 2 needs an even width, got 5"):
    build("skip_connect", 5, 5, 2)


def test_none_is_zero():
  np.testing.assert_array_equal(build("none", 4, 6, 2)(jnp.ones((1, 3, 5, 4)), Mode()), 0)


def test_noise():
  """N(0, 1) of the right shape, other values at another key or place; training needs a key."""
  op = build("noise", 4, 32, 2)
  draw = jax.jit(lambda key: [op(jnp.zeros((4, 32, 32, 4)), Mode(key=key).at(i)) for i in (0, 1)])
  first, place = draw(jax.random.key(0))
  again, _ = draw(jax.random.key(0))
  other, _ = draw(jax.random.key(1))
  assert first.shape == (4, 16, 16, 32)
  assert abs(first.mean()) < 0.02
  assert abs(first.std() - 1) < 0.02
  np.testing.assert_array_equal(first, again)
  for different in (place, other):
    assert abs(np.corrcoef(first.ravel(), different.ravel())[0, 1]) < 0.03
  with pytest.raises(ValueError, match="the operation 'noise' draws random numbers"):
    op(jnp.zeros((1, 4, 4, 4)), Mode(train=True))


def test_noise_that_is_measured():
  """A network with it can be evaluated, where no key is given: equal at every call."""
  op, x = build("noise", 4, 8, 1), jnp.zeros((2, 16, 16, 4))
  first, again, elsewhere = op(x, Mode()), op(x, Mode()), op(x, Mode().at(1))
  np.testing.assert_array_equal(first, again)
  assert abs(first.std() - 1) < 0.05
  assert abs(np.corrcoef(first.ravel(), elsewhere.ravel())[0, 1]) < 0.1


def test_factorized_reduce_sees_both_grids():
  for size in (4, 5):
    op = build("skip_connect", stride=2)
    seen = jit(jax.grad(lambda x, op=op: (op(x, Mode()) ** 2).sum()))(jnp.ones((1, size, size, 4)))
    # A pixel whose row and column have unlike parity lies in neither grid.
    even = np.arange(size) % 2 == 0
    assert np.all(np.any(np.asarray(seen[0]) != 0, axis=-1) == (even[:, None] == even[None, :]))


def test_average_pool_2x2_at_odd_borders():
  x = jnp.arange(9.0).reshape(1, 3, 3, 1)
  expected = [[2.0, 3.5], [6.5, 8.0]]
  np.testing.assert_allclose(blocks.avg_pool_2x2(x)[0, :, :, 0], expected)


def test_channel_attention_gates_whole_channels():
  op = build("channel_attention")
  x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 4, 4)), jnp.float32)
  gate = jit(lambda x: op(x, Mode()))(x) / x
  np.testing.assert_allclose(gate, np.broadcast_to(gate[:, :1, :1], gate.shape), rtol=1e-4)
  assert np.all((gate > 0) & (gate < 1))
