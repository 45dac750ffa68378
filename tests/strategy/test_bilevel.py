# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dnas.errors import DnasError
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import freezing, regularization, relaxation
from dnas.strategy import hypergradient as hg
from dnas.strategy import optimizer as opt
from dnas.strategy.bilevel import bilevel
from dnas.strategy.inner_step import sgd_step
from dnas.strategy.optimizer import Optimizer
from dnas.strategy.problem import Problem

SPACE = SearchSpace({"c": Cell(1, (Edge(0, 1, ("a", "b", "d")), Edge(0, 1, ("a", "b"))), (1,))})
FUNCTIONS = (jnp.sin, jnp.cos, jnp.tanh)


def init(key):
  # A weak type and a NumPy array: the search has to cope.
  scale = jnp.full((2, 3), 0.5) + 0.1 * jax.random.normal(key, (2, 3))
  return {"scale": scale, "bias": jnp.full((), 0.1)}, {"mean": np.zeros((), np.float32)}


def loss(params, stats, weights, batch, key, train, progress=0.0):
  assert train
  x, y = batch
  mixed = sum(
    weights["c"][e][o] * params["scale"][e, o] * FUNCTIONS[o](x)
    for e, edge in enumerate(SPACE.cells["c"].edges)
    for o in range(len(edge.ops))
  )
  out = mixed + params["bias"] + 0.01 * jax.random.normal(key)
  stats = {"mean": 0.9 * stats["mean"] + 0.1 * out.mean()}
  return jnp.mean((out - y) ** 2), (stats, {"error": jnp.abs(out - y).mean()})


PROBLEM = Problem(SPACE, init, loss)


def batches(step, count=2):
  rng = np.random.default_rng(step)
  x = rng.normal(size=(count, 16)).astype(np.float32)
  return [(a, np.sin(a) * 1.5) for a in x]


def frozen():
  """An optimiser that moves nothing."""
  chain = optax.set_to_zero()
  return Optimizer(chain.init, chain.update, lambda state: "frozen")


def search(steps=20, hypergradient=None, weights=None, alpha=None, relax=None, **settings):
  return bilevel(
    PROBLEM,
    relax or relaxation.gumbel_softmax(),
    hg.unrolled() if hypergradient is None else hypergradient,
    weights or opt.sgd(steps),
    alpha or opt.adam(lr=0.01),
    steps=steps,
    **settings,
  )


def run(functions, steps=3, seed=0, two_level=True):
  state, history = functions.init(jax.random.key(seed)), []
  for step in range(steps):
    first, second = batches(step)
    state, metrics = functions.step(state, first, second if two_level else None)
    history.append(metrics)
  return state, jax.device_get(history)


def assert_equal(a, b):
  data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(data(x), data(y))


def test_compiles_once_and_same_seed_is_bit_identical():
  traced = []

  def counting(*args):
    traced.append(1)
    return loss(*args)

  functions = bilevel(
    dataclasses.replace(PROBLEM, loss=counting),
    relaxation.gumbel_softmax(),
    hg.unrolled(),
    opt.sgd(20),
    opt.adam(),
    steps=20,
  )
  state = functions.init(jax.random.key(0))
  assert all(not leaf.weak_type for leaf in jax.tree.leaves(state) if hasattr(leaf, "weak_type"))
  before = jax.tree.map(lambda x: (x.shape, x.dtype), state)
  first, second = batches(0)
  state, _ = functions.step(state, first, second)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == before
  once = len(traced)
  one = run(functions)
  assert len(traced) == once
  assert functions.step._cache_size() == 1
  two = run(functions)
  assert_equal(one, two)
  assert int(one[0].step) == 3
  other, _ = run(functions, seed=1)
  assert not np.array_equal(other.params["scale"], one[0].params["scale"])


def test_the_state_is_donated_and_the_callers_arrays_are_not():
  mine = {"scale": jnp.ones((2, 3)), "bias": jnp.zeros(())}
  problem = dataclasses.replace(PROBLEM, init=lambda key: (mine, {"mean": jnp.zeros(())}))
  functions = bilevel(
    problem, relaxation.softmax(), hg.first_order(), opt.sgd(9), opt.adam(), steps=9
  )
  key = jax.random.key(0)
  state = functions.init(key)
  functions.step(state, *batches(0))
  assert state.params["scale"].is_deleted()
  np.testing.assert_array_equal(mine["scale"], np.ones((2, 3)))
  jax.random.split(key)


