# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The contract suite of the hypergradients.

On a quadratic every one of them has a closed form, written here with numpy alone. On a two-edge
network they are compared with central differences of what they claim to differentiate.
"""

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.strategy import hypergradient as hg
from dnas.strategy.inner_step import Sgd

N, M = 4, 3
SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.03}
MEMBERS = {
  "first_order": hg.first_order(),
  "unrolled": hg.unrolled(),
  "unrolled_3": hg.unrolled(steps=3),
  "finite_difference": hg.finite_difference(),
  "implicit_neumann": hg.implicit(hg.neumann(steps=4)),
  "implicit_cg": hg.implicit(hg.cg(steps=N + 3, damping=0.05)),
}
each = pytest.mark.parametrize("name", MEMBERS)


@pytest.fixture(autouse=True)
def x64():
  with jax.enable_x64(True):
    yield


@functools.cache
def quadratic():
  """inner = w'Aw/2 + w'Ba + b'w;  outer = w'Cw/2 + w'Da + c'w + a'Ea/2."""
  rng = np.random.default_rng(0)
  q = {k: rng.normal(size=s) for k, s in {"B": (N, M), "D": (N, M), "b": N, "c": N}.items()}
  for k, n in {"A": N, "C": N, "E": M}.items():
    root = rng.normal(size=(n, n))
    q[k] = root @ root.T / n + 0.5 * np.eye(n)
  return q | {"w": rng.normal(size=N), "a": rng.normal(size=M), "m": rng.normal(size=N)}


def inner_vector(w, a):
  q = quadratic()
  return w @ q["A"] @ w / 2 + w @ q["B"] @ a + q["b"] @ w


def outer_vector(w, a):
  q = quadratic()
  return w @ q["C"] @ w / 2 + w @ q["D"] @ a + q["c"] @ w + a @ q["E"] @ a / 2


def split_weights(w):
  return {"x": [w[:1].reshape(1, 1), w[1:3]], "y": w[3]}


def split_alpha(a):
  return (a[0], {"z": a[1:]})


def join(tree):
  return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def closed_form(name, decay=SGD["weight_decay"], momentum=SGD["momentum"], lr=SGD["lr"]):
  q = quadratic()
  w, a, m = q["w"], q["a"], q["m"]
  slope = lambda w: q["A"] @ w + q["B"] @ a + q["b"] + decay * w
  outer_w = lambda w: q["C"] @ w + q["D"] @ a + q["c"]
  outer_a = lambda w: q["D"].T @ w + q["E"] @ a
  value = lambda w: outer_vector(w, a)
  hessian = q["A"] + decay * np.eye(N)
  if name == "first_order":
    return value(w), outer_a(w)
  if name.startswith(("unrolled", "finite")):
    # Forward sensitivities, which the adjoint recursion must equal.
    dw, dm = np.zeros((N, M)), np.zeros((N, M))
    for _ in range(3 if name == "unrolled_3" else 1):
      m, dm = momentum * m + slope(w), momentum * dm + hessian @ dw + q["B"]
      w, dw = w - lr * m, dw - lr * dm
    return value(w), outer_a(w) + dw.T @ outer_w(w)
  if name == "implicit_neumann":
    inverse = lr * sum(np.linalg.matrix_power(np.eye(N) - lr * hessian, k) for k in range(5))
  else:
    inverse = np.linalg.inv(hessian + 0.05 * np.eye(N))
  return value(w), outer_a(w) - q["B"].T @ inverse @ outer_w(w)


def sgd(trace=True):
  m = jnp.asarray(quadratic()["m"])
  return Sgd(SGD["lr"], SGD["momentum"], SGD["weight_decay"], m if trace else None)


def test_every_hypergradient_has_joined():
  factories = set(naming.functions(hg)) - {"neumann", "cg"}
  assert all(any(name.startswith(f) for name in MEMBERS) for f in factories)


@each
def test_closed_form_of_a_quadratic(name):
  q = quadratic()
  w, a = jnp.asarray(q["w"]), jnp.asarray(q["a"])
  value, gradient = MEMBERS[name](outer_vector, inner_vector, w, a, sgd())
  expected_value, expected = closed_form(name)
  assert gradient.dtype == jnp.float64
  np.testing.assert_allclose(value, expected_value, rtol=1e-8)
  np.testing.assert_allclose(gradient, expected, rtol=1e-8)


