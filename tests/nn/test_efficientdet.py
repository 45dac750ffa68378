# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet and EfficientDet: published counts to the unit; fusion, anchors and boxes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import models
from dnas.cost import count
from dnas.nn import bifpn, efficientdet, efficientnet
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import mbconv
from dnas.space.space import SpaceError
from dnas.tables import efficientnet as table

TINY = mbconv.mbconv(
  (4, 4, 6, 8), (1, 1, 1, 1), (2, 2, 2, 2), kernels=(3,), expansions=(1,), skip=False
)


def params_of(module):
  return count.count(module, lambda *_: None, (1, 1, 3)).params


@pytest.mark.parametrize(
  "name",
  [
    "efficientnet_b0",
    *(pytest.param(f"efficientnet_b{i}", marks=pytest.mark.slow) for i in (1, 3, 7)),
  ],
)
def test_efficientnet_to_the_unit(name):
  published, measured = table.PUBLISHED[name], models.measure(name)
  assert (measured.params, measured.macs) == (published.params, published.macs)
  if name == "efficientnet_b0":
    stages = measured.to_dict()["stages"]
    assert [s["repeats"] for s in stages] == [1, 2, 2, 3, 3, 4, 1, 1]
    assert [s["channels"] for s in stages] == [16, 24, 40, 80, 112, 192, 320, 1280]
    assert stages[2]["ops"] == ["mbconv_5x5_e6_se_swish"]


def test_another_number_of_classes():
  """EfficientNet-B0 of 100 classes as two code bases assert it."""
  assert params_of(efficientnet.build("efficientnet_b0", 100, rngs=Rngs(None))) == 4135648


@pytest.mark.parametrize(
  "name",
  ["efficientdet_d0", *(pytest.param(n, marks=pytest.mark.slow) for n in efficientdet.NAMES[2::4])],
)
def test_efficientdet_parameters_to_the_unit(name):
  module = efficientdet.build(name, rngs=Rngs(None))
  assert params_of(module) == table.PUBLISHED[name].params


def test_published_figures_are_those_of_the_facts(shared):
  facts = json.loads((shared / "facts" / "efficientnet.json").read_text())
  for name, published in table.PUBLISHED.items():
    family, size = name.split("_")
    fact = facts[family][size.upper()]
    assert fact["params"] == published.params
    assert fact.get("macs") == published.macs
    assert fact.get("anchors") == published.anchors
    if family == "efficientnet":
      factors = (fact["width"], fact["depth"], fact["resolution"])
      assert factors == efficientnet.COEFFICIENTS[name]


@pytest.mark.parametrize(("name", "size"), efficientdet.SIZES.items())
def test_numbers_of_anchors(name, size):
  assert len(efficientdet.anchors(size.image)) == table.PUBLISHED[name].anchors


def test_anchors():
  boxes = efficientdet.anchors(128, 256)
  assert boxes.shape == (9 * (512 + 128 + 32 + 8 + 2), 4)
  np.testing.assert_allclose(boxes[0], [4 - 16, 4 - 16, 4 + 16, 4 + 16])
  np.testing.assert_allclose(boxes[1], [4 - 22.4, 4 - 11.2, 4 + 22.4, 4 + 11.2], rtol=1e-6)
  np.testing.assert_allclose(boxes[9, :2] - boxes[0, :2], [8, 0])  # columns first
  np.testing.assert_allclose(boxes[-9], [192 - 256, 64 - 256, 192 + 256, 64 + 256])


def test_boxes_from_deltas():
  """An anchor of 20 x 10 px at (50, 30), moved by a tenth of its size and twice as wide."""
  anchor = np.array([[40.0, 25.0, 60.0, 35.0]], np.float32)
  deltas = jnp.array([[[0.2, 0.1, 0.0, np.log(2.0)]]])
  np.testing.assert_allclose(
    efficientdet.decode(deltas, anchor)[0, 0], [52 - 20, 32 - 5, 52 + 20, 32 + 5], rtol=1e-6
  )


@pytest.mark.slow
def test_fusion_is_a_weighted_mean():
  """Weights below 0 count as 0; a common factor cancels."""
  fusion = bifpn.Fusion((3, 3), 3, weighted=True, rngs=Rngs(0))
  rng = np.random.default_rng(0)
  a, b = (jnp.asarray(rng.normal(size=(1, 4, 4, 3)), jnp.float32) for _ in range(2))
  same = lambda x: x

  def call(*weights):
    fusion.weight.set_value(jnp.array(weights, jnp.float32))
    return fusion((a, b), (same, same), Mode())

  plain = lambda x: fusion.norm(fusion.conv(jax.nn.swish(x), Mode()), Mode())
  np.testing.assert_allclose(call(3.0, 1.0), plain(0.75 * a + 0.25 * b), rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(call(5.0, -2.0), plain(a), rtol=1e-3, atol=1e-4)


def tiny(**options):
  space = efficientdet.without_head(TINY)
  return efficientdet.EfficientDet(
    space, 3, width=8, depth=2, head_depth=1, **options, rngs=Rngs(0)
  )


@pytest.mark.slow
def test_network_of_any_backbone():
  """An untrained network says 1 % of every class, about."""
  network = tiny()
  outputs = jax.jit(lambda x: network(x, {}, Mode()))(jnp.zeros((1, 128, 128, 3)))
  boxes = efficientdet.anchors(128)
  assert outputs.logits.shape == (1, len(boxes), 3)
  assert outputs.deltas.shape == (1, len(boxes), 4)
  np.testing.assert_allclose(jax.nn.sigmoid(outputs.logits), 0.01, atol=0.005)
  assert np.isfinite(efficientdet.decode(outputs.deltas, boxes)).all()


def test_summing_has_no_weights():
  """19 a layer of five levels: two inputs in five nodes, three in the three between."""
  assert params_of(tiny()) - params_of(tiny(weighted=False)) == 2 * 19


def test_errors():
  with pytest.raises(SpaceError, match="unknown EfficientDet 'efficientdet_d9'; did you mean"):
    efficientdet.build("efficientdet_d9", rngs=Rngs(None))
  with pytest.raises(SpaceError, match="unknown EfficientNet 'b0'"):
    efficientnet.build("b0", rngs=Rngs(None))
  with pytest.raises(SpaceError, match="multiples of 128 px, got 100 x 128"):
    efficientdet.anchors(100, 128)
  shallow = TINY.replace(stages=TINY.stages[:2])
  with pytest.raises(SpaceError, match=r"must reach strides 8, 16 and 32, got \[4, 8\]"):
    efficientdet.EfficientDet(shallow, 3, rngs=Rngs(None))
