# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Mixed operations and cells: the weighted sum, one-hot weights, drop-path, nodes and outputs."""

import functools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas import naming
from dnas.errors import ConfigError
from dnas.nn import functional, ops
from dnas.nn.blocks import Identity, Zero
from dnas.nn.init import Rngs
from dnas.nn.layers import Sequence
from dnas.nn.mixed import Cell, MixedOp
from dnas.nn.mode import Mode
from dnas.nn.norm import BatchNorm
from dnas.space.cell import SpaceError
from dnas.space.space import Cell as CellSpace
from dnas.space.space import Edge

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
OPS = tuple(sorted(set(naming.functions(ops)) - {"noise"}))
X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 5, 4)), jnp.float32)


def mixed(names, stride=1, pool_norm=True, c_out=4):
  return MixedOp(names, 4, c_out, stride, affine=False, pool_norm=pool_norm, rngs=Rngs(0))


@pytest.mark.parametrize("stride", [1, 2])
def test_one_hot_weights_give_each_operation(stride, monkeypatch):
  """All operations at once, in training and in evaluation: the mixture is the chosen one alone."""
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # compiles in a fraction of the time
  several = mixed(OPS, stride)
  static, params, stats = functional.split(several)

  @jit
  def run(params, stats):
    results = []
    for train in (True, False):
      everything = jax.vmap(lambda w, t=train: static.merge(params, stats)(X, w, Mode(train=t)))(
        jnp.eye(len(OPS))
      )
      module = static.merge(params, stats)
      alone = [op(X, Mode(train=train)) for op in module.ops]
      results.append((everything, jnp.stack(alone)))
    return results

  for everything, alone in run(params, stats):
    np.testing.assert_allclose(everything, alone, rtol=1e-5, atol=1e-5)
    for name, y in zip(OPS, alone, strict=True):
      assert np.any(y) == (name != "none")


def test_the_mixture_is_the_weighted_sum():
  names = ("skip_connect", "avg_pool_3x3", "none")
  several = mixed(names, pool_norm=False)
  weights = jnp.array([0.5, 2.0, 7.0])
  y, alone = jit(lambda: (several(X, weights, Mode()), several.ops[1](X, Mode())))()
  np.testing.assert_allclose(y, 0.5 * X + 2 * alone, rtol=1e-5, atol=1e-6)
  half = jit(lambda: several(X.astype(jnp.bfloat16), weights, Mode()))()
  assert half.dtype == jnp.bfloat16


def test_gradient_of_a_weight_is_the_operations_output():
  several = mixed(("skip_connect", "avg_pool_3x3", "none"), pool_norm=False)
  gradient, pooled = jit(
    lambda w: (
      jax.grad(lambda w: several(X, w, Mode()).sum())(w),
      several.ops[1](X, Mode()).sum(),
    )
  )(jnp.ones(3))
  np.testing.assert_allclose(gradient, [X.sum(), pooled, 0], rtol=1e-4)


def test_only_none_is_zero_still():
  y = mixed(("none",), 2)(X, jnp.ones(1), Mode())
  np.testing.assert_array_equal(y, np.zeros((4, 3, 3, 4)))


def test_pools_are_normed_while_searching_only():
  assert isinstance(mixed(("max_pool_3x3",)).ops[0], Sequence)
  assert isinstance(mixed(("max_pool_3x3",)).ops[0].layers[1], BatchNorm)
  norms = [n for _, n in nnx.iter_graph(mixed(("avg_pool_3x3",), pool_norm=False))]
  assert not any(isinstance(n, BatchNorm) for n in norms)


def test_weights_must_fit():
  with pytest.raises(ValueError, match=r"2 operations \('none', 'skip_connect'\) need mixing"):
    mixed(("none", "skip_connect"))(X, None, Mode())
  with pytest.raises(ValueError, match=r"weights of shape \(3,\) for 2 operations"):
    mixed(("none", "skip_connect"))(X, jnp.ones(3), Mode())


def test_unknown_operations_list_what_there_is():
  with pytest.raises(ConfigError, match="'sep_conv_3x'; did you mean 'sep_conv_3x3'"):
    mixed(("sep_conv_3x",))


def plus_one(c_in, c_out, stride, *, affine, rngs):
  return Sequence(lambda x: x + 1)


