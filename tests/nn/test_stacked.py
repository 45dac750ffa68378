# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of edges that are built alike as one array each: there and back, and through a loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.nn import functional, rows, stacked
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.nn.places import uniform
from dnas.space import cells
from dnas.space.cell import Cell, Edge
from dnas.space.space import SearchSpace, Stage

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
CONV, POOL = ("nor_conv_3x3", "skip_connect"), ("avg_pool_3x3", "skip_connect")
DEPTHWISE = ("dil_conv_3x3", "skip_connect")  # Whose edges share a loop on CPUs.


def network(space, rngs=Rngs(0)):  # noqa: B008
  return Network(space, 3, rngs=rngs)


def small(*edges):
  """A space of one cell, with two inputs, and of two places; the second has half of the size."""
  cell = Cell(inputs=2, edges=edges, output=(2, 3))
  stages = (Stage("cell", 1, 4, 1), Stage("cell", 1, 8, 2))
  return SearchSpace({"cell": cell}, stages, stem="conv3x3", stem_channels=4)


def groups(space):
  return [found for _, found in stacked.layout(network(space, Rngs(None))).groups]


def test_edges_that_are_built_alike():
  """In the second place the edges that leave the inputs have stride 2; one edge holds others."""
  space = small(Edge(0, 2, CONV), Edge(1, 3, CONV), Edge(1, 2, CONV), Edge(2, 3, CONV))
  assert groups(space) == [((0, 2, 1, 3),), ((0, 2, 1),)]
  space = small(Edge(0, 2, CONV), Edge(1, 2, POOL), Edge(0, 3, POOL), Edge(2, 3, CONV))
  assert groups(space) == [((0, 3), (1, 2)), ((1, 2),)]
  space = small(Edge(0, 2, CONV), Edge(1, 2, POOL), Edge(2, 3, CONV[::-1]))
  assert groups(space) == []


def test_a_genotype_is_left_as_it_is():
  space = small(Edge(0, 2, CONV[:1]), Edge(1, 2, CONV[:1]), Edge(2, 3, CONV[:1]))
  layout = stacked.layout(network(space))
  _, params, _ = functional.split(network(space))
  assert layout == stacked.Layout()
  assert layout.pack(params) is params


@pytest.mark.parametrize("name", ["nasbench201", "darts"])
def test_there_and_back(name):
  space = cells.nasbench201(channels=4, cells=1)
  if name == "darts":
    space = cells.darts(channels=4, layers=3)
  module = network(space)
  layout, (_, *trees) = stacked.layout(module), functional.split(module)
  for tree in trees:
    packed = layout.pack(tree)
    assert len(jax.tree.leaves(packed)) < 0.5 * len(jax.tree.leaves(tree))
    back = layout.unpack(packed)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


def test_edges_without_arrays():
  space = small(Edge(0, 2, POOL), Edge(1, 2, POOL), Edge(2, 3, CONV))
  module = network(space)
  layout, (_, params, _) = stacked.layout(module), functional.split(module)
  packed = layout.pack(params)
  assert stacked.STACKED not in packed["backbone"]["cells"][0]
  assert jax.tree.structure(layout.unpack(packed)) == jax.tree.structure(params)


@pytest.mark.parametrize("ops", [CONV, DEPTHWISE])
def test_loss_gradients_and_statistics_of_packed_weights(ops):
  """Equal to those of the weights edge by edge, where edges go by source and where by loops."""
  space = small(Edge(0, 2, ops), Edge(1, 3, ops), Edge(1, 2, ops), Edge(2, 3, ops))
  module = network(space)
  layout, (static, params, stats) = stacked.layout(module), functional.split(module)
  image = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 3)), jnp.float32)

  def loss(params, stats):
    module = static.merge(params, stats)
    logits, _ = module(image, uniform(space), Mode(train=True, key=jax.random.key(0)))
    return (logits * jnp.arange(3)).mean(), functional.stats_of(module)

  def packed(params, stats):
    with rows.remembered():
      value, stats = loss(layout.unpack(params), layout.unpack(stats))
      return value, layout.pack(stats)

  both = lambda f: jit(jax.value_and_grad(f, has_aux=True))
  (value, moved), gradient = both(loss)(params, stats)
  (found, tracked), slopes = both(packed)(layout.pack(params), layout.pack(stats))
  np.testing.assert_allclose(found, value, rtol=1e-5)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
  jax.tree.map(close, layout.unpack(slopes), gradient)
  jax.tree.map(close, layout.unpack(tracked), moved)


def test_a_loop_takes_the_stack_as_it_is():
  """No weight of an edge is cut out or stacked in what is left of a program for a loop."""
  space = small(*(Edge(s, t, DEPTHWISE) for s, t in ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))))
  module = network(space)
  layout, (static, params, stats) = stacked.layout(module), functional.split(module)
  image = jnp.zeros((2, 8, 8, 3))

  def loss(params, stats):
    with rows.remembered():
      module = static.merge(layout.unpack(params), layout.unpack(stats))
      logits, _ = module(image, uniform(space), Mode(train=True, key=jax.random.key(0)))
      return logits.mean(), layout.pack(functional.stats_of(module))

  args = layout.pack(params), layout.pack(stats)
  text = jit(jax.grad(loss, has_aux=True)).lower(*args).compile().as_text()
  stacks = [line for line in text.splitlines() if "f32[5,3,3,1,4]" in line]
  assert stacks
  assert not [line for line in stacks if " concatenate(" in line]


def test_kernels_are_told_from_vectors():
  packed = {"a": {"stacked": {0: {"kernel": np.ones((2, 3, 3)), "bias": np.ones((2, 3))}}}}
  tree = {**packed, "kernel": np.ones((3, 3)), "bias": np.ones(3)}
  assert jax.tree.map_with_path(stacked.is_kernel, tree) == {
    "a": {"stacked": {0: {"kernel": True, "bias": False}}},
    "kernel": True,
    "bias": False,
  }