@each
def test_any_pytrees(name):
  q = quadratic()
  w, a = jnp.asarray(q["w"]), jnp.asarray(q["a"])
  value, gradient = jax.jit(
    lambda w, a, s: MEMBERS[name](
      lambda p, c: outer_vector(join(p), join(c)),
      lambda p, c: inner_vector(join(p), join(c)),
      w,
      a,
      s,
    )
  )(split_weights(w), split_alpha(a), sgd()._replace(trace=split_weights(sgd().trace)))
  assert jax.tree.structure(gradient) == jax.tree.structure(split_alpha(a))
  expected_value, expected = closed_form(name)
  np.testing.assert_allclose(value, expected_value, rtol=1e-8)
  np.testing.assert_allclose(join(gradient), expected, rtol=1e-8)


def test_explicit_settings_win_over_the_optimizer():
  q = quadratic()
  w, a = jnp.asarray(q["w"]), jnp.asarray(q["a"])
  for make in (hg.unrolled, hg.finite_difference):
    hypergradient = make(lr=0.02, momentum=0.5, weight_decay=0.7)
    _, gradient = hypergradient(outer_vector, inner_vector, w, a, sgd())
    expected = closed_form("unrolled", lr=0.02, momentum=0.5, decay=0.7)[1]
    np.testing.assert_allclose(gradient, expected, rtol=1e-8)
  hypergradient = hg.implicit(hg.neumann(4, lr=0.02), weight_decay=0.7)
  _, gradient = hypergradient(outer_vector, inner_vector, w, a, sgd())
  expected = closed_form("implicit_neumann", lr=0.02, decay=0.7)[1]
  np.testing.assert_allclose(gradient, expected, rtol=1e-8)


def test_without_an_optimizer_it_is_plain_gradient_descent():
  q = quadratic()
  w, a = jnp.asarray(q["w"]), jnp.asarray(q["a"])
  _, gradient = hg.unrolled(lr=0.1)(outer_vector, inner_vector, w, a)
  w_1 = q["w"] - 0.1 * (q["A"] @ q["w"] + q["B"] @ q["a"] + q["b"])
  by_hand = q["D"].T @ w_1 + q["E"] @ q["a"]
  by_hand -= 0.1 * q["B"].T @ (q["C"] @ w_1 + q["D"] @ q["a"] + q["c"])
  np.testing.assert_allclose(gradient, by_hand, rtol=1e-8)


def test_first_order_lacks_exactly_the_response_term():
  q = quadratic()
  w, a = jnp.asarray(q["w"]), jnp.asarray(q["a"])
  _, full = hg.implicit(hg.cg(steps=N + 3))(outer_vector, inner_vector, w, a)
  _, first = hg.first_order()(outer_vector, inner_vector, w, a)
  response = -np.linalg.solve(q["A"], q["B"])  # dw*/da of the inner minimum
  missing = response.T @ (q["C"] @ q["w"] + q["D"] @ q["a"] + q["c"])
  assert np.abs(missing).max() > 0.1
  np.testing.assert_allclose(full - first, missing, rtol=1e-8)


# A network of two edges, each a mixture of operations with weights of their own.

X = np.random.default_rng(1).normal(size=(8, 3))
Y = np.random.default_rng(2).normal(size=(8, 2))


def network(params, alpha, x):
  h = x
  for weights, logits in zip(params, alpha, strict=True):
    p = jax.nn.softmax(logits)
    h = p[0] * jnp.tanh(h @ weights["a"]) + p[1] * jax.nn.softplus(h @ weights["b"])
  return h


def network_inner(params, alpha):
  return jnp.mean((network(params, alpha, X[:4]) - Y[:4]) ** 2)


def network_outer(params, alpha):
  return jnp.mean((network(params, alpha, X[4:]) - Y[4:]) ** 2)


def network_state():
  rng = np.random.default_rng(3)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[0]))
  params = [{"a": draw(3, 3), "b": draw(3, 3)}, {"a": draw(3, 2), "b": draw(3, 2)}]
  trace = jax.tree.map(lambda w: 0.1 * jnp.sin(w), params)
  return params, (draw(2), draw(2)), Sgd(0.3, 0.9, 0.01, trace)


def after_sgd(params, alpha, optimizer, steps):
  trace = optimizer.trace
  for _ in range(steps):
    gradient = jax.grad(network_inner)(params, alpha)
    trace = jax.tree.map(lambda g, w, m: 0.9 * m + g + 0.01 * w, gradient, params, trace)
    params = jax.tree.map(lambda w, m: w - 0.3 * m, params, trace)
  return params


