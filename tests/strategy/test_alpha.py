# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.space import shapes
from dnas.space.space import Cell, Edge, SearchSpace, SpaceError
from dnas.strategy import relaxation
from dnas.strategy.alpha import edges_key, entropy, init_alpha, one_hot, operations, relax
from dnas.strategy.discretize import argmax

OPS = ("none", "a", "b")
MIXED = Cell(1, (Edge(0, 1, OPS), Edge(0, 2, OPS[:2]), Edge(1, 2, OPS)), (2,))
DECIDED = Cell(1, (Edge(0, 1, ("a",)),), (1,))
SPACE = SearchSpace({"z": MIXED, "c": MIXED, "fixed": DECIDED})


def test_one_logit_per_operation_of_the_searched_cells():
  alpha = init_alpha(SPACE, jax.random.key(0))
  assert jax.tree.map(jnp.shape, alpha) == dict.fromkeys(("c", "z"), ((3,), (2,), (3,)))
  values = np.concatenate(jax.tree.leaves(init_alpha(SPACE, jax.random.key(1), scale=2.0)))
  assert values.dtype == np.float32
  assert len(set(values.tolist())) == 16
  assert 1.0 < values.std() < 3.0
  assert not any(leaf.weak_type for leaf in jax.tree.leaves(alpha))


def test_a_genotype_has_nothing_to_search():
  with pytest.raises(DnasError, match="no cell holds a choice"):
    init_alpha(SearchSpace({"fixed": DECIDED}), jax.random.key(0))


@pytest.mark.parametrize("mixed", [False, True], ids=["equal edges", "mixed edges"])
def test_relax_equals_edge_by_edge(mixed):
  space = SPACE if mixed else SearchSpace({"c": Cell(1, MIXED.edges[::2], (2,))})
  alpha = init_alpha(space, jax.random.key(0), scale=1.0)
  rule, key = relaxation.gumbel_softmax(), jax.random.key(7)
  weights = relax(rule, key, alpha, 0.3, space)
  assert jax.tree.structure(weights) == jax.tree.structure(alpha)
  leaves = jax.tree.leaves(alpha)
  keys = jax.random.split(key, len(leaves))
  for k, logits, got in zip(keys, leaves, jax.tree.leaves(weights), strict=True):
    np.testing.assert_allclose(got, rule(k, logits, 0.3), rtol=1e-6)


def test_edges_draw_independently():
  alpha = {"c": (jnp.zeros(3),) * 40}
  weights = relax(relaxation.straight_through(), jax.random.key(0), alpha, 0.0, SPACE)
  counts = np.sum(np.asarray(weights["c"]), axis=0)
  assert np.all(counts > 3)


def test_the_program_does_not_grow_with_the_edges():
  def equations(edges):
    alpha = {"c": (jnp.zeros(8),) * edges}
    rule = relaxation.gumbel_softmax()
    jaxpr = jax.make_jaxpr(lambda a: relax(rule, jax.random.key(0), a, 0.5, SPACE))(alpha)
    return len(jaxpr.eqns)

  # Two or three trivial ones (stack, unstack) an edge; the relaxation itself is there once.
  assert equations(40) - equations(20) <= 20 * 3


def test_entropy():
  uniform, hard = jnp.zeros(4), jnp.array([0.0, -jnp.inf, -jnp.inf])
  np.testing.assert_allclose(entropy([uniform]), np.log(4), rtol=1e-6)
  np.testing.assert_allclose(entropy([uniform, hard, uniform]), np.log(4) * 2 / 3, rtol=1e-6)


def test_edge_weights_share_one_node_between_its_edges():
  alpha = init_alpha(SPACE, jax.random.key(0), scale=1.0, edge_weights=True)
  assert edges_key("c") == "c/edges"
  assert jax.tree.map(jnp.shape, alpha["c/edges"]) == ((1,), (2,))
  plain = init_alpha(SPACE, jax.random.key(0), scale=1.0)
  assert jax.tree.structure(operations(alpha)) == jax.tree.structure(plain)
  jax.tree.map(np.testing.assert_array_equal, operations(alpha), plain)
  rule = relaxation.softmax()
  weights = relax(rule, jax.random.key(1), alpha, 0.0, SPACE)
  assert jax.tree.structure(weights) == jax.tree.structure(plain)
  for name in ("c", "z"):
    # Over the edges that enter a node the weights of all operations sum to 1.
    sums = [float(w.sum()) for w in weights[name]]
    np.testing.assert_allclose([sums[0], sums[1] + sums[2]], 1, rtol=1e-6)
    np.testing.assert_allclose(sums[1:], jax.nn.softmax(alpha[edges_key(name)][1]), rtol=1e-6)
    without = relax(rule, jax.random.key(1), plain, 0.0, SPACE)[name]
    np.testing.assert_allclose(weights[name][2], sums[2] * without[2], rtol=1e-6)


def test_one_hot_is_the_inverse_of_argmax():
  alpha = {"cell": np.eye(3)[[2, 0, 1]]}
  space = SearchSpace({"cell": shapes.dense(OPS, 2)})
  weights = one_hot(space, argmax()(space, alpha))
  np.testing.assert_array_equal(np.stack(weights["cell"]), alpha["cell"])
  # An edge that was left out has no weight at all.
  kept = SearchSpace({"cell": shapes.dense(OPS, 2, keep=1)})
  weights = one_hot(kept, argmax()(kept, alpha))
  np.testing.assert_array_equal(np.stack(weights["cell"]).sum(1), [1, 0, 1])
  for genotype, message in ((space, "is not decided"), (SPACE, "'cell' is missing")):
    with pytest.raises(SpaceError, match=message):
      one_hot(space, genotype)
