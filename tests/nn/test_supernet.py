# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Partial channels, the sampled path, the auxiliary skip and rematerialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas.nn import functional, mixed
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.nn.supernet import PLAIN, Supernet, only_largest
from dnas.space import macro, shapes
from dnas.space.space import SearchSpace, SpaceError

OPS = ("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3")
X = jax.random.normal(jax.random.key(0), (2, 4, 4, 4))
WEIGHTS = jnp.array([0.1, 0.2, 0.4, 0.3])
TRAIN = Mode(train=True, key=jax.random.key(7))


def edge(supernet, names=OPS, stride=1):
  return mixed.MixedOp(
    names,
    4,
    4,
    stride,
    affine=False,
    pool_norm=True,
    supernet=supernet,
    rngs=Rngs(jax.random.key(1)),
  )


def test_partial_channels_by_hand():
  # K = 2 of 4 channels: the first two are mixed, the others pass by, and groups are interleaved.
  op = edge(Supernet(partial=2), ("none", "skip_connect"))
  y = op(X, jnp.array([0.25, 0.5]), TRAIN)
  for out, source, factor in ((0, 0, 0.5), (1, 2, 0.75), (2, 1, 0.5), (3, 3, 0.75)):
    np.testing.assert_allclose(y[..., out], factor * X[..., source], rtol=1e-6)


def test_an_edge_weight_multiplies_all_channels():
  op = edge(Supernet(partial=4))
  np.testing.assert_allclose(
    op(X, WEIGHTS / 2, TRAIN), op(X, WEIGHTS, TRAIN) / 2, rtol=1e-4, atol=1e-6
  )
  kernel = op.ops[2].layers[1].kernel
  assert kernel.shape == (1, 1, 1, 1)  # a quarter of the channels each way


def test_partial_channels_of_a_reduction():
  y = edge(Supernet(partial=2), ("none", "avg_pool_3x3"), stride=2)(X, jnp.array([0.0, 1.0]), TRAIN)
  assert y.shape == (2, 2, 2, 4)
  np.testing.assert_allclose(y[..., 1], X[..., 2].reshape(2, 2, 2, 2, 2).max((2, 4)), rtol=1e-6)


@pytest.mark.parametrize(("c_in", "c_out", "k"), [(6, 6, 4), (4, 8, 2)])
def test_widths_that_cannot_be_parted(c_in, c_out, k):
  with pytest.raises(SpaceError, match=rf"supernet.partial = {k}.*{c_in} -> {c_out}"):
    mixed.MixedOp(
      OPS, c_in, c_out, 1, affine=False, pool_norm=False, supernet=Supernet(k), rngs=Rngs(None)
    )
  with pytest.raises(SpaceError, match=r"supernet.partial: must be a whole number"):
    Supernet(partial=0)


def test_the_auxiliary_skip_is_added_with_its_weight():
  op = edge(Supernet(auxiliary_skip=True))
  without = op(X, WEIGHTS, TRAIN)
  np.testing.assert_allclose(without, edge(PLAIN)(X, WEIGHTS, TRAIN), rtol=1e-6)
  mode = Mode(True, auxiliary_skip=0.25)
  np.testing.assert_allclose(op(X, WEIGHTS, mode), without + 0.25 * X, rtol=1e-5, atol=1e-6)
  halved = edge(Supernet(auxiliary_skip=True), stride=2)
  assert halved(X, WEIGHTS, mode).shape == (2, 2, 2, 4)


def gradients(op, weights, mask=lambda weights: weights):
  static, params, stats = functional.split(op)

  @jax.jit
  def run(params, weights, x):
    copy = static.merge(params, stats)
    y = copy(x, mask(weights), TRAIN)
    return jnp.sum(jnp.sin(y)), functional.stats_of(copy)

  return jax.value_and_grad(run, argnums=(0, 1, 2), has_aux=True)(params, weights, X)


@pytest.mark.parametrize("chosen", [0, 2, 3])
def test_the_sampled_path_is_the_masked_sum(chosen):
  weights = jnp.full(4, 0.1).at[chosen].set(0.9)
  switched = edge(Supernet(single_path=True))
  (a, a_stats), a_gradients = gradients(edge(PLAIN), weights, only_largest)
  (b, b_stats), b_gradients = gradients(switched, weights)
  np.testing.assert_allclose(a, b, rtol=1e-6)
  jax.tree.map(
    lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6), a_gradients, b_gradients
  )
  slope = np.asarray(b_gradients[1])
  assert np.all(slope[np.arange(4) != chosen] == 0)
  # Only the sampled operation's running statistics move.
  start = functional.stats_of(switched)
  moved = lambda stats, i: any(
    not np.array_equal(p, q)
    for p, q in zip(
      jax.tree.leaves(stats["ops"].get(i, {})),
      jax.tree.leaves(start["ops"].get(i, {})),
      strict=True,
    )
  )
  assert [i for i in range(4) if moved(b_stats, i)] == ([chosen] if chosen >= 2 else [])
  if chosen >= 2:
    jax.tree.map(np.testing.assert_array_equal, a_stats["ops"][chosen], b_stats["ops"][chosen])


