# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cost models: equal to counting the genotype's own network, and to their expectation."""

import random
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.cost import count, energy, model
from dnas.errors import DnasError
from dnas.nn import places
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.space import cells
from dnas.space.cell import Cell, Edge
from dnas.strategy.alpha import one_hot

CALL = lambda network, weights, images, mode: network(images, weights, mode)
SPACES = {
  "nasbench201": cells.nasbench201(4, 2),
  # Normal and reduction cell are one object here, and keep all edges.
  "dense, two inputs": cells.dense(
    ("skip_connect", "sep_conv_3x3"), 1, inputs=2, channels=4, layers=3
  ),
  "darts": cells.darts(4, 4),
}


def found_in(space):
  return places.places(space, Network(space, 10, search=False, rngs=Rngs(None)), CALL, (16, 16))


SLOW = {"darts": [pytest.mark.slow]}


@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, [])) for n in SPACES])
def test_every_genotype_costs_what_its_network_counts(name):
  space = SPACES[name]
  found = found_in(space)
  models = places.counts(space, found)
  assert found.params > 0
  assert {p.cell for p in found.found if p.operation.stride == 2} <= {"reduce"}
  for seed in range(2):
    genotype = space.sample(random.Random(seed))
    network = Network(genotype, 10, rngs=Rngs(None))
    counted = count.count(network, lambda m, x: CALL(m, {}, x, Mode()), (16, 16, 3))
    assert models["macs"].of(genotype) == counted.macs
    assert models["params"].of(genotype) == counted.params
    for one in (*models.values(), places.energy_estimate(space, found)):
      whole = model.CostModel(one.name, space, one.fixed, one.ops).of(genotype)
      np.testing.assert_allclose(one.expected(one_hot(space, genotype)), whole, rtol=1e-6)
      assert one.of(genotype) <= whole * (1 + 1e-12)


def test_places_name_operations_at_their_sizes():
  found = found_in(SPACES["nasbench201"])
  assert len(found.found) == 3 * 2 * 6 * 5
  names = [str(operation) for operation in found.operations]
  assert len(names) == 9
  assert names[0] == "nor_conv_1x1 4->4 16x16 stride 1"
  assert names[-1] == "avg_pool_3x3 16->16 4x4 stride 1"
  assert places.Operation("x", 4, 8, 5, 6, 2).activations == 4 * 30 + 8 * 9


def linear_model(cell, seed=0):
  space, rng = cells.SearchSpace({"c": cell}), np.random.default_rng(seed)
  rows = tuple(rng.uniform(1, 2, len(edge.ops)) for edge in cell.edges)
  return space, model.CostModel("ms", space, 3.0, {"c": rows})


def test_expectation_is_the_mean_over_all_genotypes():
  """Independent edges: E of the model = sum over genotypes of their probability times cost."""
  ops = ("none", "a", "b")
  _, one = linear_model(Cell(1, (Edge(0, 1, ops), Edge(0, 2, ops), Edge(1, 2, ops)), (2,)))
  logits = np.random.default_rng(1).normal(size=(3, 3))
  p = np.array(jax.nn.softmax(logits, axis=-1))
  mean = 0.0
  for choice in np.ndindex(3, 3, 3):
    chance = np.prod([p[e, o] for e, o in enumerate(choice)])
    mean += chance * one.of_choices({"c": [ops[o] for o in choice]})
  np.testing.assert_allclose(one.expected({"c": list(jnp.asarray(p))}), mean, rtol=1e-5)
  gradient = jax.grad(lambda w: one.expected({"c": list(w)}))(jnp.asarray(p))
  np.testing.assert_allclose(gradient, np.stack(one.ops["c"]), rtol=1e-6)


def test_expectation_where_edges_are_kept():
  """Two of three edges, drawn alike; `none` cannot be chosen, whatever weight it has."""
  ops = ("none", "a", "b")
  _, one = linear_model(Cell(3, tuple(Edge(j, 3, ops) for j in range(3)), (3,), keep=2))
  p = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.9, 0.1, 0.0]], np.float32)
  costs = np.stack(one.ops["c"])
  each = [np.dot(p[e, 1:], costs[e, 1:]) / p[e, 1:].sum() for e in range(3)]
  expected = one.expected({"c": list(jnp.asarray(p))})
  np.testing.assert_allclose(expected, 3 + 2 / 3 * sum(each), rtol=1e-6)
  # With logits of edges the shares follow them, to 1 at most.
  beta = np.array([0.7, 0.2, 0.1], np.float32)
  expected = one.expected({"c": list(jnp.asarray(beta[:, None] * p))})
  np.testing.assert_allclose(expected, 3 + np.dot([1.0, 0.4, 0.2], each), rtol=1e-6)
  # A node that keeps all its edges pays for all, however their strengths differ.
  _, all_kept = linear_model(Cell(2, tuple(Edge(j, 2, ops) for j in range(2)), (2,), keep=2))
  costs = np.stack(all_kept.ops["c"])
  each = [np.dot(p[e, 1:], costs[e, 1:]) / p[e, 1:].sum() for e in range(2)]
  expected = all_kept.expected({"c": list(jnp.asarray(np.array([[0.9], [0.1]]) * p[:2]))})
  np.testing.assert_allclose(expected, all_kept.fixed + sum(each), rtol=1e-6)
  # All weight on what cannot be chosen: finite, and so is the gradient.
  nothing = [jnp.array([1.0, 0.0, 0.0])] * 3
  gradient = jax.grad(lambda w: one.expected({"c": w}))(nothing)
  assert np.isfinite(np.stack(gradient)).all()
  assert float(one.expected({"c": nothing})) == 3