def test_the_unrolled_step_is_the_step_that_is_taken():
  # Alpha stays, so the weights after the step must be those at which `outer` was evaluated.
  def norm_ahead(outer, inner, params, alpha, optimizer):
    del outer
    ahead, _ = sgd_step(inner, params, optimizer.trace, alpha, optimizer)
    return jnp.sum(ahead["scale"] ** 2), alpha

  functions = search(hypergradient=norm_ahead, alpha=frozen(), weights=opt.sgd(20, clip=None))
  state = functions.init(jax.random.key(0))
  norms = []
  for step in range(4):  # until momentum and schedule matter
    state, metrics = functions.step(state, *batches(step))
    norms.append((metrics["alpha_loss"], jnp.sum(state.params["scale"] ** 2)))
  np.testing.assert_allclose(*zip(*norms, strict=True), rtol=1e-6)
  assert len({float(norm) for norm, _ in norms}) == 4


def test_alpha_descends_the_hypergradient():
  # With plain gradient descent on alpha the move is -gradient; compare with central differences of
  # outer(weights after the step of the weights, alpha), written with the public pieces alone.
  plain = optax.sgd(1.0)
  move = Optimizer(plain.init, plain.update, lambda state: "sgd")
  weights = opt.sgd(20, lr=0.1, momentum=0.0, weight_decay=0.1, clip=None)
  functions = search(relax=relaxation.softmax(), alpha=move, weights=weights)
  before = functions.init(jax.random.key(0))
  params, stats, alpha = jax.device_get((before.params, before.stats, before.alpha))
  step_key = jax.random.fold_in(before.key, 0)
  weight_key, alpha_key = (jax.random.split(k)[1] for k in jax.random.split(step_key))
  (first, second) = batches(0)

  @jax.jit
  def after(flat):
    edges = {"c": (jax.nn.softmax(flat[:3]), jax.nn.softmax(flat[3:]))}
    inner = lambda p: loss(p, stats, edges, first, weight_key, True)[0]
    moved = jax.tree.map(lambda p, g: p - 0.1 * (g + 0.1 * p), params, jax.grad(inner)(params))
    return loss(moved, stats, edges, second, alpha_key, True)[0]

  flat, eps = np.concatenate(alpha["c"]), 1e-2
  expected = [
    (after(flat + eps * e) - after(flat - eps * e)) / (2 * eps) for e in np.eye(5, dtype="f")
  ]
  state, metrics = functions.step(before, first, second)
  moved = flat - np.concatenate(jax.device_get(state.alpha)["c"])
  np.testing.assert_allclose(moved, expected, atol=2e-4)
  np.testing.assert_allclose(metrics["alpha_loss"], after(flat), rtol=1e-6)
  np.testing.assert_allclose(metrics["alpha_grad_norm"], np.linalg.norm(moved), rtol=1e-4)


def test_metrics():
  state, history = run(search())
  names = {"error", "weight_loss", "alpha_loss", "weight_grad_norm", "alpha_grad_norm", "entropy/c"}
  for metrics in history:
    assert set(metrics) == {*names, "skipped"}
    assert int(metrics["skipped"]) == 0
    assert all(np.isfinite(v) and v.shape == () for v in metrics.values())
  uniform = (np.log(3) + np.log(2)) / 2
  np.testing.assert_allclose(history[0]["entropy/c"], uniform, atol=1e-3)
  assert history[2]["entropy/c"] < uniform
  assert float(state.stats["mean"]) != 0


@pytest.mark.parametrize("level", [0, 1])
def test_a_step_that_is_not_finite_moves_nothing_but_its_count(level):
  functions = search()
  state, _ = functions.step(functions.init(jax.random.key(0)), *batches(0))
  before = jax.tree.map(lambda x: x if x is state.key else np.array(x), state)
  broken = [
    (x, np.full_like(y, np.inf)) if i == level else (x, y) for i, (x, y) in enumerate(batches(1))
  ]
  state, metrics = functions.step(state, *broken)
  assert int(metrics["skipped"]) == 1
  assert_equal(state, dataclasses.replace(before, step=np.int32(2), key=state.key))
  state, metrics = functions.step(state, *batches(2))
  assert int(metrics["skipped"]) == 0
  assert not np.array_equal(state.params["scale"], before.params["scale"])


