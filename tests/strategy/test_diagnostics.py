# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import diagnostics


def symmetric(eigenvalues, seed=0):
  basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
  return (basis * eigenvalues) @ basis.T


def quadratic(alpha, hessian):
  v = jnp.concatenate(jax.tree.leaves(alpha))
  return v @ hessian @ v / 2 + jnp.sum(v)


ALPHA = {"c": tuple(jnp.linspace(-1, 1, 8) for _ in range(5))}


def test_spectrum_is_exact_once_the_space_is_exhausted():
  eigenvalues = np.linspace(-1, 3, 40)
  spectrum = diagnostics.hessian_spectrum(quadratic, steps=60)
  found = spectrum(ALPHA, jnp.asarray(symmetric(eigenvalues), jnp.float32))
  np.testing.assert_allclose(found, (-1, 3), rtol=1e-4)
  assert found.dominant == found.highest


def test_twenty_products_find_an_eigenvalue_that_stands_apart():
  for top, dominant in ((9.0, 9.0), (-9.0, -9.0)):
    eigenvalues = np.append(np.random.default_rng(1).uniform(-0.5, 0.5, 39), top)
    spectrum = diagnostics.hessian_spectrum(quadratic, steps=20)
    found = spectrum(ALPHA, jnp.asarray(symmetric(eigenvalues), jnp.float32))
    np.testing.assert_allclose(found.dominant, dominant, rtol=1e-4)


def test_equals_the_dense_hessian_through_a_custom_vjp_and_compiles_once():
  traced = []

  @jax.custom_vjp
  def cube(x):
    return x**3

  cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x**2 * g,))

  def loss(alpha, scale):
    traced.append(1)
    p = [jax.nn.softmax(logits) for logits in alpha["c"]]
    return scale * sum(jnp.sum(cube(a * b)) for a, b in itertools.pairwise(p)) * 100

  spectrum = diagnostics.hessian_spectrum(loss, steps=40)
  flat, unravel = jax.flatten_util.ravel_pytree(ALPHA)

  def plain(v):
    p = [jax.nn.softmax(logits) for logits in unravel(v)["c"]]
    return 100 * sum(jnp.sum((a * b) ** 3) for a, b in itertools.pairwise(p))

  dense = np.linalg.eigvalsh(np.asarray(jax.jit(jax.hessian(plain))(flat), np.float64))
  for scale in (1.0, 2.0):
    found = spectrum(ALPHA, jnp.float32(scale))
    np.testing.assert_allclose(found, (scale * dense[0], scale * dense[-1]), rtol=1e-3, atol=1e-5)
  assert len(traced) == 1


def test_a_flat_loss_has_a_spectrum_of_zeros():
  spectrum = diagnostics.hessian_spectrum(lambda alpha: jnp.sum(alpha["c"][0]))
  assert spectrum(ALPHA) == (0, 0)


def test_a_diverged_loss_is_an_error():
  spectrum = diagnostics.hessian_spectrum(lambda alpha: jnp.nan * jnp.sum(alpha["c"][0] ** 2))
  with pytest.raises(DnasError, match="not finite"):
    spectrum(ALPHA)
  with pytest.raises(DnasError, match="steps must be"):
    diagnostics.hessian_spectrum(quadratic, steps=0)


def test_stop_by_eigenvalue_by_hand():
  flat = [0.2] * 30
  assert diagnostics.stop_by_eigenvalue(flat) is None
  # It doubles from index 20 on. The means of 5 are 0.2, 0.24, 0.28 ...: 0.2 / 0.28 < 0.75 at 21.
  assert diagnostics.stop_by_eigenvalue(flat[:20] + [0.4] * 10) == 21 - 5
  # One spike of 1.5 times is no reason: 0.2 / 0.22.
  assert diagnostics.stop_by_eigenvalue(flat[:20] + [0.3] + flat[:9]) is None
  # Too short a history says nothing.
  assert diagnostics.stop_by_eigenvalue([0.1, 0.1, 0.1, 0.1, 9.0, 9.0, 9.0, 9.0, 9.0]) is None
  assert diagnostics.stop_by_eigenvalue([0.1, 0.1, 9.0, 9.0], window=1) == 1
  falling = np.linspace(5, 0.1, 40)
  assert diagnostics.stop_by_eigenvalue(falling) is None


@pytest.mark.parametrize(
  "settings", [{"window": 0}, {"window": 2.5}, {"ratio": 1.0}, {"ratio": 0.0}, {"ratio": "1"}]
)
def test_bad_stop_settings_are_named(settings):
  with pytest.raises(DnasError, match=f"{next(iter(settings))} must be"):
    diagnostics.stop_by_eigenvalue([1.0], **settings)


def test_edge_entropies():
  alpha = {"c": (jnp.zeros(4), jnp.array([0.0, -jnp.inf]), jnp.array([0.0, np.log(3.0)]))}
  expected = [np.log(4), 0, -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))]
  np.testing.assert_allclose(diagnostics.edge_entropies(alpha)["c"], expected, rtol=1e-6, atol=1e-9)


def genotype(*ops):
  return SearchSpace({"c": Cell(1, tuple(Edge(0, 1, (op,)) for op in ops), (1,))})


def test_skip_share():
  assert diagnostics.skip_share(genotype("skip_connect", "conv", "conv", "skip_connect")) == 0.5
  assert diagnostics.skip_share(genotype("conv"), skip="conv") == 1
  with pytest.raises(DnasError, match=r"cells\.c\.edges\[0\]: is not decided"):
    diagnostics.skip_share(SearchSpace({"c": Cell(1, (Edge(0, 1, ("a", "b")),), (1,))}))


def test_agreement():
  a, b, c = genotype("x", "x", "y"), genotype("x", "y", "y"), genotype("z", "z", "z")
  assert diagnostics.agreement([a]) == diagnostics.agreement([a, a, a]) == 1
  assert diagnostics.agreement([a, c]) == 0
  assert diagnostics.agreement([a, b]) == pytest.approx(2 / 4)
  assert diagnostics.agreement([a, a, c]) == pytest.approx(1 / 3)
  with pytest.raises(DnasError, match="at least one"):
    diagnostics.agreement([])
