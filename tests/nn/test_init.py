# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Initial weights: the seed decides, the bound holds, None gives zeros."""

import jax
import numpy as np
import pytest

from dnas.nn.init import Rngs


def test_the_seed_decides():
  shape = (3, 4)
  a, b, c = (Rngs(seed) for seed in (5, 5, 6))
  first = a.uniform(shape, 1.0)
  np.testing.assert_array_equal(first, b.uniform(shape, 1.0))
  assert not np.array_equal(first, c.uniform(shape, 1.0))
  assert not np.array_equal(first, a.uniform(shape, 1.0)), "the stream goes on"


def test_keys_are_seeds():
  key = jax.random.key(7)
  np.testing.assert_array_equal(Rngs(key).uniform((9,), 1.0), Rngs(key).uniform((9,), 1.0))
  raw = Rngs(jax.random.key_data(key)).uniform((9,), 1.0)
  np.testing.assert_array_equal(Rngs(key).uniform((9,), 1.0), raw)
  other = Rngs(jax.random.key(8)).uniform((9,), 1.0)
  assert not np.array_equal(Rngs(key).uniform((9,), 1.0), other)


def test_pinned():
  """A seed's weights stay the same from release to release; a change has to show here."""
  pinned = [-0.72875416, -0.97186602, 0.87546480]
  np.testing.assert_allclose(Rngs(0).uniform((3,), 1.0), pinned, rtol=1e-6)


def test_uniform():
  values = Rngs(0).uniform((20_000,), 0.3)
  assert values.dtype == np.float32
  assert abs(values).max() <= 0.3
  assert abs(values.mean()) < 0.006
  assert values.std() == pytest.approx(0.3 / 3**0.5, rel=0.02)


def test_zeros_for_counting():
  assert not Rngs(None).uniform((2, 2), 1.0).any()


def test_flax_layers_get_keys():
  rngs = Rngs(3)
  assert jax.dtypes.issubdtype(rngs.params().dtype, jax.dtypes.prng_key)
  assert rngs() != rngs.params()