def newton(params, alpha, steps):
  """`steps` Newton steps towards the minimum of inner + 0.2 |w|^2 / 2, and the slope left there."""
  flat, unravel = jax.flatten_util.ravel_pytree(params)
  slope = jax.grad(lambda v: network_inner(unravel(v), alpha) + 0.2 / 2 * v @ v)
  move = lambda _, v: v - jnp.linalg.solve(jax.jacfwd(slope)(v), slope(v))
  flat = jax.lax.fori_loop(0, steps, move, flat)
  return unravel(flat), jnp.abs(slope(flat)).max()


def central_differences(f, alpha, step=1e-5):
  flat, unravel = jax.flatten_util.ravel_pytree(alpha)
  at = jax.jit(lambda v: f(unravel(v)))
  return np.array(
    [(at(flat + step * e) - at(flat - step * e)) / (2 * step) for e in np.eye(flat.size)]
  )


@pytest.mark.parametrize("name", ["first_order", "unrolled", "unrolled_3", "finite_difference"])
def test_central_differences_on_a_two_edge_network(name):
  params, alpha, optimizer = network_state()
  steps = {"first_order": 0, "unrolled_3": 3}.get(name, 1)
  after = lambda a: network_outer(after_sgd(params, a, optimizer, steps), a)
  hypergradient = functools.partial(MEMBERS[name], network_outer, network_inner)
  value, gradient = jax.jit(hypergradient)(params, alpha, optimizer)
  np.testing.assert_allclose(value, after(alpha), rtol=1e-12)
  tolerance = 1e-3 if name == "finite_difference" else 1e-7
  expected = central_differences(after, alpha)
  np.testing.assert_allclose(join(gradient), expected, rtol=tolerance, atol=tolerance / 100)


@pytest.mark.parametrize(
  "solve", [hg.cg(steps=40), hg.neumann(steps=300, lr=0.5)], ids=["cg", "neumann"]
)
def test_implicit_differentiates_the_minimum(solve, monkeypatch):
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # loops: so many rounds compile slowly
  params, alpha, _ = network_state()
  slope = jax.jit(jax.grad(network_inner))
  for _ in range(300):  # into the basin of a minimum, where Newton converges
    params = jax.tree.map(lambda w, g: 0.9 * w - 0.5 * g, params, slope(params, alpha))
  params, slope = jax.jit(newton, static_argnums=2)(params, alpha, 10)
  assert slope < 1e-12
  hypergradient = functools.partial(
    hg.implicit(solve, weight_decay=0.2), network_outer, network_inner
  )
  _, gradient = jax.jit(hypergradient)(params, alpha)
  expected = central_differences(lambda a: network_outer(newton(params, a, 3)[0], a), alpha)
  np.testing.assert_allclose(join(gradient), expected, rtol=1e-5, atol=1e-8)


def test_finite_difference_approaches_the_exact_step():
  params, alpha, optimizer = network_state()
  exact = join(hg.unrolled()(network_outer, network_inner, params, alpha, optimizer)[1])
  errors = []
  for radius in (0.1, 0.01):
    rough = hg.finite_difference(radius=radius)(
      network_outer, network_inner, params, alpha, optimizer
    )
    errors.append(np.abs(join(rough[1]) - exact).max())
  assert errors[1] < errors[0] / 50  # of second order in the radius
  assert errors[0] > 0


def test_finite_difference_where_the_outer_loss_ignores_the_weights():
  # A hard sample that picks `none` gives v = 0, and radius / ||v|| would be 0/0.
  params, alpha, optimizer = network_state()
  outer = lambda _, alpha: jnp.sum(alpha[0] ** 2)
  _, gradient = hg.finite_difference()(outer, network_inner, params, alpha, optimizer)
  np.testing.assert_array_equal(gradient[0], 2 * alpha[0])
  np.testing.assert_array_equal(gradient[1], np.zeros(2))


