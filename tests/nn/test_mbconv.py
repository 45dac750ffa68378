# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The inverted residual block: its formula, drop-path, and a supernet of chains."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas import naming
from dnas.cost import count
from dnas.nn import functional, mbconv, ops, stem
from dnas.nn.init import Rngs
from dnas.nn.mixed import MixedOp
from dnas.nn.mode import Mode
from dnas.nn.network import Network, inherit
from dnas.space import mbconv as spaces
from dnas.space.space import SpaceError

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(autouse=True)
def accelerator_form(monkeypatch):
  """Depthwise convolutions as on a GPU: compiled in a fraction of the time, and equal to the form
  of a CPU as test_depthwise shows.
  """
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def build(name, c_in=4, c_out=4, stride=1, affine=True):
  return naming.resolve(name, ops)(c_in, c_out, stride, affine=affine, rngs=Rngs(0))


def image(size, channels=4):
  values = np.random.default_rng(0).normal(size=(2, size, size, channels))
  return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize(
  ("name", "c_out", "params", "macs"),
  [
    # expand 4 * 24, depthwise 9 * 24, project 24 * c_out, batch norms 2 * (24 + 24 + c_out)
    ("mbconv_3x3_e6", 4, 96 + 216 + 96 + 104, 36 * (96 + 216 + 96)),
    ("mbconv_3x3_e6", 6, 96 + 216 + 144 + 108, 36 * (96 + 216 + 144)),
    # no expand; squeeze 4 -> 1 -> 4 with biases
    ("mbconv_5x5_e1_se_swish", 4, 100 + 16 + 16 + (8 + 5), 36 * (100 + 16) + 8),
    # both 1x1 convolutions halved
    ("mbconv_3x3_e1_g2_relu6", 4, 8 + 36 + 8 + 24, 36 * (8 + 36 + 8)),
    ("conv_1x1_swish", 6, 24 + 12, 36 * 24),
  ],
)
def test_costs_by_hand(name, c_out, params, macs):
  module = build(name, c_out=c_out)
  counted = count.count(module, lambda op, x: op(x, Mode()), (6, 6, 4))
  assert (counted.params, counted.macs) == (params, macs)