@pytest.mark.parametrize("name", ["dil_conv_3x3", "sep_conv_5x5"])
def test_by_itself_a_depthwise_edge_is_masked_on_a_cpu(monkeypatch, name):
  """Its values are the switch's; only there, and with it, the other operations are computed too."""
  static, *state = functional.split(edge(Supernet(single_path=True), ("skip_connect", name)))

  def is_switched():
    run = lambda params, stats: static.merge(params, stats)(X, jnp.array([0.1, 0.9]), Mode())
    return "cond" in str(jax.make_jaxpr(run)(*state))

  assert not is_switched()  # the tests run on CPUs
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert is_switched()


def test_skip_dropout_hits_identities_alone_and_keeps_the_mean():
  mode = Mode(True, jax.random.key(3), skip_dropout=jnp.array(0.5))
  x = jnp.ones((8, 16, 16, 4))
  y = np.asarray(edge(PLAIN, ("none", "skip_connect"))(x, jnp.array([0.0, 1.0]), mode))
  assert set(np.unique(y)) == {0.0, 2.0}
  assert abs(y.mean() - 1) < 0.05
  assert (y[0] != y[0, 0, 0]).any()  # each number by itself
  for name in ("nor_conv_1x1", "avg_pool_3x3"):
    op = edge(PLAIN, ("none", name))
    np.testing.assert_array_equal(
      op(X, jnp.array([0.0, 1.0]), mode), op(X, jnp.array([0.0, 1.0]), TRAIN)
    )


CELL = shapes.dense(("skip_connect", "nor_conv_1x1"), 2)
SPACE = macro.nasbench201(SearchSpace({"cell": CELL}), 4, 1)
MIX = {"cell": tuple(jnp.array([0.3, 0.7]) + 0.1 * i for i in range(3))}
IMAGES = jax.random.normal(jax.random.key(5), (4, 8, 8, 3))


def loss_of(supernet):
  static, params, stats = functional.split(
    Network(SPACE, 3, supernet=supernet, rngs=Rngs(jax.random.key(2)))
  )

  @jax.jit
  def loss(params, weights):
    network = static.merge(params, stats)
    logits, _ = network(IMAGES, weights, Mode(True, auxiliary_skip=0.5))
    return jnp.sum(jnp.sin(logits)), functional.stats_of(network)

  return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)), params


def assert_close(a, b, tolerance=2e-4):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


@pytest.mark.slow
def test_rematerialised_cells_give_the_same(monkeypatch):
  kept, params = loss_of(PLAIN)
  recomputed, _ = loss_of(Supernet(remat=True))
  assert_close(kept(params, MIX), recomputed(params, MIX), 1e-4)
  assert "remat" not in str(jax.make_jaxpr(kept)(params, MIX))
  assert "remat" in str(jax.make_jaxpr(recomputed)(params, MIX)) or "checkpoint" in str(
    jax.make_jaxpr(recomputed)(params, MIX)
  )
  # Weights with a row for each of the cell's three places.
  layered = {"cell": tuple(jnp.stack([w] * 3) for w in MIX["cell"])}
  (value, stats), (slope, rows) = kept(params, layered)
  (plain, plain_stats), (plain_slope, shared) = kept(params, MIX)
  assert_close((value, stats, slope), (plain, plain_stats, plain_slope))
  # The shared weights' gradient is the sum over the places.
  assert_close(jax.tree.map(lambda g: g.sum(0), rows), shared)
  assert float(jnp.abs(rows["cell"][0][0] - rows["cell"][0][2]).max()) > 1e-5


def test_a_genotype_is_built_plain():
  genotype = SPACE.decide({"cell": ("skip_connect", "nor_conv_1x1", "nor_conv_1x1")})
  supernet = Supernet(partial=2, auxiliary_skip=True, remat=True)
  shapes = lambda network: jax.tree.map(jnp.shape, nnx.to_pure_dict(nnx.state(network)))
  build = lambda **settings: Network(genotype, 3, rngs=Rngs(None), **settings)
  assert shapes(build(supernet=supernet)) == shapes(build())
