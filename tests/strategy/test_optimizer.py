# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Each optimiser against its formula in plain NumPy, step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.strategy import optimizer as opt
from dnas.strategy.inner_step import Sgd

GRADIENTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * 4
START = np.array([1.0, -2.0, 0.5], np.float32)


def run(optimizer):
  update = jax.jit(optimizer.update)
  params = {"w": jnp.asarray(START[None])}  # a kernel: adamw does not decay vectors
  state, path, said = optimizer.init(params), [], []
  for gradient in GRADIENTS:
    said.append(optimizer.describe(state))
    updates, state = update({"w": jnp.asarray(gradient[None])}, state, params)
    params = {"w": params["w"] + updates["w"]}
    path.append(np.asarray(params["w"][0]))
  return np.array(path), said


def cosine(t, steps, lr, lr_end):
  return lr_end + (lr - lr_end) * (1 + np.cos(np.pi * min(t, steps) / steps)) / 2


def test_every_optimiser_is_tested_here():
  assert set(naming.functions(opt)) == {"sgd", "adamw", "adam", "exponentiated_gradient"}


@pytest.mark.parametrize("clip", [None, 3.0])
def test_sgd(clip):
  optimizer = opt.sgd(4, lr=0.1, lr_end=0.02, momentum=0.8, weight_decay=0.3, clip=clip)
  path, said = run(optimizer)
  w, m, expected = START.astype(np.float64), np.zeros(3), []
  for t, g in enumerate(GRADIENTS.astype(np.float64)):
    lr = cosine(t, 4, 0.1, 0.02)
    assert isinstance(said[t], Sgd)
    assert (said[t].momentum, said[t].weight_decay) == (0.8, 0.3)
    np.testing.assert_allclose(said[t].lr, lr, rtol=1e-5)
    np.testing.assert_allclose(said[t].trace["w"][0], m, rtol=1e-4, atol=1e-6)
    g = g if clip is None else g * min(1, clip / np.linalg.norm(g))
    m = 0.8 * m + g + 0.3 * w
    w = w - lr * m
    expected.append(w)
  np.testing.assert_allclose(path, expected, rtol=1e-4)


def adam_steps(rate, decay, decoupled, b1, b2):
  w, m, v, path = START.astype(np.float64), 0, 0, []
  for t, g in enumerate(GRADIENTS.astype(np.float64)):
    g = g if decoupled else g + decay * w
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    step = m / (1 - b1 ** (t + 1)) / (np.sqrt(v / (1 - b2 ** (t + 1))) + 1e-8)
    w = w - rate(t) * (step + (decay * w if decoupled else 0))
    path.append(w)
  return path


def test_adam():
  path, said = run(opt.adam(lr=0.1, b1=0.5, b2=0.99, weight_decay=0.3))
  assert set(said) == {"adam"}
  np.testing.assert_allclose(path, adam_steps(lambda t: 0.1, 0.3, False, 0.5, 0.99), rtol=1e-4)


def test_adamw_does_not_decay_vectors():
  optimizer = opt.adamw(5, weight_decay=0.3)
  params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
  updates, _ = optimizer.update(
    jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params
  )
  assert np.all(np.asarray(updates["kernel"]) < 0)
  np.testing.assert_array_equal(updates["scale"], np.zeros(2))


def test_adamw():
  path, said = run(opt.adamw(5, lr=0.1, lr_end=0.01, warmup_steps=2, weight_decay=0.3, clip=None))
  assert set(said) == {"adamw"}
  rate = lambda t: [0.05, 0.1][t] if t < 2 else cosine(t - 1, 4, 0.1, 0.01)
  np.testing.assert_allclose(path, adam_steps(rate, 0.3, True, 0.9, 0.999), rtol=1e-4)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: opt.sgd(0), "sgd: steps must be a whole number, 1 or more, got 0"),
    (lambda: opt.sgd(5, lr="0.1"), r"sgd: lr must be a number \(above 0\), got '0.1'"),
    (lambda: opt.sgd(5, clip="5"), r"sgd: clip must be a number \(above 0\), got '5'"),
    (lambda: opt.sgd(5, lr=-1.0), "sgd: lr must be above 0"),
    (lambda: opt.sgd(5, momentum=1.0), "momentum must be in"),
    (lambda: opt.sgd(5, clip=0.0), "clip must be above 0"),
    (lambda: opt.sgd(5, weight_decay=float("nan")), "weight_decay must be 0 or more"),
    (lambda: opt.adamw(5, warmup_steps=5), "adamw: warmup_steps must be below steps = 5, got 5"),
    (lambda: opt.adamw(5, warmup_steps=2.5), "adamw: warmup_steps must be a whole number"),
    (lambda: opt.adam(lr=0.0), "adam: lr must be above 0"),
    (lambda: opt.adam(b1=1.0), r"adam: b1 must be in \[0, 1\), got 1.0"),
    (lambda: opt.adamw(5, b2=-0.1), r"adamw: b2 must be in \[0, 1\), got -0.1"),
  ],
)
def test_bad_settings_are_named(make, message):
  with pytest.raises(DnasError, match=message):
    make()


