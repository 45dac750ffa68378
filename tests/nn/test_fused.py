# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cells evaluated by source equal cells evaluated by edge: values, gradients, statistics."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas import naming
from dnas.cost import tally
from dnas.nn import blocks, functional, fused, layers, looped, mixed, ops
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space.cell import Cell, Edge

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
NASBENCH201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
DARTS = (
  "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect",
  "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip


def scaled(c_in, c_out, stride, *, affine, rngs):
  """An operation of a user's own."""
  return layers.Function(lambda x: 2 * jnp.tanh(x[:, ::stride, ::stride]))


def _like_ours(kernel, activate, groups):
  """A user's operation of a type that is recognised, with something else in it."""

  def op(c_in, c_out, stride, *, affine, rngs):
    conv = layers.Conv(c_in, c_out, kernel, stride, groups=groups, rngs=rngs)
    return blocks.ReluConvNorm(activate, conv, BatchNorm(c_out, affine=affine))

  return op


grouped_1x1, grouped_3x3 = (_like_ours(kernel, jax.nn.relu, 2) for kernel in (1, 3))
silu_3x3 = _like_ours(3, jax.nn.silu, 1)


def _two_layers(depth_groups, point, point_groups):
  def op(c_in, c_out, stride, *, affine, rngs):
    first = layers.Conv(c_in, c_in, 3, stride, groups=depth_groups, rngs=rngs)
    second = layers.Conv(c_in, c_out, point, groups=point_groups, rngs=rngs)
    return blocks.ReluDepthwiseNorm(jax.nn.relu, first, second, BatchNorm(c_out, affine=affine))

  return op


in_pairs, in_3x3, in_groups = _two_layers(2, 1, 1), _two_layers(4, 3, 1), _two_layers(4, 1, 2)

sys.modules.setdefault("test_fused_user", sys.modules[__name__])
USER = "test_fused_user.scaled"


def two_sources(names, second=None, third=None):
  """Two edges leave the input, one its first node: each grouping occurs."""
  edges = (Edge(0, 1, names), Edge(0, 2, second or names), Edge(1, 2, third or names))
  return Cell(inputs=1, edges=edges, output=(1, 2))


def build(cell, stride, fuse, channels=4, affine=False, pool_norm=True, supernet=PLAIN):
  module = mixed.Cell(
    cell, [channels], [1], channels, stride,
    affine=affine, pool_norm=pool_norm, supernet=supernet, rngs=Rngs(0),
  )  # fmt: skip
  module.fused = fuse
  return module


def mixture(cell, seed=0):
  rng = np.random.default_rng(seed)
  draw = lambda edge: rng.dirichlet(np.ones(len(edge.ops))).astype(np.float32)
  return tuple(jnp.asarray(draw(edge)) for edge in cell.edges)


def both(cell, stride=1, weights=None, second_order=False, mode=None, **settings):
  """For both forms: (output, gradients of weights, mixture and input, statistics[, Hessian v])."""
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(6, 6, 8, 4)), jnp.float32)
  weights = mixture(cell) if weights is None else weights
  mode = mode or Mode(train=True, key=jax.random.key(0))
  results = []
  for fuse in (False, True):
    static, params, stats = functional.split(build(cell, stride, fuse, **settings))

    def loss(args, static=static, stats=stats):
      params, weights, x = args
      module = static.merge(params, stats)
      y = module([x], weights, mode)
      value = (jnp.sin(3 * y) * jnp.cos(jnp.arange(y.shape[-1]))).mean()
      return value, (y, functional.stats_of(module))

    args = (params, weights, x)
    draw = np.random.default_rng(2)
    direction = jax.tree.map(
      lambda v, draw=draw: jnp.asarray(draw.normal(size=v.shape), v.dtype), args
    )

    @jit
    def compute(args, direction, loss=loss):
      gradient = jax.value_and_grad(loss, has_aux=True)
      if not second_order:
        return gradient(args)
      product = jax.jvp(lambda args: gradient(args)[1], (args,), (direction,))[1]
      return gradient(args), product

    results.append(compute(args, direction))
  return results


def assert_equal(results, tolerance=1e-5):
  simple, together = (jax.tree_util.tree_leaves_with_path(result) for result in results)
  assert len(simple) == len(together)
  for (path, a), (_, b) in zip(simple, together, strict=True):
    scale = max(float(np.abs(a).max()), 0.05)
    np.testing.assert_allclose(b / scale, a / scale, atol=tolerance, err_msg=str(path))