def test_statistics_come_from_the_weight_batch_alone():
  functions = search(relax=relaxation.softmax(), alpha=frozen())
  stats = []
  for second in batches(1):
    state, _ = functions.step(functions.init(jax.random.key(0)), batches(0)[0], second)
    stats.append(float(state.stats["mean"]))
  assert stats[0] == stats[1] != 0


def test_alpha_is_frozen_during_the_warm_up():
  functions = search(warmup_steps=2)
  start = functions.init(jax.random.key(0))
  alpha, alpha_opt = jax.device_get((start.alpha, start.alpha_opt))
  # Whether or not the caller saves the work by passing no alpha batch.
  for two_level in (True, False):
    state, history = run(functions, steps=2, two_level=two_level)
    assert_equal(jax.device_get((state.alpha, state.alpha_opt)), (alpha, alpha_opt))
    assert ("alpha_loss" in history[0]) == two_level
    # The weights are trained alike.
    if two_level:
      weights = jax.device_get(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state.params, weights)
  state, _ = functions.step(state, *batches(2))
  assert not np.array_equal(state.alpha["c"][0], alpha["c"][0])
  assert functions.step._cache_size() == 2


def test_the_warm_up_program_has_no_second_backward_pass():
  functions = search()
  state, (first, second) = functions.init(jax.random.key(0)), batches(0)

  def equations(alpha_batch):
    (step,) = jax.make_jaxpr(functions.step)(state, first, alpha_batch).jaxpr.eqns
    return len(step.params["jaxpr"].jaxpr.eqns)

  assert equations(None) < equations(second) / 2


def test_progress_runs_from_the_end_of_the_warm_up():
  seen = []

  def spy(key, logits, progress):
    jax.debug.callback(lambda p: seen.append(round(float(p), 6)), progress)
    return jax.nn.softmax(logits)

  functions = search(steps=4, relax=spy, hypergradient=hg.first_order(), warmup_steps=2)
  run(functions, steps=6)
  jax.effects_barrier()
  assert sorted(set(seen)) == [0.0, 0.5, 1.0]


def test_one_level():
  functions = bilevel(PROBLEM, relaxation.softmax(), None, opt.sgd(9), opt.adam(lr=0.01), steps=9)
  state, history = run(functions, two_level=False)
  assert all(m["alpha_loss"] == m["weight_loss"] for m in history)
  assert int(state.step) == 3
  assert history[2]["entropy/c"] < history[0]["entropy/c"]
  with pytest.raises(DnasError, match=r"one-level search .* takes alpha_batch None"):
    functions.step(state, *batches(0))


@pytest.mark.slow
def test_seeds_side_by_side_equal_one_by_one():
  functions = search(warmup_steps=1, hypergradient=hg.first_order())
  states = jax.vmap(functions.init)(jax.vmap(jax.random.key)(jnp.arange(2)))
  together = jax.jit(jax.vmap(functions.step, in_axes=(0, None, None)))
  for step in range(3):
    states, _ = together(states, *batches(step))
  for seed in range(2):
    alone, _ = run(functions, seed=seed)
    for a, b in zip(jax.tree.leaves(states.alpha), jax.tree.leaves(alone.alpha), strict=True):
      np.testing.assert_allclose(a[seed], b, rtol=1e-4, atol=1e-6)


