# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The neck: what flows where, sizes that are not powers of two, fusion by any cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.neck import SUM, Neck, enlarge
from dnas.space import shapes
from dnas.space.space import Cell, Edge, SpaceError

WIDTHS, STRIDES = (3, 5, 6), (4, 8, 16)
SIZES = ((15, 20), (8, 10), (4, 5))  # As of an image of 60 x 80.


def features(seed=0, batch=2):
  keys = jax.random.split(jax.random.key(seed), 3)
  return [
    jax.random.normal(k, (batch, h, w, c)) for k, (h, w), c in zip(keys, SIZES, WIDTHS, strict=True)
  ]


def neck(cell=SUM, path="fpn", channels=4):
  return Neck(cell, WIDTHS, STRIDES, channels, path=path, rngs=Rngs(0))


def test_enlarge():
  x = jnp.arange(6.0).reshape(1, 2, 3, 1)
  want = np.kron(np.arange(6.0).reshape(2, 3), np.ones((2, 2)))
  np.testing.assert_array_equal(enlarge(x, 4, 6)[0, ..., 0], want)
  np.testing.assert_array_equal(enlarge(x, 3, 5)[0, ..., 0], want[:3, :5])


@pytest.mark.parametrize("path", ["fpn", "pan"])
def test_who_informs_whom(path):
  """Row: output level, column: input level that its gradient reaches."""
  module = neck(path=path)

  @jax.jit
  def influence(inputs):
    run = lambda x: module(x, None, Mode())
    return [jax.grad(lambda x, i=i: jnp.sum(run(x)[i] ** 2))(inputs) for i in range(3)]

  got = np.array([[bool(jnp.any(g)) for g in row] for row in influence(features())])
  down = np.triu(np.ones((3, 3), bool))
  np.testing.assert_array_equal(got, down if path == "fpn" else np.ones((3, 3), bool))
  outputs = module(features(), None, Mode())
  assert [y.shape for y in outputs] == [(2, h, w, 4) for h, w in SIZES]


def test_sum_by_hand():
  """Without a cell of its own a space gets p_i = prepare(c_i) + up(p_(i+1)), brought to width."""
  module = neck()
  x = features()
  p3 = module.lateral(x[2], Mode())
  own, other = module.top_down[1].prepare
  p2 = own(x[1], Mode()) + other(enlarge(p3, 8, 10), Mode())
  got = module(x, None, Mode())
  np.testing.assert_allclose(got[2], p3, atol=1e-6)
  np.testing.assert_allclose(got[1], p2, atol=1e-6)


def test_a_searched_fusion_takes_mixing_weights():
  cell = shapes.dense(("skip_connect", "channel_attention"), nodes=2, inputs=2, output=(3,))
  module = neck(cell, "pan")
  one_hot = [jnp.array([0.0, 1.0])] * 5
  other = [jnp.array([1.0, 0.0])] * 5
  a, b = (module(features(), w, Mode()) for w in (one_hot, other))
  assert [y.shape for y in a] == [(2, h, w, 4) for h, w in SIZES]
  assert not any(np.allclose(x, y) for x, y in zip(a[:2], b[:2]))
  with pytest.raises(ValueError, match="need mixing weights"):
    module(features(), None, Mode())


def test_bad_input():
  one_input = Cell(1, (Edge(0, 1, ("skip_connect",)),), (1,))
  with pytest.raises(SpaceError, match="has 2 inputs and 1 output node, got 1 and 1"):
    neck(one_input)
  with pytest.raises(SpaceError, match=r"strides \(4, 16\): each must be twice"):
    Neck(SUM, WIDTHS[:2], (4, 16), 4, path="fpn", rngs=Rngs(0))
  with pytest.raises(SpaceError, match="unknown path 'pann'; did you mean 'pan'"):
    neck(path="pann")
