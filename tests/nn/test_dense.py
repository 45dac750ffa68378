# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Dense convolution: both forms of the gradient against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dnas.nn import dense

SHAPES = [
  # size, kernel, stride, dilation, padding
  ((7, 8), (3, 3), (1, 1), 1, (1, 1)),
  ((7, 8), (3, 3), (2, 2), 1, (1, 1)),
  ((8, 8), (3, 3), (2, 2), 1, (0, 0)),
  ((9, 6), (5, 5), (1, 1), 2, (4, 4)),
  ((9, 6), (3, 3), (2, 2), 2, (2, 2)),
  ((6, 9), (1, 7), (1, 2), 1, (0, 3)),
  ((6, 9), (1, 1), (2, 2), 1, (1, 1)),
]


def stock(x, kernel, stride, dilation, padding):
  return lax.conv_general_dilated(
    x,
    kernel,
    stride,
    [(p, p) for p in padding],
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("form", [dense.by_taps, dense.stock, dense.convolve])
def test_gradients_are_those_of_jax(form, case):
  size, window, *how = case
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(*window, 3, 4)), jnp.float32)
  value = lambda f: lambda x, kernel: jnp.sin(f(x, kernel, *how)).sum()
  own = jax.value_and_grad(value(form), (0, 1))(x, kernel)
  theirs = jax.value_and_grad(value(stock), (0, 1))(x, kernel)
  for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(theirs), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [dense.by_taps, dense.stock])
def test_second_derivatives_are_those_of_jax(form):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(1, 5, 5, 2)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 2)), jnp.float32)
  how = (2, 2), 1, (1, 1)

  def twice(f):
    size = lambda k: (jax.grad(lambda x: jnp.sin(f(x, k, *how)).sum())(x) ** 2).sum()
    return jax.grad(size)(kernel)

  np.testing.assert_allclose(twice(form), twice(stock), rtol=1e-4, atol=1e-5)


def equations(jaxpr):
  """All equations of a program, those of the functions that it calls too."""
  for eqn in jaxpr.eqns:
    yield eqn
    for inner in eqn.params.values():
      if hasattr(inner, "eqns"):
        yield from equations(inner)


@pytest.mark.parametrize("form", [dense.by_taps, dense.stock])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_in_the_layout_that_is_fast_in_branches(form, stride):
  """On CPUs XLA has naive loops for any other (see the module)."""
  if jax.default_backend() != "cpu":
    pytest.skip("other devices get JAX's own gradients")
  x, kernel = jnp.ones((1, 6, 6, 2)), jnp.ones((3, 3, 2, 2))
  loss = lambda x, kernel: jnp.sin(form(x, kernel, (stride, stride), 1, (1, 1))).sum()
  gradient = jax.grad(loss, (0, 1))
  product = lambda *args: jax.jvp(gradient, args, args)
  layout = lax.conv_dimension_numbers(x.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))
  for function in (gradient, product):
    jaxpr = jax.make_jaxpr(function)(x, kernel)
    found = [e for e in equations(jaxpr) if e.primitive.name == "conv_general_dilated"]
    assert len(found) >= 2
    for eqn in found:
      assert eqn.params["dimension_numbers"] == layout
      assert eqn.params["lhs_dilation"] == (1, 1)
      assert eqn.params["batch_group_count"] == 1
