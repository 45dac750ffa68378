# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.nn import functional, mixed
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network, inherit
from dnas.nn.supernet import Supernet
from dnas.space import macro, shapes
from dnas.space.space import Cell, Edge, SearchSpace, SpaceError
from dnas.strategy import stages

OPS = ("none", "a", "b", "c")


def test_the_largest_stay_in_their_order():
  space = SearchSpace({"cell": Cell(1, (Edge(0, 1, OPS), Edge(0, 1, OPS[:2])), (1,))})
  alpha = {"cell": (np.array([0.4, 0.1, 0.3, 0.2]), np.array([1.0, 2.0]))}
  pruned, kept = stages.prune(space, alpha, 2)
  assert [edge.ops for edge in pruned.cells["cell"].edges] == [("none", "b"), ("none", "a")]
  np.testing.assert_array_equal(kept["cell"][0], [0.4, 0.3])
  assert pruned.searched == ("cell",)
  # Again, down to one: the genotype that argmax would give.
  decided, _ = stages.prune(pruned, kept, 1)
  assert decided.is_genotype
  assert [edge.ops for edge in decided.cells["cell"].edges] == [("none",), ("a",)]


def test_where_none_cannot_be_chosen_another_stays():
  space = SearchSpace({"cell": shapes.dense(OPS, 2, inputs=2, keep=1)})
  likes_none = np.array([9.0, 0.1, 0.2, 0.3])
  alpha = {"cell": (likes_none,) * 5, "cell/edges": (np.zeros(2), np.zeros(3))}
  one, kept = stages.prune(space, alpha, 1)
  assert {edge.ops for edge in one.cells["cell"].edges} == {("c",)}
  assert [v.shape for v in kept["cell/edges"]] == [(2,), (3,)]
  two, _ = stages.prune(space, alpha, 2)
  assert {edge.ops for edge in two.cells["cell"].edges} == {("none", "c")}


def test_keep_must_be_a_count():
  space = SearchSpace({"cell": shapes.dense(OPS, 1)})
  with pytest.raises(DnasError, match="stages: keep must be a whole number"):
    stages.prune(space, {"cell": (np.zeros(4),)}, 0)


def test_the_pruned_supernet_inherits_and_is_the_same_function():
  cell = shapes.dense(("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3"), 2)
  space = macro.detector(SearchSpace({"cell": cell}), channels=(4,), stem_channels=4)
  alpha = {"cell": tuple(np.array([0.0, 1.0, 2.0, -1.0]) + 0.01 * e for e in range(3))}
  few, _ = stages.prune(space, alpha, 2)
  wide = Network(space, 3, rngs=Rngs(jax.random.key(0)))
  narrow = Network(few, 3, search=True, rngs=Rngs(jax.random.key(1)))
  inherit(wide, narrow)
  x = jax.random.normal(jax.random.key(2), (2, 8, 8, 3))
  weights = jnp.array([0.3, 0.7])  # skip, convolution
  apply = lambda network, w: network(x, {"cell": (w,) * 3}, Mode(train=True))[0]
  at = jnp.zeros(4).at[jnp.array([1, 2])].set(weights)
  np.testing.assert_allclose(apply(narrow, weights), apply(wide, at), rtol=1e-4, atol=1e-5)


def test_wider_operations_repeat_the_narrow_ones():
  build = lambda partial, seed: mixed.Cell(
    shapes.dense(("none", "nor_conv_3x3"), 1),
    [8],
    [1],
    8,
    1,
    affine=False,
    pool_norm=False,
    supernet=Supernet(partial=partial),
    rngs=Rngs(jax.random.key(seed)),
  )
  narrow, wide = build(4, 0), build(2, 1)
  with pytest.raises(SpaceError, match="has \\(3, 3, 2, 2\\) for this"):
    inherit(narrow, build(2, 1))
  inherit(narrow, wide, widen=True)
  kernel = lambda cell: np.asarray(cell.edges[0].ops[1].layers[1].kernel[...])
  assert kernel(wide).shape == (3, 3, 4, 4)
  np.testing.assert_array_equal(kernel(wide), np.tile(kernel(narrow), (1, 1, 2, 2)))
  assert len(jax.tree.leaves(functional.split(wide)[1])) == 1