def test_exponentiated_gradient_is_mirror_descent_on_the_simplex():
  # theta <- theta exp(-lr g) / sum, on losses of theta, in NumPy; the optimiser sees logits only.
  optimizer = opt.exponentiated_gradient(lr=0.5)
  target = np.array([0.7, 0.1, 0.2])
  loss = lambda a: jnp.sum((jax.nn.softmax(a) - target) ** 2 * jnp.array([1.0, 5.0, 2.0]))
  alpha = jnp.array([0.1, 0.5, -1.0])
  theta = np.exp(np.asarray(alpha, np.float64))
  theta /= theta.sum()
  state = optimizer.init(alpha)
  step = jax.jit(lambda a, s: optimizer.update(jax.grad(loss)(a), s, a))
  for _ in range(30):
    updates, state = step(alpha, state)
    alpha = alpha + updates
    theta = theta * np.exp(-0.5 * 2 * (theta - target) * np.array([1, 5, 2]))
    theta /= theta.sum()
    np.testing.assert_allclose(jax.nn.softmax(alpha), theta, rtol=1e-4)
  assert optimizer.describe(state) == "exponentiated_gradient"


def test_exponentiated_gradient_of_a_vanished_operation():
  optimizer = opt.exponentiated_gradient()
  alpha = {"c": (jnp.array([0.0, -200.0, -jnp.inf]),)}
  gradient = jax.grad(lambda a: jax.nn.softmax(a["c"][0]) @ jnp.array([1.0, -1.0, 2.0]))(alpha)
  updates, _ = optimizer.update(gradient, (), alpha)
  assert np.all(np.isfinite(updates["c"][0]))


@pytest.mark.parametrize("make", [lambda: opt.sgd(4, lr=0.1), opt.adam])
def test_accumulated_batches_are_one_large_batch(make):
  """Gradients of k parts of a batch move the weights as that of the whole batch does."""
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6))
  gradient = jax.jit(jax.grad(lambda w, x, y: jnp.mean((x @ w - y) ** 2)))
  whole, parts = make(), opt.accumulated(make(), 3)
  w = v = jnp.ones(3)
  states = whole.init(w), parts.init(v)
  for batch in range(4):
    updates, state = whole.update(gradient(w, x[batch], y[batch]), states[0], w)
    w, other = w + updates, states[1]
    for part in range(3):
      rows = slice(2 * part, 2 * part + 2)
      updates, other = parts.update(gradient(v, x[batch, rows], y[batch, rows]), other, v)
      assert part == 2 or not np.any(updates)
      v = v + updates
    states = state, other
    np.testing.assert_allclose(w, v, rtol=1e-5)
  sgd = [o.describe(s) for o, s in zip((whole, parts), states)]
  assert type(sgd[0]) is type(sgd[1])
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *map(_arrays, sgd))


def _arrays(described):
  return [] if isinstance(described, str) else jax.tree.leaves(described)


def test_accumulating_once_changes_nothing():
  sgd = opt.sgd(4)
  assert opt.accumulated(sgd, 1) is sgd
  for wrong in (0, 1.5, True):
    with pytest.raises(DnasError, match="accumulate: every must be a whole number, 1 or more"):
      opt.accumulated(sgd, wrong)


def rates(steps, **arguments):
  """The learning rates of sgd, step by step."""
  optimizer = opt.sgd(steps, momentum=0.0, weight_decay=0.0, clip=None, **arguments)
  params = {"w": jnp.zeros((1, 1))}
  state, found = optimizer.init(params), []
  for _ in range(steps + 1):
    found.append(float(optimizer.describe(state).lr))
    _, state = optimizer.update(params, state, params)
  return found


@pytest.mark.parametrize(
  ("arguments", "expected"),
  [
    (dict(decay="linear", lr_end=0.0), [0.8, 0.6, 0.4, 0.2, 0.0]),
    (dict(decay="linear", lr_end=0.0, warmup_steps=2), [0.4, 0.8, 0.8 * 2 / 3, 0.8 / 3, 0.0]),
    (dict(decay="steps", lr_end=0.008, milestones=(0.5, 0.75)), [0.8, 0.8, 0.08, 0.008, 0.008]),
    (dict(lr_end=0.0, warmup_steps=3), [0.8 / 3, 1.6 / 3, 0.8, 0.4, 0.0]),
  ],
)
def test_schedules_of_sgd(arguments, expected):
  np.testing.assert_allclose(rates(4, lr=0.8, **arguments), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (dict(decay="exponential"), "decay must be 'cosine', 'linear' or 'steps'"),
    (dict(decay="steps"), "milestones belong to decay='steps'"),
    (dict(milestones=(0.5,)), "milestones belong to decay='steps'"),
    (dict(decay="steps", milestones=(0.9, 0.5)), r"must rise within \(0, 1\)"),
    (dict(decay="steps", milestones=(0.5, 0.55)), "4 steps are too few"),
    (dict(decay="steps", milestones=(0.5,), lr_end=0.0), "lr_end must be above 0"),
    (dict(warmup_steps=4), "sgd: warmup_steps must be below steps = 4, got 4"),
  ],
)
def test_bad_schedules_of_sgd(arguments, message):
  with pytest.raises(DnasError, match=message):
    opt.sgd(4, **arguments)