def test_adamw_cannot_be_unrolled():
  with pytest.raises(DnasError, match=r"unrolled differentiates a step of SGD.*adamw\. Valid"):
    search(weights=opt.adamw(20))
  with pytest.raises(DnasError, match="finite_difference differentiates a step of SGD"):
    search(weights=opt.adamw(20), hypergradient=hg.finite_difference())
  hypergradient = hg.implicit(hg.neumann(2, lr=0.1))
  _, history = run(search(weights=opt.adamw(20), hypergradient=hypergradient))
  assert np.isfinite(history[-1]["alpha_loss"])


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"steps": 0}, "steps must be a whole number, 1 or more, got 0"),
    ({"steps": 5.5}, "steps must be a whole number, 1 or more, got 5.5"),
    ({"steps": 5, "warmup_steps": 5}, "warmup_steps must be below steps = 5, got 5: alpha would"),
    ({"steps": 5, "warmup_steps": -1}, "warmup_steps must be a whole number, 0 or more, got -1"),
    ({"steps": 5, "average": 1.0}, r"average must be in \[0, 1\), got 1.0"),
    ({"steps": 5, "average": "1/3"}, r"average must be a number \(in \[0, 1\)\), got '1/3'"),
  ],
)
def test_bad_settings_are_named(settings, message):
  with pytest.raises(DnasError, match=message):
    bilevel(PROBLEM, relaxation.softmax(), None, opt.sgd(5), opt.adam(), **settings)


def test_penalties_pull_alpha_alone():
  pull = lambda alpha, progress: 100 * sum(jnp.sum(edge) for edge in alpha["c"])
  for hypergradient, second in ((hg.first_order(), batches(0)[1]), (None, None)):
    moved = []
    for penalties in ((), (pull,)):
      functions = bilevel(
        PROBLEM,
        relaxation.softmax(),
        hypergradient,
        opt.sgd(9),
        opt.adam(lr=0.01),
        steps=9,
        penalties=penalties,
      )
      state, metrics = functions.step(functions.init(jax.random.key(0)), batches(0)[0], second)
      moved.append((jax.device_get(state.alpha["c"]), float(metrics["weight_loss"])))
    # Adam's first step has the length of its learning rate, and now a known sign.
    start = (
      bilevel(PROBLEM, relaxation.softmax(), None, opt.sgd(9), opt.adam(), steps=9)
      .init(jax.random.key(0))
      .alpha["c"]
    )
    np.testing.assert_allclose(
      np.concatenate(moved[1][0]) - np.concatenate(start), -0.01, rtol=1e-3
    )
    assert not np.allclose(np.concatenate(moved[0][0]) - np.concatenate(start), -0.01, rtol=1e-3)
    assert moved[0][1] == pytest.approx(moved[1][1], rel=0.1)


@pytest.mark.parametrize(
  ("name", "hypergradient"),
  [
    pytest.param("random_perturbation", hg.unrolled(), id="random"),
    pytest.param(
      "adversarial_perturbation", hg.first_order(), id="adversarial", marks=pytest.mark.slow
    ),
  ],
)
def test_perturbed_weights_are_trained_around_the_architecture(name, hypergradient):
  # The report's weight loss is the loss at the perturbed mixing weights.
  make = getattr(regularization, name)
  losses = []
  for radius, start in ((0.0, 0.0), (0.4, 0.03)):
    functions = search(
      steps=4,
      relax=relaxation.softmax(),
      hypergradient=hypergradient,
      perturbation=make(radius, radius_start=start),
      alpha=frozen(),
      weights=opt.sgd(4, lr=1e-6),
    )
    _, history = run(functions, steps=4)
    losses.append(np.array([m["weight_loss"] for m in history]))
    assert all(np.isfinite(m["alpha_grad_norm"]) for m in history)
  moved = np.abs(losses[1] - losses[0])
  assert moved[0] < 0.3 * moved[1:].max()  # the radius grows
  assert np.all(moved[1:] > 1e-3)
  if name.startswith("adversarial"):
    assert np.all((losses[1] - losses[0])[1:] > 0)


def test_a_perturbation_draws_with_a_key_of_its_own():
  keys = {"relaxation": set(), "perturbation": set()}

  def note(who, key):
    add = lambda data: keys[who].add(tuple(np.asarray(data).tolist()))
    jax.debug.callback(add, jax.random.key_data(key))

  def relax(key, logits, progress):
    note("relaxation", key)
    return jax.nn.softmax(logits)

  def perturbation(key, loss, weights, progress):
    note("perturbation", key)
    return weights

  run(search(relax=relax, hypergradient=hg.first_order(), perturbation=perturbation))
  jax.effects_barrier()
  assert len(keys["perturbation"]) == 3  # One a step.
  assert len(keys["relaxation"]) > 3
  assert not keys["perturbation"] & keys["relaxation"]


