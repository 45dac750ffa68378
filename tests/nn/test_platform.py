# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What is compiled as a unit of its own computes the same; portable programs know nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np

from dnas.nn import platform


def scaled(x, counts, factor):
  return {"y": x * factor, "n": counts + 1}


def test_isolated_is_the_function():
  x, counts = jnp.arange(6.0).reshape(2, 3), jnp.arange(3)
  call = lambda factor: platform.isolated(scaled, x, counts, factor)
  got = jax.jit(call)(jnp.array([2.0]))
  np.testing.assert_array_equal(got["y"], 2 * x)
  np.testing.assert_array_equal(got["n"], [1, 2, 3])
  total = lambda factor: platform.isolated(scaled, x, counts, factor)["y"].sum()
  np.testing.assert_allclose(jax.grad(total)(jnp.array([2.0])), [15.0])
  each = jax.vmap(call)(jnp.array([[2.0], [3.0]]))
  np.testing.assert_array_equal(each["y"], jnp.stack([2 * x, 3 * x]))


def test_nan_gives_nan():
  got = platform.isolated(scaled, jnp.ones(3), jnp.arange(3), jnp.array([jnp.nan]))
  assert np.isnan(got["y"]).all()


def test_portable_programs_have_no_conditional():
  call = lambda x: platform.isolated(lambda x: 2 * x, x)
  assert "cond" in str(jax.make_jaxpr(call)(jnp.ones(2)))
  with platform.portable():
    assert "cond" not in str(jax.make_jaxpr(lambda x: call(x))(jnp.ones(2)))


def test_the_branch_that_is_never_taken_knows_its_shapes(monkeypatch):
  """Even where JAX traces it first, or alone."""
  monkeypatch.setattr(platform.lax, "cond", lambda _, taken, never, *operands: never(*operands))
  x = jnp.ones(3)
  got, wanted = platform.isolated(scaled, x, jnp.arange(3), x), scaled(x, jnp.arange(3), x)
  assert jax.tree.map(jax.typeof, got) == jax.tree.map(jax.typeof, wanted)