def test_an_operation_of_ones_own(monkeypatch):
  """A dotted path names it; nothing is registered."""
  module = types.ModuleType("my_lab_ops")
  module.plus_one = plus_one
  monkeypatch.setitem(sys.modules, "my_lab_ops", module)
  several = mixed(("my_lab_ops.plus_one", "skip_connect"))
  y = several(X, jnp.array([1.0, 1.0]), Mode())
  np.testing.assert_allclose(y, 2 * X + 1, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------------------------------
# Drop-path


def dropped(op, rate, examples=2000, train=True):
  x = jnp.ones((examples, 1, 1, 4))
  mode = Mode(train=train, key=jax.random.key(3), drop_path=rate)
  return np.asarray(jit(lambda x: op(x, None, mode))(x))[:, 0, 0]


def test_an_operation_of_flax_layers_keeps_bfloat16(monkeypatch):
  """Flax promotes to the float32 of its kernels: beside a loop that was an error."""

  class Flax(nnx.Module):
    def __init__(self, c_in, c_out, stride, rngs):
      self.conv = nnx.Conv(c_in, c_out, (3, 3), strides=stride, rngs=rngs)

    def __call__(self, x, mode):
      return self.conv(x)

  lab = types.ModuleType("my_flax_lab")
  lab.conv = lambda c_in, c_out, stride, *, affine, rngs: Flax(c_in, c_out, stride, rngs)  # pyright: ignore
  monkeypatch.setitem(sys.modules, "my_flax_lab", lab)
  several = ("my_flax_lab.conv", "sep_conv_3x3")
  decided, x = ("my_flax_lab.conv",), X.astype(jnp.bfloat16)
  for names, weights in ((several, [jnp.array([0.5, 0.5])] * 2), (decided, None)):
    space = CellSpace(1, (Edge(0, 1, names), Edge(1, 2, names)), (1, 2))

    def run(space=space, weights=weights):
      cell = Cell(space, [4], [1], 4, 1, affine=False, pool_norm=False, rngs=Rngs(0))
      return cell([x], weights, Mode(train=True))

    assert jax.eval_shape(run).dtype == x.dtype


def test_drop_path_drops_whole_examples_and_keeps_the_expectation():
  y = dropped(mixed(("avg_pool_3x3",), pool_norm=False), 0.25)
  assert np.all((y == y[:, :1]).all(-1)), "an example is dropped as a whole"
  kept = y[:, 0] > 0
  np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
  assert abs(kept.mean() - 0.75) < 0.04  # 4 standard deviations
  assert abs(y.mean() - 1) < 0.06


def test_drop_path_passes_over_identities_and_evaluation():
  np.testing.assert_array_equal(dropped(mixed(("skip_connect",)), 0.9), 1)
  pool = mixed(("avg_pool_3x3",), pool_norm=False)
  np.testing.assert_allclose(dropped(pool, 0.9, train=False), 1)
  np.testing.assert_allclose(dropped(pool, 0.0), 1)
  np.testing.assert_allclose(dropped(pool, None), 1)


def test_drop_path_rate_may_be_traced_and_edges_draw_their_own():
  cell = CellSpace(1, (Edge(0, 1, ("avg_pool_3x3",)), Edge(0, 2, ("avg_pool_3x3",))), (1, 2))
  module = Cell(cell, [4], [1], 4, 1, affine=True, pool_norm=False, rngs=Rngs(0))
  x, key = jnp.ones((400, 1, 1, 4)), jax.random.key(0)
  run = jit(lambda rate: module([x], None, Mode(train=True, key=key, drop_path=rate))[:, 0, 0])
  np.testing.assert_allclose(run(0.0), 1)
  y = run(0.5)
  kept = np.stack([y[:, 0] > 0, y[:, 4] > 0])
  assert abs(np.corrcoef(kept)[0, 1]) < 0.2
  again = run(0.5)
  np.testing.assert_array_equal(y, again)


def test_drop_path_needs_a_key():
  with pytest.raises(ValueError, match="drop-path draws random numbers"):
    mixed(("avg_pool_3x3",))(X, None, Mode(train=True, drop_path=0.1))


# -------------------------------------------------------------------------------------------------
# Cells


def cell_of(space, stride=1, c_in=(4,), strides=(1,), channels=4):
  return Cell(space, c_in, strides, channels, stride, affine=True, pool_norm=False, rngs=Rngs(0))


def test_nodes_sum_and_outputs_concatenate():
  """Skip connections only: node 1 = x, node 2 = x + node 1, node 3 = node 1 + node 2."""
  skip = ("skip_connect",)
  edges = [Edge(0, 1, skip), Edge(0, 2, skip), Edge(1, 2, skip), Edge(1, 3, skip), Edge(2, 3, skip)]
  cell = cell_of(CellSpace(1, edges, (3, 1, 2)))
  assert cell.c_out == 12
  y = cell([X], None, Mode())
  np.testing.assert_allclose(y, np.concatenate([3 * X, X, 2 * X], -1), rtol=1e-6)


def test_parallel_edges_both_count():
  space = CellSpace(1, (Edge(0, 1, ("skip_connect",)), Edge(0, 1, ("skip_connect",))), (1,))
  np.testing.assert_allclose(cell_of(space)([X], None, Mode()), 2 * X)


def test_stride_is_on_edges_that_leave_the_inputs():
  space = CellSpace(1, (Edge(0, 1, ("max_pool_3x3",)), Edge(1, 2, ("skip_connect",))), (2,))
  cell = cell_of(space, stride=2)
  assert isinstance(cell.edges[1].ops[0], Identity)
  assert jax.eval_shape(lambda: cell([X], None, Mode())).shape == (4, 3, 3, 4)


def test_several_inputs_are_brought_to_width_and_size():
  space = CellSpace(2, (Edge(0, 2, ("skip_connect",)), Edge(1, 2, ("none",))), (2,))
  cell = cell_of(space, c_in=(6, 8), strides=(1, 2))
  earlier, later = jnp.ones((2, 7, 6, 6)), jnp.ones((2, 4, 3, 8))
  assert jax.eval_shape(lambda: cell([earlier, later], None, Mode())).shape == (2, 4, 3, 4)
  assert isinstance(cell.edges[1].ops[0], Zero)
  with pytest.raises(SpaceError, match="must differ by a stride of 1 or 2: 4"):
    cell_of(space, c_in=(6, 8), strides=(1, 4))