@pytest.mark.parametrize("name", ["mbconv_3x3_e3_se", "mbconv_7x7_e1_g2_swish", "conv_1x1_relu6"])
def test_shapes_and_dtypes(name):
  for stride, c_out, affine in ((1, 4, True), (2, 6, False)):
    op = build(name, c_out=c_out, stride=stride, affine=affine)
    norms = [node for _, node in nnx.iter_graph(op) if type(node).__name__ == "BatchNorm"]
    assert all((norm.scale is not None) == affine for norm in norms)
    for dtype in ("float32", "bfloat16"):
      x = jax.ShapeDtypeStruct((2, 7, 6, 4), dtype)
      y = jax.eval_shape(lambda x, op=op: op(x, Mode(train=False)), x)
      assert (y.shape, y.dtype) == ((2, -(-7 // stride), -(-6 // stride), c_out), dtype)


def test_block_as_a_formula():
  """Batch norms are 1 / sqrt(1 + 1e-3) as they begin; convolutions as einsums."""
  op = build("mbconv_3x3_e1_se_swish")
  x, s = image(3), 1 / np.sqrt(1 + mbconv.EPSILON)
  kernel = lambda part: np.asarray(part.layers[0].kernel[...])
  swish = lambda v: v / (1 + np.exp(-v))
  padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
  y = np.zeros(x.shape)
  for i in range(3):
    for j in range(3):
      y += padded[:, i : i + 3, j : j + 3] * kernel(op.depthwise)[i, j, 0]
  y = swish(s * y)
  squeeze = op.squeeze
  hidden = swish(y.mean((1, 2)) @ squeeze.first.kernel[...] + squeeze.first.bias[...])
  gate = 1 / (1 + np.exp(-(hidden @ squeeze.second.kernel[...] + squeeze.second.bias[...])))
  y = s * np.einsum("bhwi,io->bhwo", y * np.asarray(gate)[:, None, None], kernel(op.project)[0, 0])
  np.testing.assert_allclose(op(x, Mode()), np.asarray(x) + y, rtol=1e-4, atol=1e-5)


def test_channels_are_shuffled_between_groups():
  x = jnp.arange(6.0).reshape(1, 1, 1, 6)
  assert mbconv._shuffle(2, x).ravel().tolist() == [0, 3, 1, 4, 2, 5]


def test_groups_must_divide():
  with pytest.raises(SpaceError, match="mbconv_3x3_e1_g2: 2 groups must divide its channels 3, 4"):
    build("mbconv_3x3_e1_g2", c_in=3)


@pytest.mark.slow
def test_drop_path_drops_what_is_added_only():
  """y - x is 0 or f(x) / (1 - p) for each example; a block without identity is never dropped."""
  mode = Mode(train=True, key=jax.random.key(0), drop_path=0.5)
  x = jnp.concatenate([image(4)] * 8)
  for c_out in (4, 6):
    mixed = MixedOp(("mbconv_3x3_e1",), 4, c_out, 1, affine=True, pool_norm=False, rngs=Rngs(0))
    whole = mixed(x, None, Mode(train=True))
    dropped = mixed(x, None, mode)
    if c_out == 6:
      np.testing.assert_array_equal(dropped, whole)
      continue
    zero = jnp.all(dropped == x, (1, 2, 3))
    assert 0 < int(zero.sum()) < len(x)
    expected = jnp.where(zero[:, None, None, None], x, x + 2 * (whole - x))
    np.testing.assert_allclose(dropped, expected, rtol=1e-5, atol=1e-5)


SPACE = spaces.mbconv(
  (4, 6), (2, 1), (1, 2), kernels=(3,), expansions=(1, 2), stem_channels=4, head_channels=8
)


def test_a_supernet_at_one_hot_weights_is_the_genotype():
  genotype = SPACE.sample(random.Random(1))
  supernet = Network(SPACE, 3, rngs=Rngs(0))
  network = Network(genotype, 3, search=True, rngs=Rngs(1))
  inherit(supernet, network)
  choices = SPACE.choices(genotype)
  weights = {
    name: tuple(
      jnp.array([float(op == chosen) for op in edge.ops])
      for edge, chosen in zip(SPACE.cells[name].edges, choices[name], strict=True)
    )
    for name in SPACE.searched
  }
  x = image(8, 3)
  np.testing.assert_allclose(
    supernet(x, weights, Mode())[0], network(x, {}, Mode())[0], rtol=1e-5, atol=1e-6
  )


@pytest.mark.slow
def test_every_choice_gets_a_gradient():
  supernet = Network(SPACE, 3, rngs=Rngs(0))
  static, params, stats = functional.split(supernet)
  weights = {
    name: tuple(jnp.full(len(edge.ops), 0.4, jnp.float32) for edge in SPACE.cells[name].edges)
    for name in SPACE.searched
  }

  @jit
  def gradient(weights):
    loss = lambda w: static.merge(params, stats)(image(8, 3), w, Mode(train=True))[0][:, 0].sum()
    return jax.grad(loss)(weights)

  for edges in gradient(weights).values():
    for g in edges:
      assert np.isfinite(g).all()
      assert (np.abs(g) > 1e-6).all()


@pytest.mark.parametrize("name", ["relu", "relu6", "swish"])
def test_stems_have_their_activation(name):
  made = naming.resolve(f"conv3x3_stride2_{name}", stem)(3, 4, rngs=Rngs(0))
  before = made.parts[0].layers[0](image(6, 3)) / np.sqrt(1 + mbconv.EPSILON)
  first, second = made(image(6, 3), Mode())
  assert first is second
  np.testing.assert_allclose(first, getattr(jax.nn, name)(before), rtol=1e-5, atol=1e-6)