def used(monkeypatch):
  """Counts the operations that were not recognised: [(name of its type), ...]."""
  missed = []
  stock = fused.key_of

  def spy(op):
    key = stock(op)
    if key is None:
      missed.append(type(op).__name__)
    return key

  monkeypatch.setattr(fused, "key_of", spy)
  return missed


LARGE = ("sep_conv_5x5", "sep_conv_7x7", "dil_conv_5x5")  # The same code as 3x3, for longer.


@pytest.mark.parametrize(
  ("name", "stride"),
  [
    pytest.param(n, s, marks=[pytest.mark.slow] if n in LARGE or s == 2 else [])
    for n in naming.functions(ops)
    if n != "none"
    for s in (1, 2)
  ],
)
def test_every_operation(name, stride):
  assert_equal(both(two_sources((name, "none")), stride))


@pytest.mark.parametrize(
  ("names", "pool_norm", "stride"),
  [
    pytest.param(NASBENCH201, False, 1, id="nasbench201"),
    pytest.param(NASBENCH201, False, 2, id="nasbench201-2"),
    pytest.param(DARTS, True, 1, id="darts", marks=pytest.mark.slow),
    pytest.param(DARTS, True, 2, id="darts-2", marks=pytest.mark.slow),
  ],
)
def test_published_spaces(names, pool_norm, stride, monkeypatch):
  missed = used(monkeypatch)
  assert_equal(both(two_sources(names), stride, pool_norm=pool_norm))
  if names is NASBENCH201 and stride == 1:
    assert not missed, "all of NAS-Bench-201 is evaluated together"


@pytest.mark.slow
@pytest.mark.parametrize(
  ("names", "pool_norm", "stride"),
  [
    (NASBENCH201, False, 1),
    (("none", "max_pool_3x3", "sep_conv_3x3"), True, 1),
    (("skip_connect", "dil_conv_3x3"), True, 2),
  ],
)
def test_second_order(names, pool_norm, stride):
  """Forward over reverse, as the hypergradients take it; without and with loops."""
  cell = two_sources(names)
  assert_equal(both(cell, stride, second_order=True, pool_norm=pool_norm), 5e-5)


def test_equal_edges_of_depthwise_convolutions_share_loops():
  """One loop where all edges are equal, two where those that leave the inputs differ."""
  groups = lambda cell, stride: looped.groups(cell, build(cell, stride, True).edges)
  cell = two_sources(("none", "dil_conv_3x3"))
  assert groups(cell, 1) == ((0, 1, 2),)
  assert groups(cell, 2) == ((0, 1), (2,))
  assert groups(two_sources(("none", "dil_conv_3x3"), ("sep_conv_3x3",)), 1) == ()
  assert groups(two_sources(NASBENCH201), 1) == ()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2, 4])
def test_depthwise_convolutions_of_unequal_edges(limit, monkeypatch):
  """Merged with others up to a number of channels (there are 4 of them)."""
  missed = used(monkeypatch)
  monkeypatch.setattr(fused, "MERGE_CHANNELS", limit)
  cell = two_sources(
    ("sep_conv_3x3", "dil_conv_3x3"), ("dil_conv_3x3", "none", "sep_conv_3x3"), ("sep_conv_3x3",)
  )
  assert_equal(both(cell))
  assert not missed


def test_each_edge_of_a_loop_draws_its_own_noise():
  assert_equal(both(two_sources(("noise", "dil_conv_3x3"))))


