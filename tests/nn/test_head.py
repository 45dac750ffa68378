# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The head: order of the anchors, what levels share and what not, the prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas.nn.head import Head
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode

SIZES = ((4, 6), (2, 3))


def head(strides=(8, 16), **options):
  return Head(3, 2, strides, rngs=Rngs(0), **{"convs": 1, "reg_max": 5, **options})


def zeros():
  return [jnp.zeros((2, h, w, 3)) for h, w in SIZES]


def test_shapes_and_prior():
  got = head(convs=2)(zeros(), Mode())
  assert got.logits.shape == (2, 30, 2)
  assert got.distribution.shape == (2, 30, 24)
  np.testing.assert_allclose(jax.nn.sigmoid(got.logits), 0.01, rtol=1e-4)
  assert isinstance(got.points, np.ndarray), "constants for the assigners"
  np.testing.assert_array_equal(got.strides[:, 0], [8] * 24 + [16] * 6)


@pytest.mark.parametrize(("level", "row", "column"), [(0, 2, 4), (1, 0, 2)])
def test_predictions_stand_at_their_points(level, row, column):
  """A single bright cell changes predictions within one cell of its point only (3x3)."""
  module, x = head(), zeros()
  x[level] = x[level].at[0, row, column].set(3.0)
  base, got = module(zeros(), Mode()), module(x, Mode())
  stride = (8, 16)[level]
  bright = (np.array([column, row]) + 0.5) * stride
  distance = np.abs(got.points - bright).max(-1) / stride
  near = (distance <= 1) & (got.strides[:, 0] == stride)
  for a, b in ((got.logits, base.logits), (got.distribution, base.distribution)):
    changed = np.any(a[0] != b[0], -1)
    assert not np.any(changed & ~near)
    assert changed[(distance == 0) & near].all()


def test_levels_share_convolutions_but_not_norms():
  one, three = head((8,)), head((8, 16, 32))
  size = lambda module, kind: sum(x.size for x in jax.tree.leaves(nnx.state(module, kind)))
  norms = 2 * 2 * 3  # Two branches, scale and bias of three channels.
  assert size(three, nnx.Param) - size(one, nnx.Param) == 2 * norms
  module = head()
  keys = jax.random.split(jax.random.key(0))
  x = [5 + jax.random.normal(keys[0], (2, 4, 6, 3)), jax.random.normal(keys[1], (2, 2, 3, 3))]
  module(x, Mode(train=True))
  first, second = (level[0].mean[...] for level in module.classes.norms)
  assert not np.allclose(first, second, atol=0.05)


def test_half_precision_features_give_float32_predictions():
  got = head()([x.astype(jnp.bfloat16) for x in zeros()], Mode())
  assert got.logits.dtype == got.distribution.dtype == jnp.float32


@pytest.mark.parametrize("option", [{"reg_max": 0}, {"convs": -1}])
def test_bad_input(option):
  (name, value), *_ = option.items()
  with pytest.raises(ValueError, match=f"{name}={value}"):
    head(**option)