def test_edge_weights_are_searched_too():
  functions = search(edge_weights=True, hypergradient=hg.first_order(), relax=relaxation.softmax())
  start = np.asarray(functions.init(jax.random.key(0)).alpha["c/edges"][0])
  state, history = run(functions)
  assert start.shape == (2,)
  assert np.all(np.abs(state.alpha["c/edges"][0] - start) > 1e-3)
  assert 0 < history[2]["entropy/c/edges"] <= np.log(2) + 1e-6


def test_a_weight_penalty_adds_to_the_gradient_of_the_weights():
  seen = []

  def pull(loss, params, weights, layers, progress):
    seen.append((weights.keys(), dict(layers)))
    assert loss(params, weights).shape == ()
    return jax.tree.map(lambda p: jnp.full_like(p, 0.25), params)

  plain = opt.sgd(20, lr=1.0, lr_end=1.0, momentum=0.0, weight_decay=0.0, clip=None)
  for hypergradient in (hg.first_order(), None):
    after = []
    for penalty in (None, pull):
      functions = bilevel(
        PROBLEM,
        relaxation.softmax(),
        hypergradient,
        plain,
        frozen(),
        steps=20,
        weight_penalty=penalty,
      )
      state, _ = run(functions, steps=1, two_level=hypergradient is not None)
      after.append(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a - 0.25, b, rtol=1e-5), *after)
  assert seen[0] == ({"c": None}.keys(), {})


def test_a_frozen_operation_stays_and_the_others_move():
  # The operation "cold" is judged disagreeing at once, and only it is below a key "ops".
  problem = dataclasses.replace(
    PROBLEM,
    init=lambda key: ({"ops": {"cold": jnp.ones((2, 3))}, "bias": jnp.zeros(())}, {"mean": 0.0}),
    loss=lambda params, *rest: loss(
      {"scale": params["ops"]["cold"], "bias": params["bias"]}, *rest
    ),
  )
  functions = bilevel(
    problem,
    relaxation.softmax(),
    hg.first_order(),
    opt.sgd(20),
    opt.adam(),
    steps=20,
    warmup_steps=1,
    freezing=freezing.gradient_matching(threshold=1.0, window=2),
  )
  state = functions.init(jax.random.key(0))
  cold, bias, shares = [], [], []
  for step in range(5):
    first, second = batches(step)
    state, metrics = functions.step(state, first, second if step else None)
    cold.append(np.array(state.params["ops"]["cold"]))
    bias.append(float(state.params["bias"]))
    shares.append(float(metrics.get("frozen", -1.0)))
  assert shares == [-1, 0, 1, 1, 1]
  assert not np.array_equal(cold[0], cold[1])
  np.testing.assert_array_equal(cold[1], cold[2])
  np.testing.assert_array_equal(cold[2], cold[4])
  assert len(set(bias)) == 5
  with pytest.raises(DnasError, match="freezing compares the gradients of two levels"):
    bilevel(
      problem,
      relaxation.softmax(),
      None,
      opt.sgd(2),
      opt.adam(),
      steps=2,
      freezing=freezing.gradient_matching(),
    )


def test_the_mean_of_alpha_over_the_end_decides():
  """Over the last 3 of the 4 steps in which alpha moves; before them it is alpha."""
  average = 0.7
  functions = search(steps=5, warmup_steps=1, hypergradient=hg.first_order(), average=average)
  state, alphas = functions.init(jax.random.key(0)), []
  for step in range(5):
    state, _ = functions.step(state, *batches(step))
    alphas.append(np.asarray(state.alpha["c"][0]))
    if step <= 5 - round(average * 4):
      np.testing.assert_allclose(state.decided_by["c"][0], alphas[-1], rtol=1e-6)
  expected = np.mean(alphas[-round(average * 4) :], axis=0)
  np.testing.assert_allclose(state.decided_by["c"][0], expected, rtol=1e-5)
  assert not np.allclose(expected, alphas[-1], rtol=1e-4)
  last = search().init(jax.random.key(0))
  assert last.decided_by is last.alpha
