# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-accumulates: published networks to the unit, and sums by hand."""

import json

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from dnas.cost import count, tally
from dnas.nn import ops
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Linear, Sequence
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.nn.norm import BatchNorm
from dnas.space import cells, genotypes, macro


def cost_of(space, classes, size, weights=None, **options):
  network = Network(space, classes, rngs=Rngs(None), **options)
  call = lambda network, images: network(images, weights or {}, Mode())
  return count.count(network, call, (size, size, 3))


def params_of(network):
  return count.count(network, lambda *_: None, (1, 1, 3)).params


# kind -> (network of a genotype, classes, side of the image in px)
NETWORKS = {
  "cifar10": (lambda g: macro.cifar(g, 36, 20), 10, 32),
  "cifar100": (lambda g: macro.cifar(g, 36, 20), 100, 32),
  "imagenet": (lambda g: macro.imagenet(g, 48, 14), 1000, 224),
}
BENCHES = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}


@pytest.mark.parametrize(
  ("name", "kind", "params", "with_auxiliary", "macs"),
  [
    ("DARTS_V2", "cifar10", 3_349_342, 3_825_768, 528_359_040),
    ("AmoebaNet", "cifar100", 3_184_048, 3_711_252, 488_970_432),
    ("PDARTS", "imagenet", 4_944_352, 6_205_128, 542_819_328),
  ],
)
def test_published_networks(name, kind, params, with_auxiliary, macs):
  network, classes, size = NETWORKS[kind]
  space = network(genotypes.published(name))
  cost = cost_of(space, classes, size)
  assert (cost.params, cost.macs) == (params, macs)
  larger = Network(space, classes, auxiliary=True, rngs=Rngs(None))
  assert params_of(larger) == with_auxiliary


@pytest.mark.parametrize(
  ("text", "data", "params", "macs"),
  [
    (
      "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
      "cifar10",
      802_426,
      113_951_360,
    ),
    ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "ImageNet16-120", 80_456, 1_953_280),
  ],
)
def test_nasbench201_networks(text, data, params, macs):
  classes, size = BENCHES[data]
  cost = cost_of(genotypes.from_nasbench201(text), classes, size)
  assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
  ("space", "weights", "logits"),
  [
    (cells.darts(16, 8), 1_930_618, 224),
    (cells.darts(8, 5), 394_210, 224),
    (cells.nasbench201(16, 1), 395_482, 30),
  ],
)
def test_supernets(space, weights, logits):
  assert params_of(Network(space, 10, rngs=Rngs(None))) == weights
  assert sum(len(e.ops) for name in space.searched for e in space.cells[name].edges) == logits


@pytest.mark.slow
@pytest.mark.parametrize("name", genotypes.NAMES)
def test_all_published_costs(name, shared):
  facts = json.loads((shared / "facts" / "genotypes.json").read_text())[name]["costs"]
  assert facts.keys() == NETWORKS.keys()
  for kind, fact in facts.items():
    network, classes, size = NETWORKS[kind]
    space = network(genotypes.published(name))
    cost = cost_of(space, classes, size, auxiliary=True)
    head = sum(params for path, params, _ in cost.rows if path.startswith("auxiliary"))
    assert cost.params == fact["params_with_aux"]
    assert cost.params - head == fact["params_no_aux"]
    assert cost.macs == fact["total_macs"], "the head does no work in evaluation"
    linear = sum(macs for path, _, macs in cost.rows if path == "linear")
    assert (cost.macs - linear, linear) == (fact["conv_macs"], fact["linear_macs"])


@pytest.mark.slow
def test_all_nasbench201_costs(shared):
  facts = json.loads((shared / "facts" / "nasbench201_costs.json").read_text())
  for fact in facts.values():
    for data, (classes, size) in BENCHES.items():
      cost = cost_of(genotypes.from_nasbench201(fact["arch"]), classes, size)
      assert (cost.params, cost.macs) == (fact[data]["params"], fact[data]["macs"])