@pytest.mark.parametrize("stride", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_single_paths_in_a_loop(stride):
  """Equal the masked sums, to second order; of an operation that is not computed nothing moves."""
  cell = two_sources(("skip_connect", "dil_conv_3x3"))
  weights = tuple(jnp.eye(2)[i] for i in (1, 0, 1))
  single = Supernet(single_path=True)
  results = both(cell, stride, weights, second_order=True, supernet=single)
  without, moved = [], []
  for ((value, (y, stats)), gradients), product in results:
    without.append((value, y, gradients, product))
    moved.append(stats["edges"])
  assert_equal(without, 5e-5)
  start = functional.stats_of(build(cell, stride, True, supernet=single))["edges"]
  masked, switched = ([edges[i]["ops"][1] for i in range(3)] for edges in moved)
  assert_equal((masked[0], switched[0]))
  assert_equal((masked[2], switched[2]))
  jax.tree.map(np.testing.assert_array_equal, switched[1], start[1]["ops"][1])


@pytest.mark.parametrize(
  "second", ["nor_conv_1x1", pytest.param("dil_conv_3x3", marks=pytest.mark.slow)]
)
def test_partial_channels_and_auxiliary_skips(second):
  supernet = Supernet(partial=2, auxiliary_skip=True)
  mode = Mode(train=True, auxiliary_skip=0.5)
  assert_equal(both(two_sources(("skip_connect", second)), mode=mode, supernet=supernet))


def test_edges_with_different_candidates(monkeypatch):
  missed = used(monkeypatch)
  cell = two_sources(
    ("nor_conv_3x3", "skip_connect"), ("none", "nor_conv_3x3", "max_pool_3x3"), ("nor_conv_1x1",)
  )
  assert_equal(both(cell))
  assert not missed


DROPS = Mode(train=True, key=jax.random.key(3), drop_path=0.4, skip_dropout=0.3)


@pytest.mark.parametrize(
  ("names", "pool_norm", "second_order"),
  [
    pytest.param(NASBENCH201, False, False, id="nasbench201"),
    pytest.param(("max_pool_3x3", "skip_connect", USER), True, False, id="pools"),
    pytest.param(("none", "sep_conv_3x3"), True, False, id="loops", marks=pytest.mark.slow),
    pytest.param(NASBENCH201, False, True, id="second order", marks=pytest.mark.slow),
  ],
)
def test_what_is_dropped_is_dropped_together(names, pool_norm, second_order):
  """Both forms draw the same: drop-path of operations, drop-out behind skip connections."""
  mode, tolerance = DROPS, 5e-5 if second_order else 1e-5
  cell = two_sources(names)
  dropped = both(cell, mode=mode, pool_norm=pool_norm, second_order=second_order)
  assert_equal(dropped, tolerance)
  whole = build(cell, 1, True, pool_norm=pool_norm)
  x = jnp.ones((6, 6, 8, 4))
  different = [whole([x], mixture(cell), m) for m in (mode, Mode(train=True, key=mode.key))]
  assert not np.allclose(*different)


def test_a_users_operation_stands_beside(monkeypatch):
  missed = used(monkeypatch)
  assert_equal(both(two_sources(("nor_conv_3x3", USER), (USER,), ("none",))))
  assert missed == ["Function"] * 2


@pytest.mark.parametrize(
  "name", ["grouped_1x1", "grouped_3x3", "silu_3x3", "in_pairs", "in_3x3", "in_groups"]
)
def test_our_types_with_something_else_in_them_stand_beside(name, monkeypatch):
  missed, own = used(monkeypatch), f"test_fused_user.{name}"
  # Unequal candidates, or there would be a loop instead.
  assert_equal(both(two_sources((own, "skip_connect"), (own, "nor_conv_1x1"), ("none",))))
  assert len(missed) == 2


def test_hard_mixture():
  """Exactly one operation, as Gumbel samples give; the others' weights are zero."""
  one_hot = tuple(jnp.eye(5)[i] for i in (3, 0, 2))
  assert_equal(both(two_sources(NASBENCH201), weights=one_hot, pool_norm=False))


def test_affine_norms_are_left_to_the_modules(monkeypatch):
  missed = used(monkeypatch)
  assert_equal(both(two_sources(("nor_conv_3x3", "skip_connect")), affine=True))
  assert missed == ["ReluConvNorm"] * 3


def test_only_training_with_weights_is_fused():
  weights = mixture(two_sources(NASBENCH201))
  assert fused.applies(weights, Mode(train=True))
  assert not fused.applies(None, Mode(train=True))
  assert not fused.applies(weights, Mode())
  with tally.listening():
    assert not fused.applies(weights, Mode(train=True))


def test_bfloat16():
  """Features in half precision, statistics in float32."""
  cell = two_sources(NASBENCH201)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 6, 4)), jnp.bfloat16)
  outputs = []
  for fuse in (False, True):
    static, params, stats = functional.split(build(cell, 1, fuse, pool_norm=False))

    @jit
    def run(params, stats, x, static=static):
      module = static.merge(params, stats)
      return module([x], mixture(cell), Mode(train=True)), functional.stats_of(module)

    outputs.append(run(params, stats, x))
  (simple, _), (together, stats) = outputs
  assert together.dtype == jnp.bfloat16
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(stats))
  np.testing.assert_allclose(
    simple.astype(np.float32), together.astype(np.float32), atol=0.05, rtol=0.05
  )


def test_types_that_are_recognised_have_no_other_meaning():
  """A subclass may compute something else: only the very type is fused."""

  class Other(blocks.ReluConvNorm):
    def __call__(self, x, mode):
      return 2 * super().__call__(x, mode)

  own = blocks.relu_conv_bn(4, 4, 3, affine=False, rngs=Rngs(0))
  assert fused.key_of(own) is not None
  assert fused.key_of(Other(*own.layers)) is None
  assert isinstance(own, nnx.Module)
