# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Networks: supernet and genotype agree, wiring is pinned by numbers, tracing stays linear."""

import functools
import random
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas.errors import ConfigError
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import AuxiliaryHead, Backbone, Network, image_to_float, inherit
from dnas.space import cells, genotypes, macro
from dnas.space.cell import Cell, Edge, SpaceError
from dnas.space.space import SearchSpace, Stage

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(autouse=True)
def accelerator_form(monkeypatch):
  """Depthwise convolutions as on a GPU: compiled in a fraction of the time, and equal to the form
  of a CPU as test_depthwise shows.
  """
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def image(size, batch=2):
  values = np.random.default_rng(0).normal(size=(batch, size, size, 3))
  return jnp.asarray(values, jnp.float32)


def one_hot(space, choices):
  """Mixing weights that pick `choices`; all zero where an edge is dropped."""
  return {
    name: tuple(
      jnp.array([float(op == chosen) for op in edge.ops])
      for edge, chosen in zip(space.cells[name].edges, choices[name], strict=True)
    )
    for name in space.searched
  }


def run_both(supernet, network, weights, x):
  """[(output, batch statistics) for supernet, for network] in training, then in evaluation."""
  parts = [functional.split(supernet), functional.split(network)]

  @jit
  def run(state, weights, x):
    results = []
    for train in (True, False):
      for (static, _, _), (params, stats), w in zip(parts, state, (weights, {}), strict=True):
        module = static.merge(params, stats)
        results.append(module(x, w, Mode(train=train))[0])
    return results

  a, b, c, d = run([part[1:] for part in parts], weights, x)
  return (a, b), (c, d)


TWO_INPUTS = cells.dense(cells.DARTS_OPS, nodes=2, inputs=2, keep=2, channels=4, layers=3)
TWO_INPUTS_CHOICES = {
  "normal": ("sep_conv_3x3", "max_pool_3x3", "skip_connect", None, "dil_conv_5x5"),
  "reduce": ("sep_conv_5x5", "skip_connect", None, "dil_conv_3x3", "avg_pool_3x3"),
}
ONE_INPUT = cells.nasbench201(channels=4, cells=1)
ONE_INPUT_CHOICES = {
  "cell": ("nor_conv_3x3", "none", "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_3x3")
}