def counted(module, size=8, channels=4):
  return count.count(module, lambda m, x: m(x, Mode()), (size, size, channels))


def test_by_hand():
  """k k c_in / groups c_out weights; as many MACs at each pixel of the output; no bias, no norm."""
  module = Sequence(
    Conv(4, 6, 3, 2, bias=True, rngs=Rngs(None)),
    BatchNorm(6),
    Conv(6, 6, 5, groups=6, rngs=Rngs(None)),
    lambda x: x.mean((1, 2)),
    Linear(6, 3, rngs=Rngs(None)),
  )
  cost = counted(module)
  first, depth, last = 9 * 4 * 6, 25 * 6, 6 * 3
  assert cost.params == first + 6 + 12 + depth + last + 3
  assert cost.macs == 16 * first + 16 * depth + last
  assert cost.rows == (
    ("layers/0", first + 6, 16 * first),
    ("layers/1", 12, 0),
    ("layers/2", depth, 16 * depth),
    ("layers/4", last + 3, last),
  )
  assert cost.by(1) == [("layers", cost.params, cost.macs)]


def test_linear_layers_count_every_position():
  assert counted(Linear(4, 5, rngs=Rngs(None))).macs == 8 * 8 * 4 * 5


def test_a_layer_called_twice_counts_twice_in_work_and_once_in_weights():
  conv = Conv(4, 4, 1, rngs=Rngs(None))
  cost = counted(Sequence(conv, conv))
  assert (cost.params, cost.macs) == (16, 2 * 64 * 16)


def squeeze(c_in, c_out, stride, *, affine, rngs):
  """A user's operation, made of our layers and of Flax' own arithmetic."""
  return Sequence(jax.nn.gelu, Conv(c_in, 2, 1, rngs=rngs), Conv(2, c_out, 3, stride, rngs=rngs))


def test_operations_of_ones_own_are_counted(monkeypatch):
  monkeypatch.setattr(ops, "squeeze", squeeze, raising=False)
  space = cells.dense(("squeeze",), nodes=1, channels=4, layers=1)
  plain = cells.dense(("skip_connect",), nodes=1, channels=4, layers=1)
  monkeypatch.setattr(squeeze, "__module__", ops.__name__)
  extra = cost_of(space, 3, 8), cost_of(plain, 3, 8)
  weights = [c * 2 + 9 * 2 * c for c in (4, 8, 16)]
  assert extra[0].params - extra[1].params == sum(weights)
  work = [64 * weights[0], 16 * weights[1], 4 * weights[2]]
  assert extra[0].macs - extra[1].macs == sum(work)


def test_the_supernet_is_the_sum_of_its_operations():
  """Each operation is called once, whatever its mixing weight."""
  names = ("none", "skip_connect", "nor_conv_3x3", "sep_conv_3x3")
  space = cells.dense(names, nodes=1, channels=4, layers=1)
  uniform = {"cell": (jnp.ones(4) / 4,)}
  whole = cost_of(space, 3, 8, uniform)
  parts = {name: cost_of(space.decide({"cell": (name,)}), 3, 8, search=True) for name in names}
  rest = parts["none"]
  assert whole.macs - rest.macs == sum(parts[n].macs - rest.macs for n in names)
  assert whole.params - rest.params == sum(parts[n].params - rest.params for n in names)


def test_counting_draws_and_changes_nothing():
  network = Network(cells.nasbench201(4, 1).decide({"cell": ("none",) * 6}), 3, rngs=Rngs(0))
  before = jax.tree.map(lambda x: x, nnx.to_pure_dict(nnx.state(network)))
  count.count(network, lambda n, x: n(x, {}, Mode(train=True)), (8, 8, 3))
  jax.tree.map(lambda a, b: (a == b).all() or pytest.fail("moved"), before,
               nnx.to_pure_dict(nnx.state(network)))  # fmt: skip
  assert not tally.active()