def test_dead_edges():
  cell = cells.nasbench201().cells["cell"]  # edges 01 02 12 03 13 23
  conv = "nor_conv_1x1"
  assert model.live(cell, (conv, conv, conv, conv, "none", "none")) == [3]
  assert model.live(cell, ("none", conv, conv, "none", "none", conv)) == [1, 5]  # 1 is constant.
  assert model.computes(cell, ("none", conv, conv, "none", "none", conv))
  assert not model.computes(cell, ("none", conv, conv, "none", conv, "none"))
  decided = lambda *ops: cells.nasbench201().decide({"cell": [*ops]}).cells["cell"]
  text = model.idle(decided(conv, conv, conv, conv, "none", "none"))
  assert text.startswith("3 of 4 operations lie on no path")
  assert "nor_conv_1x1(1) of node 2" in text
  assert model.idle(decided("none", conv, "none", "none", "none", conv)) == ""
  space, one = linear_model(cell)
  free = model.CostModel("ms", space, 3.0, one.ops, dead_is_free=True)
  choice = {"c": (conv, conv, conv, conv, "none", "none")}
  at = cell.edges[3].ops.index(conv)
  assert free.of_choices(choice) == pytest.approx(3 + one.ops["c"][3][at])
  assert one.of_choices(choice) > free.of_choices(choice) + 4


def test_fit_finds_an_additive_device():
  space, true = linear_model(cells.nasbench201().cells["cell"])
  rng = random.Random(0)
  choices = [space.choices(space.sample(rng)) for _ in range(120)]
  values = [true.of_choices(choice) for choice in choices]
  fitted = model.fit("ms", space, choices[:80], values[:80])
  for choice, value in zip(choices[80:], values[80:], strict=True):
    assert fitted.of_choices(choice) == pytest.approx(value, rel=1e-6)
  assert min(row.min() for row in fitted.ops["c"]) >= 0
  with pytest.raises(DnasError, match="needs finite values, one for each"):
    model.fit("ms", space, choices, [*values[:-1], np.nan])
  with pytest.raises(DnasError, match=r"cost ms: cell c needs edges of \[5, 5"):
    model.CostModel("ms", space, 0.0, {"c": true.ops["c"][:3]})


def test_energy_by_hand():
  # 1,000 MACs, 10 weights from DRAM, 100 activations in a large cache, picojoules.
  pj = 1000 * 4.6 + 10 * 4 * 162.5 + 100 * 4 * 12.5
  assert energy.estimate_mj(1000, 10, 100) == pytest.approx(pj * 1e-9)
  pj = 1000 * 0.3 + 10 * 1.25 + 100 * 2.5
  given = dict(precision="int8", weights_in="sram_8kb", activations_in="sram_32kb")
  assert energy.estimate_mj(1000, 10, 100, **given) == pytest.approx(pj * 1e-9)
  with pytest.raises(DnasError, match="unknown precision: 'int4'"):
    energy.estimate_mj(1, 1, 1, precision="int4")
  with pytest.raises(DnasError, match="unknown memory level: 'flash'"):
    energy.estimate_mj(1, 1, 1, weights_in="flash")


def test_measured_energy_needs_a_counter_and_the_package(tmp_path, monkeypatch):
  monkeypatch.setattr(energy, "COUNTER", tmp_path / "energy_uj")
  with pytest.raises(DnasError, match="cannot be read, so nothing is counted here"):
    energy.measure_mj(lambda: None, 1.0)
  energy.COUNTER.write_text("0")
  monkeypatch.setitem(sys.modules, "codecarbon", None)
  with pytest.raises(DnasError, match=r"EXTRAS=energy bash scripts/setup\.sh"):
    energy.measure_mj(lambda: None, 1.0)


def test_measured_energy_is_that_of_one_call(tmp_path, monkeypatch):
  monkeypatch.setattr(energy, "COUNTER", tmp_path / "energy_uj")
  energy.COUNTER.write_text("0")
  calls = []

  class Tracker:
    def __init__(self, **settings):
      assert settings["save_to_file"] is False

    def start(self):
      calls.clear()

    def stop(self):  # 2 mJ a call by the processor, and as much again by memory
      kwh = 2 * len(calls) / 3.6e9
      self.final_emissions_data = types.SimpleNamespace(cpu_energy=kwh, energy_consumed=2 * kwh)

  fake = types.SimpleNamespace(OfflineEmissionsTracker=Tracker)
  monkeypatch.setitem(sys.modules, "codecarbon", fake)
  monkeypatch.setattr(jax, "devices", lambda: [types.SimpleNamespace(platform="cpu")])
  assert energy.measure_mj(lambda: calls.append(1), seconds=0.0) == pytest.approx(2.0)