@pytest.mark.parametrize(
  ("space", "choices"),
  [(TWO_INPUTS, TWO_INPUTS_CHOICES), (ONE_INPUT, ONE_INPUT_CHOICES)],
  ids=["two inputs", "one input"],
)
def test_supernet_at_one_hot_weights_equals_the_genotype(space, choices):
  supernet = Network(space, 3, rngs=Rngs(0))
  genotype = space.decide(choices)
  network = Network(genotype, 3, search=True, rngs=Rngs(1))
  inherit(supernet, network)
  for a, b in run_both(supernet, network, one_hot(space, choices), image(8)):
    assert np.std(a) > 1e-3
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("make", [cells.darts, cells.robust_s1, cells.robust_s3])
def test_whole_darts_supernets_equal_their_genotypes(make, seed):
  space = make(channels=4, layers=4)
  genotype = space.sample(random.Random(seed))
  supernet = Network(space, 3, rngs=Rngs(0))
  network = Network(genotype, 3, search=True, rngs=Rngs(1))
  inherit(supernet, network)
  for a, b in run_both(supernet, network, one_hot(space, space.choices(genotype)), image(8)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_inherit_follows_edges_in_any_order():
  """A genotype whose edges are listed in another order gets the right weights all the same."""
  space = cells.dense(("nor_conv_1x1", "nor_conv_3x3"), nodes=2, channels=4, layers=1)
  genotype = space.decide({"cell": ("nor_conv_1x1", "nor_conv_3x3", "nor_conv_1x1")})
  cell = genotype.cells["cell"]
  turned = Cell(1, cell.edges[::-1], cell.output)
  reordered = genotype.replace(cells=genotype.cells | {"cell": turned})
  supernet = Network(space, 2, rngs=Rngs(0))
  networks = [Network(g, 2, search=True, rngs=Rngs(1)) for g in (genotype, reordered)]
  for network in networks:
    inherit(supernet, network)
  kernels = [n.backbone.cells[0].edges[1].ops[0].layers[1].kernel[...] for n in networks]
  edge = supernet.backbone.cells[0].edges[1].ops
  np.testing.assert_array_equal(kernels[0], edge[1].layers[1].kernel[...])
  outer = [n.backbone.cells[0].edges[i].ops[0].layers[1].kernel[...] for n, i in
           zip(networks, (0, 2), strict=True)]  # fmt: skip
  np.testing.assert_array_equal(outer[0], outer[1])


def test_inherit_refuses_what_does_not_fit():
  space = ONE_INPUT
  supernet = Network(space, 3, rngs=Rngs(0))
  genotype = space.sample(random.Random(0))
  with pytest.raises(SpaceError, match=r"search=True"):
    inherit(supernet, Network(genotype, 3, rngs=Rngs(1)))
  wider = macro.nasbench201(genotype, channels=6, cells=1)
  with pytest.raises(SpaceError, match=r"the supernet has \(3, 3, 4, 4\) for this \(3, 3, 6, 6\)"):
    inherit(supernet, Network(wider, 3, search=True, rngs=Rngs(1)))
  deeper = macro.nasbench201(genotype, channels=4, cells=2)
  with pytest.raises(SpaceError, match=r"backbone/cells/1.output: must be \(1,\) in this space"):
    inherit(supernet, Network(deeper, 3, search=True, rngs=Rngs(1)))
  other = genotypes.from_nasbench201("|sep_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
  other = macro.nasbench201(other, channels=4, cells=1)
  with pytest.raises(SpaceError, match="backbone/cells/0: sep_conv_3x3 on 0 -> 1 is not in this"):
    inherit(supernet, Network(other, 3, search=True, rngs=Rngs(1)))


def test_inherit_widens_by_repetition():
  """Entry j of a longer axis is entry j mod n of the n there were; equal shapes are taken over."""
  cell = {"c": Cell(1, (Edge(0, 1, ("nor_conv_1x1",)),), (1,))}
  narrow, wide = (
    Backbone(SearchSpace(cell, (Stage("c", 1, width),), "conv3x3", width), rngs=Rngs(width))
    for width in (2, 3)
  )
  inherit(narrow, wide, widen=True)
  old, new = (dict(nnx.to_flat_state(nnx.state(network))) for network in (narrow, wide))
  assert old.keys() == new.keys()
  for path, x in new.items():
    source = old[path][...]
    taken = np.ix_(*(np.arange(n) % m for n, m in zip(x.shape, source.shape, strict=True)))
    np.testing.assert_array_equal(x[...], np.asarray(source)[taken])
  with pytest.raises(SpaceError, match=r"has \(1, 1, 3, 3\) for this \(1, 1, 2, 2\); .* narrower"):
    inherit(wide, narrow, widen=True)


# -------------------------------------------------------------------------------------------------
# Wiring

BENCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
GOLDEN = {  # logits of the first image in training, then in evaluation
  "AmoebaNet": ([0.35403, 0.35673, 0.28422], [-0.03937, 0.09296, -0.11381]),
  "PDARTS imagenet": ([0.86202, 0.71477, 0.07429], [0.05391, 0.03845, 0.0347]),
  BENCH: ([0.72234, -0.49212, 0.16434], [0.21149, 0.03845, 0.12324]),
}


def golden_network(name):
  genotype = genotypes.load(name.split()[0])
  if name.endswith("imagenet"):
    return Network(macro.imagenet(genotype, 4, 3), 3, rngs=Rngs(0)), 64
  if genotype.cells.keys() >= {"normal"}:
    return Network(macro.cifar(genotype, 4, 4), 3, rngs=Rngs(0)), 8
  return Network(macro.nasbench201(genotype, 4, 1), 3, rngs=Rngs(0)), 8


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_logits(name):
  """Numbers of the networks that test_torch has found equal to PyTorch's (seed 0, batch of 2)."""
  network, size = golden_network(name)
  static, params, stats = functional.split(network)

  @jit
  def run(params, stats, x):
    trained = static.merge(params, stats)(x, {}, Mode(train=True))[0]
    return trained, static.merge(params, stats)(x, {}, Mode())[0]

  for got, expected in zip(run(params, stats, image(size)), GOLDEN[name], strict=True):
    np.testing.assert_allclose(got[0], expected, rtol=2e-3, atol=2e-4)


def test_backbone_gives_every_cell_and_levels_the_last_of_each_stride():
  space = macro.imagenet(genotypes.published("DARTS_V2"), channels=4, layers=5)
  backbone = Backbone(space, rngs=Rngs(None))
  assert backbone.names == ("normal", "reduce", "normal", "reduce", "normal")
  assert backbone.strides == (8, 16, 16, 32, 32)
  assert backbone.channels == (16, 32, 32, 64, 64)
  assert backbone.levels() == {8: 0, 16: 2, 32: 4}
  outputs = jax.eval_shape(lambda x: backbone(x, {}, Mode()), image(64))
  assert [y.shape for y in outputs] == [
    (2, 64 // s, 64 // s, c) for s, c in zip(backbone.strides, backbone.channels, strict=True)
  ]


def test_stages_of_a_strange_space():
  cell = Cell(1, (Edge(0, 1, ("nor_conv_3x3",)), Edge(1, 2, ("skip_connect",))), (1, 2))
  space = SearchSpace({"c": cell}, (Stage("c", 2, 4, 2), Stage("c", 1, 6)), "conv3x3_stride2", 5)
  backbone = Backbone(space, rngs=Rngs(None))
  assert (backbone.channels, backbone.strides) == ((8, 8, 12), (4, 4, 4))
  outputs = jax.eval_shape(lambda x: backbone(x, {}, Mode()), image(15))
  assert [y.shape for y in outputs] == [(2, 4, 4, 8), (2, 4, 4, 8), (2, 4, 4, 12)]


@pytest.mark.parametrize(
  ("space", "message"),
  [
    (cells.darts().replace(stages=()), "stages: are empty; give the cells a network"),
    (
      SearchSpace({"c": Cell(1, (Edge(0, 1, ("skip_connect",)),), (1,))}, (Stage("c", 1, 3, 2),)),
      "channels: a skip connection of stride 2 needs an even width, got 3",
    ),
    (
      SearchSpace({"c": Cell(3, (Edge(0, 3, ("skip_connect",)),), (3,))}, (Stage("c", 1, 4),)),
      r"stages\[0\].cell: 'c' has 3 inputs, but only 2 feature maps come before it",
    ),
    (macro.imagenet(cells.darts(), channels=1), "stem_channels: the ImageNet stem needs 2 or more"),
  ],
)
def test_networks_that_cannot_be(space, message):
  with pytest.raises(SpaceError, match=message):
    Network(space, 3, rngs=Rngs(None))


def test_unknown_stems_and_operations_list_what_there_is():
  with pytest.raises(ConfigError, match=r"'conv3'.*Valid: conv3x3, conv3x3_stride2,.* imagenet"):
    Network(ONE_INPUT.replace(stem="conv3"), 3, rngs=Rngs(None))
  with pytest.raises(ConfigError, match=r"unknown name in dnas.nn.ops: 'skip'.*Valid: avg_pool"):
    Network(cells.dense(("skip",), nodes=1), 3, rngs=Rngs(None))


def test_searched_cells_need_weights():
  network = Network(ONE_INPUT, 3, rngs=Rngs(None))
  with pytest.raises(ValueError, match=r"cells \['cell'\] hold choices and need mixing weights"):
    network(image(8), {}, Mode())


def test_each_place_of_a_cell_may_have_weights_of_its_own():
  cell = Cell(1, (Edge(0, 1, ("none", "skip_connect")),), (1,))
  backbone = Backbone(SearchSpace({"c": cell}, (Stage("c", 2, 4),), "conv3x3", 4), rngs=Rngs(0))
  skip, none = jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0])
  run = lambda weights: backbone(image(4), {"c": (weights,)}, Mode())
  first, second = run(jnp.stack([skip, none]))
  both = run(skip)
  np.testing.assert_array_equal(first, both[0])
  assert np.any(both[1])
  assert not np.any(second)


def test_search_path_of_a_genotype():
  """`search=True` gives the supernet's norms: none with weights in cells, one behind each pool."""
  genotype = macro.cifar(genotypes.published("DARTS_V1"), 4, 3)
  counts = []
  for search in (None, True):
    backbone = Backbone(genotype, search=search, rngs=Rngs(None))
    norms = [
      n.scale is not None
      for _, n in nnx.iter_graph(backbone.cells)
      if type(n).__name__ == "BatchNorm"
    ]
    counts.append((sum(norms), len(norms)))
  pools = 2 * 5  # in two reduction cells of DARTS_V1
  assert counts[0][0] == counts[0][1]
  assert counts[1] == (0, counts[0][1] + pools)


# -------------------------------------------------------------------------------------------------
# Auxiliary head


def test_auxiliary_logits_come_in_training_alone():
  space = macro.cifar(genotypes.published("DARTS_V2"), 4, 3)
  network = Network(space, 5, auxiliary=True, rngs=Rngs(0))
  assert network.auxiliary_at == 2
  static, params, stats = functional.split(network)
  run = lambda train: jax.eval_shape(
    lambda p, s, x: static.merge(p, s)(x, {}, Mode(train=train)), params, stats, image(32)
  )
  logits, auxiliary = run(True)
  assert logits.shape == auxiliary.shape == (2, 5)
  assert run(False)[1] is None
  assert Network(space, 5, rngs=Rngs(None)).auxiliary is None


@pytest.mark.parametrize(("imagenet", "smallest"), [(False, 8), (True, 7)])
def test_auxiliary_head_says_what_it_needs(imagenet, smallest):
  head = AuxiliaryHead(4, 3, imagenet=imagenet, rngs=Rngs(None))
  run = lambda n: jax.eval_shape(lambda x: head(x, Mode()), jnp.zeros((1, n, n, 4)))
  assert run(smallest).shape == (1, 3)
  with pytest.raises(ValueError, match=f"features of {smallest} x {smallest} or more, got"):
    run(smallest - 1)


def test_image_to_float():
  x = image_to_float(jnp.array([0, 127, 255], jnp.uint8))
  np.testing.assert_allclose(x, [-127.5 / 64, -0.5 / 64, 127.5 / 64])


# -------------------------------------------------------------------------------------------------
# Tracing


def equations(jaxpr):
  """Number of equations of a jaxpr, inner ones included."""
  total = 0
  for equation in jaxpr.eqns:
    inner = jax.tree.leaves(
      list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")
    )
    total += 1 + sum(
      equations(getattr(v, "jaxpr", v)) for v in inner if hasattr(v, "eqns") or hasattr(v, "jaxpr")
    )
  return total


def trace(cells_per_stage):
  """(equations, function calls) of tracing a network in training."""
  space = cells.dense(("nor_conv_3x3",), nodes=1, channels=4, layers=cells_per_stage)
  static, params, stats = functional.split(Network(space, 3, rngs=Rngs(None)))

  def run(params, stats, x):
    module = static.merge(params, stats)
    return module(x, {}, Mode(train=True)), functional.stats_of(module)

  calls = 0

  def count(frame, event, argument):
    nonlocal calls
    calls += event in ("call", "c_call")

  outer = sys.getprofile()
  sys.setprofile(count)
  try:
    jaxpr = jax.make_jaxpr(run)(params, stats, image(8))
  finally:
    sys.setprofile(outer)
  return equations(jaxpr.jaxpr), calls


def test_tracing_240_blocks_is_linear():
  """Four times the blocks: at most four times the equations and the function calls of tracing.

  (With Flax's own BatchNorm the calls grow nearly tenfold and take a minute.)
  """
  trace(1)  # what is done once
  few, many = trace(20), trace(80)
  assert 7_500 < many[0] < 8_500
  assert many[0] / few[0] < 4
  assert many[1] / few[1] < 4.2