@each
def test_works_through_a_custom_vjp(name):
  # Layers with their own backward pass cannot be differentiated forward, only forward over reverse.
  @jax.custom_vjp
  def square(x):
    return x * x

  square.defvjp(lambda x: (x * x, x), lambda x, g: (2 * x * g,))
  inner = lambda w, a: jnp.sum(square(w) * a[0]) / 2 + jnp.sum(w * a[1])
  plain = lambda w, a: jnp.sum(w * w * a[0]) / 2 + jnp.sum(w * a[1])
  w, a = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.3])
  outer = lambda w, a: jnp.sum(square(w - 3))
  optimizer = Sgd(0.1, 0.9, 0.01)
  got = MEMBERS[name](outer, inner, w, a, optimizer)
  expected = MEMBERS[name](lambda w, a: jnp.sum((w - 3) ** 2), plain, w, a, optimizer)
  np.testing.assert_allclose(got[1], expected[1], rtol=1e-10)


def test_cg_stops_at_negative_curvature():
  # H = diag(1, -1): the first direction v has curvature 0.
  hessian = jnp.array([1.0, -1.0])
  x = hg.cg(steps=5)(lambda u: hessian * u, jnp.ones(2), None)
  np.testing.assert_array_equal(x, np.zeros(2))
  x = hg.cg(steps=5, damping=2.0)(lambda u: hessian * u, jnp.ones(2), None)
  np.testing.assert_allclose(x, [1 / 3, 1], rtol=1e-10)


def test_cg_goes_on_safely_after_convergence():
  with jax.enable_x64(False):
    x = hg.cg(steps=50)(lambda u: 2 * u, jnp.ones(3), None)
  np.testing.assert_allclose(x, 0.5 * np.ones(3), rtol=1e-6)


@pytest.mark.parametrize("name", ["implicit_neumann", "implicit_cg"])
def test_loops_of_accelerators_equal_straight_code(name, monkeypatch):
  q = quadratic()
  args = outer_vector, inner_vector, jnp.asarray(q["w"]), jnp.asarray(q["a"]), sgd()
  straight = MEMBERS[name](*args)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  looped = MEMBERS[name](*args)
  program = jax.make_jaxpr(lambda w, a: MEMBERS[name](*args[:2], w, a, sgd()))(*args[2:4])
  assert "scan" in str(program)
  np.testing.assert_allclose(looped[1], straight[1], rtol=1e-12)


def test_types_are_kept():
  w, a = jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float32)
  outer = lambda w, a: jnp.sum(w.astype(jnp.float32) * a)
  inner = lambda w, a: jnp.sum((w.astype(jnp.float32) - a) ** 2)
  for name in MEMBERS:
    optimizer = Sgd(jnp.float32(0.1), 0.9, jnp.float32(0.01))
    value, gradient = MEMBERS[name](outer, inner, w, a, optimizer)
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.float32)


@pytest.mark.parametrize("name", ["unrolled", "finite_difference", "implicit_neumann"])
def test_a_missing_learning_rate_is_an_error(name):
  q = quadratic()
  with pytest.raises(DnasError, match="lr is missing"):
    MEMBERS[name](outer_vector, inner_vector, jnp.asarray(q["w"]), jnp.asarray(q["a"]))


@pytest.mark.parametrize("name", ["unrolled", "finite_difference"])
def test_only_sgd_can_be_unrolled(name):
  q = quadratic()
  with pytest.raises(DnasError, match=r"trained by adamw. Valid: .*first_order"):
    MEMBERS[name](outer_vector, inner_vector, jnp.asarray(q["w"]), jnp.asarray(q["a"]), "adamw")


def test_implicit_cg_works_with_any_optimizer():
  q = quadratic()
  args = outer_vector, inner_vector, jnp.asarray(q["w"]), jnp.asarray(q["a"])
  np.testing.assert_array_equal(
    MEMBERS["implicit_cg"](*args, "adamw")[1], MEMBERS["implicit_cg"](*args)[1]
  )


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: hg.unrolled(steps=0), "unrolled: steps must be a whole number, 1 or more, got 0"),
    (lambda: hg.unrolled(steps=1.5), "steps must be a whole number"),
    (lambda: hg.finite_difference(radius=0), "radius must be above 0"),
    (lambda: hg.finite_difference(radius="1"), r"radius must be a number \(above 0\), got '1'"),
    (lambda: hg.neumann(steps=-1), "neumann: steps must be a whole number, 0 or more"),
    (lambda: hg.cg(steps=0), "cg: steps"),
    (lambda: hg.cg(damping=-1.0), "cg: damping must be 0 or more"),
    (lambda: hg.cg(damping=None), r"cg: damping must be a number \(0 or more\), got None"),
  ],
)
def test_bad_settings_are_named(make, message):
  with pytest.raises(DnasError, match=message):
    make()
