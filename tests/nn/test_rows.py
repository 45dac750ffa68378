# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays cut into rows and stacked again."""

import jax
import jax.numpy as jnp
import numpy as np

from dnas.nn import rows


def test_rows_stacked_are_the_array():
  whole = jnp.arange(12.0).reshape(3, 4)
  with rows.remembered():
    parts = rows.cut(whole)
    np.testing.assert_array_equal(parts[1], whole[1])
    assert rows.stack(parts) is whole
    other = rows.cut(whole + 1)
    for wrong in (parts[::-1], parts[:2], (parts[0], parts[1], other[2]), (*parts, parts[0])):
      np.testing.assert_array_equal(rows.stack(wrong), jnp.stack(wrong))
  assert rows.stack(parts) is not whole  # Outside nothing is known.
  np.testing.assert_array_equal(rows.stack(parts), whole)


def test_a_row_that_was_replaced_counts():
  whole = jnp.ones((2, 3))
  with rows.remembered():
    first, second = rows.cut(whole)
    np.testing.assert_array_equal(rows.stack((first, 2 * second)), [[1, 1, 1], [2, 2, 2]])


def test_what_is_remembered_ends_with_its_block():
  whole = jnp.ones((2, 3))
  with rows.remembered():
    parts = rows.cut(whole)
    with rows.remembered():
      assert rows.stack(parts) is not whole
    assert rows.stack(parts) is whole


def test_arrays_of_the_host_stay_there():
  whole = np.arange(6.0).reshape(2, 3)
  parts = rows.cut(whole)
  assert all(isinstance(part, np.ndarray) for part in (*parts, rows.stack(parts)))
  np.testing.assert_array_equal(rows.stack(parts), whole)


def test_gradient():
  """d/dx sum of (n + 1) row_n ** 2 = 2 (n + 1) x; and of one row alone, 0 elsewhere."""
  x = jnp.arange(6.0).reshape(3, 2)
  every = lambda x: sum((n + 1) * (row**2).sum() for n, row in enumerate(rows.cut(x)))
  np.testing.assert_allclose(jax.grad(every)(x), 2 * jnp.array([[1.0], [2.0], [3.0]]) * x)
  one = lambda x: rows.cut(x)[1].sum()
  np.testing.assert_array_equal(jax.jit(jax.grad(one))(x), [[0, 0], [1, 1], [0, 0]])


def test_forward_mode_and_reverse_mode_over_it():
  """Second derivatives of sum of (n + 1) row_n ** 3, as second order takes them: 6 (n + 1) x v."""
  x, v = jnp.arange(6.0).reshape(3, 2), jnp.linspace(1, 2, 6).reshape(3, 2)
  cubes = lambda x: sum((n + 1) * (row**3).sum() for n, row in enumerate(rows.cut(x)))
  _, forward = jax.jvp(jax.grad(cubes), (x,), (v,))
  reverse = jax.grad(lambda x: jnp.vdot(jax.jvp(cubes, (x,), (v,))[1], 1.0))(x)
  wanted = 6 * jnp.array([[1.0], [2.0], [3.0]]) * x * v
  np.testing.assert_allclose(forward, wanted, rtol=1e-6)
  np.testing.assert_allclose(reverse, wanted, rtol=1e-6)
