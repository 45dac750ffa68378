# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import functools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.nn.supernet import PLAIN, Supernet, bypass
from dnas.strategy import hypergradient, landscape, pairs, planted, relaxation
from dnas.strategy.bilevel import Bilevel, bilevel
from dnas.strategy.discretize import argmax
from dnas.strategy.optimizer import Optimizer, adam, sgd
from dnas.strategy.problem import SearchState
from dnas.strategy.schedule import NO_DROPS, Drops

HARMONICS, COLLAPSE = landscape.HARMONICS, landscape.COLLAPSE
KEY = jax.random.key(0)


def batch_and_params(where, supernet=PLAIN, drops=NO_DROPS, steps=1):
  """One batch of seed 0, the problem, and random weights."""
  problem = landscape.problem_of(where, supernet, drops)
  _, batches = landscape.data([0], 0, steps, where)
  return tuple(part[0, 0] for part in batches["weights"]), problem, problem.init(KEY)[0]


def value(problem, params, batch, weights, progress=0.0, key=KEY):
  return float(problem.loss(params, {}, {"cell": tuple(weights)}, batch, key, True, progress)[0])


@pytest.mark.parametrize("skip", [False, True])
def test_the_operations_are_orthonormal_whatever_their_weights(skip):
  # Identifiable: no operation explains a part of another, also across edges, places and channels,
  # nor does what passes by them.
  x = np.sqrt(3) * np.random.default_rng(0).uniform(-1, 1, (40000, 5))
  features = np.asarray(landscape.features(x, skip)).reshape(len(x), -1)
  if not skip:
    features = np.concatenate([features, x], 1)
  gram = features.T @ features / len(x)
  np.testing.assert_allclose(gram, np.eye(len(gram)), atol=0.03)
  np.testing.assert_allclose(features.mean(0), 0, atol=0.03)


@pytest.mark.parametrize("where", [HARMONICS, COLLAPSE], ids=["harmonics", "collapse"])
def test_the_planted_genotype_with_the_weights_of_the_teacher_explains_the_data(where):
  batch, problem, params = batch_and_params(where)
  ops, teacher = landscape.plant(0, where)
  share = np.linalg.norm(teacher, axis=-1) / np.sqrt(landscape.WIDTH)  # of the teacher's mixture
  for place, cell in params.items():
    for e, edge in cell.items():
      for o in edge["ops"]:
        signs = np.sign(teacher[place, e, o])
        edge["ops"][o] = jnp.diag(jnp.where(signs == 0, 1.0, signs))
  best = value(problem, params, batch, jnp.asarray(share[0]))
  np.testing.assert_allclose(best, 0.01 * landscape.WIDTH, rtol=0.3)  # the noise is left
  one_hot = jax.nn.one_hot(np.asarray(ops), len(landscape.OPS))
  # Any other operation in place of a planted one is worse.
  alone = value(problem, params, batch, one_hot)
  for e in range(landscape.EDGES):
    for other in set(range(len(landscape.OPS))) - {int(ops[e])}:
      wrong = one_hot.at[e].set(jax.nn.one_hot(other, len(landscape.OPS)))
      assert value(problem, params, batch, wrong) > alone + 1


def test_more_places_plant_the_same_operations():
  for seed in range(5):
    few, many = (landscape.plant(seed, HARMONICS.at_places(n)) for n in (1, 3))
    np.testing.assert_array_equal(few[0], many[0])
    assert many[1].shape == (3, landscape.EDGES, 4, landscape.WIDTH)


def test_partial_channels_pass_the_others_by_and_the_shuffle_brings_others_forward():
  batch, problem, params = batch_and_params(HARMONICS, Supernet(partial=4))
  assert params[0][0]["ops"][0].shape == (2, 2)
  weights = {"cell": (jnp.full(4, 0.25),) * 3}

  def output(params):  # dloss/dtarget = -2 (output - target) / B
    loss = lambda target: problem.loss(params, {}, weights, (batch[0], target), KEY, True, 0.0)[0]
    return -landscape.BATCH / 2 * jax.grad(loss)(jnp.zeros_like(batch[1]))

  # Which channels of the output the operations of either place move: two each, not the same.
  moved = []
  for place in range(2):
    other = {**params, place: jax.tree.map(lambda kernel: kernel[::-1], params[place])}
    change = np.abs(output(other) - output(params)).max(0)
    moved.append(np.flatnonzero(change > 1e-4).tolist())
  assert moved == [[0, 1], [0, 2]]
  # As `bypass` shuffles.
  names = jnp.arange(landscape.WIDTH)
  order = bypass(names[:2], names, jnp.int32(1), 4, 1)
  np.testing.assert_array_equal(landscape.orders(1, 4)[1], order)


def test_drop_path_skip_dropout_and_the_auxiliary_skip_take_part():
  weights = [jnp.full(4, 0.25)] * 3
  for where, supernet, drops, at in (
    (HARMONICS, PLAIN, Drops(path=0.9), 1.0),
    (COLLAPSE, PLAIN, Drops(skip=0.9), 0.0),
    (HARMONICS, Supernet(auxiliary_skip=True), NO_DROPS, 0.0),
  ):
    batch, plain, params = batch_and_params(where)
    changed = landscape.problem_of(where, supernet, drops)
    values = [value(changed, params, batch, weights, at, jax.random.key(n)) for n in range(2)]
    assert abs(values[0] - value(plain, params, batch, weights, at)) > 0.1
    assert (values[0] != values[1]) == (drops != NO_DROPS)
  # The schedules end where they should: nothing is left of an auxiliary skip.
  np.testing.assert_allclose(
    value(changed, params, batch, weights, 1.0), value(plain, params, batch, weights, 1.0)
  )
  single = landscape.problem_of(HARMONICS, Supernet(single_path=True))
  only = [jnp.array([0.1, 0.2, 0.4, 0.3])] * 3
  np.testing.assert_allclose(
    value(single, params, batch, only),
    value(plain, params, batch, [jnp.array([0, 0, 0.4, 0])] * 3),
    rtol=1e-5,
  )


def test_each_place_may_have_mixing_weights_of_its_own():
  batch, problem, params = batch_and_params(HARMONICS)
  same = [jnp.array([0.1, 0.2, 0.3, 0.4])] * 3
  layered = [jnp.tile(w, (landscape.PLACES, 1)) for w in same]
  np.testing.assert_allclose(
    value(problem, params, batch, layered), value(problem, params, batch, same), rtol=1e-5
  )


@pytest.mark.slow
def test_success_is_counted_against_chance():
  # A search that never moves alpha guesses, from the initial noise.
  still = Optimizer(
    lambda a: (), lambda g, s, a: (jax.tree.map(jnp.zeros_like, g), s), lambda s: ""
  )
  rules = relaxation.softmax(), hypergradient.first_order()
  result = planted.run(*rules, range(400), steps=2, warmup_steps=0, alpha_optimizer=still)
  assert 0.18 < result.edge_successes / 400 < 0.32
  assert result.genotype_successes < 20


@pytest.mark.slow
def test_finds_what_was_planted():
  row = pairs.row("softmax", "unrolled", seeds=range(100, 130))
  assert row.rate >= 0.9
  assert row.interval[0] > 0.7 > landscape.CHANCE == row.chance


@pytest.mark.slow
@pytest.mark.parametrize(
  "method", sorted({*pairs.pairs("softmax"), *pairs.pairs(None, "first_order")}), ids="-".join
)
def test_every_relaxation_and_hypergradient_finds_what_was_planted(method):
  row = pairs.row(*method, seeds=range(100))
  assert row.rate >= 0.95
  assert row.genotype_rate >= 0.9


@pytest.mark.slow
def test_same_seeds_same_result():
  rules = relaxation.gumbel_softmax(), None  # one level
  results = [planted.run(*rules, range(10), steps=60, warmup_steps=10) for _ in range(2)]
  assert results[0] == results[1]
  assert results[0].edge_successes >= 8


@pytest.mark.parametrize(
  ("successes", "trials", "expected"),
  [(100, 100, (0.9630, 1.0)), (0, 10, (0.0, 0.2775)), (95, 100, (0.8882, 0.9785))],
)
def test_wilson_interval(successes, trials, expected):
  # Published values of the score interval, to four digits.
  np.testing.assert_allclose(planted.wilson_interval(successes, trials), expected, atol=2e-4)


def test_in_the_second_problem_half_of_the_edges_are_skips():
  major = np.sqrt(1 - landscape.MINOR**2)
  ops, teacher = map(np.stack, zip(*(landscape.plant(seed, COLLAPSE) for seed in range(200))))
  length = np.abs(teacher).max(-1)  # [S, L, E, O]
  np.testing.assert_allclose(
    np.sort(length, -1)[..., -2:], np.broadcast_to([landscape.MINOR, major], (200, 2, 3, 2)), 1e-6
  )
  assert np.all(length.argmax(-1) == ops[:, None])
  assert 0.4 < np.mean(ops == 0) < 0.6


@pytest.mark.slow
def test_a_skip_connection_has_nothing_to_learn_and_the_others_learn_slowly():
  batch, problem, params = batch_and_params(COLLAPSE)
  weights = {"cell": (jnp.full(4, 0.25),) * 3}
  slope = jax.grad(lambda p: problem.loss(p, {}, weights, batch, KEY, True, 0.0)[0])(params)
  norms = jax.tree.map(lambda leaf: float(jnp.linalg.norm(leaf)), slope)
  for cell in norms.values():
    for edge in cell.values():
      assert edge["ops"][0] == 0
      assert min(edge["ops"][o] for o in (1, 2, 3)) > 0
  plain = landscape.problem_of(HARMONICS).init(KEY)[0]
  np.testing.assert_allclose(
    params[0][0]["ops"][1], landscape.SLOWNESS * plain[0][0]["ops"][1], rtol=1e-6
  )


@pytest.mark.slow
def test_a_search_that_moves_nothing_collapses_by_chance_and_one_that_learns_less():
  rules = relaxation.softmax(), hypergradient.first_order()
  still = Optimizer(
    lambda a: (), lambda g, s, a: (jax.tree.map(jnp.zeros_like, g), s), lambda s: ""
  )
  settings = dict(landscape=landscape.COLLAPSE, steps=2, warmup_steps=0, alpha_optimizer=still)
  guess = planted.run(*rules, range(200), **settings)
  assert 200 < guess.learners < 400
  assert 0.15 < guess.collapsed / guess.learners < 0.35


@pytest.mark.slow
def test_stages_a_trajectory_and_a_choice():
  seen = []

  def choose(end):
    seen.append(end)
    return argmax()(end.problem.space, jax.device_get(end.state.decided_by))

  def stage(partial, **settings):
    problem = landscape.problem_of(HARMONICS, Supernet(partial=partial))
    rules = relaxation.softmax(), hypergradient.first_order(), sgd(60, lr=0.1), adam(lr=0.03)
    machine = bilevel(problem, *rules, steps=60, warmup_steps=20)
    return planted.Stage(HARMONICS, problem, machine, 60, 20, **settings)

  wider = lambda params: landscape.widened(params, Supernet(partial=2))
  result = planted.find(
    [stage(4, keep=2), stage(2, inherit=wider)],
    range(10),
    relaxation=relaxation.softmax(),
    watch_every=20,
    choose=choose,
  )
  assert result.edge_successes >= 9
  alphas, eigenvalues = seen[0].trajectory
  assert eigenvalues.shape == (3,)
  assert np.all(eigenvalues > 0)
  assert alphas["cell"][0].shape == (3, 4)
  # Two of four operations were pruned: their logits are where nothing comes back from.
  assert all(np.sum(logits < -1e8) == 2 for logits in seen[0].state.alpha["cell"])
  x, target = seen[0].draw("alpha", 3)
  assert x.shape == (landscape.BATCH, landscape.PLACES, landscape.EDGES, landscape.WIDTH)
  assert target.shape == (landscape.BATCH, landscape.WIDTH)


def test_the_mean_of_alpha_decides_and_prunes_where_it_is_kept():
  ops, _ = landscape.plant(0, HARMONICS)
  right = {"cell": tuple(jnp.eye(4)[o] for o in ops)}
  wrong = {"cell": tuple(-row for row in right["cell"])}
  problem, seen = landscape.problem_of(HARMONICS), []
  zero = jnp.zeros((), jnp.int32)
  start = lambda key: SearchState(zero, (), wrong, (), (), zero, key, mean=right)
  still = Bilevel(start, lambda state, *batches: (state, {}))
  stage = functools.partial(planted.Stage, HARMONICS, problem, still, 1, 1)
  assert planted.find([stage()], [0]).genotype_successes == 1

  def choose(end):
    seen.append(end.state.alpha["cell"])
    return argmax()(end.problem.space, end.state.mean)

  planted.find([stage(keep=1), stage(inherit=lambda params: params)], [0], choose=choose)
  for logits, o in zip(seen[0], ops, strict=True):
    np.testing.assert_array_equal(logits, np.where(np.arange(4) == o, 1, -1e9))


def test_widened_weights_are_those_of_a_wider_network_that_inherits():
  old = {0: {0: {"ops": {0: jnp.arange(4.0).reshape(2, 2)}}}}
  (new,) = jax.tree.leaves(landscape.widened(old, Supernet(partial=2)))
  np.testing.assert_array_equal(new, [[0, 1, 0, 1], [2, 3, 2, 3]] * 2)


def test_no_seeds_is_an_error():
  with pytest.raises(DnasError, match="seeds must hold at least one"):
    planted.run(relaxation.softmax(), None, [])


@pytest.mark.slow
def test_script(root):
  command = [sys.executable, root / "scripts/planted.py", "--seeds", "8", "--json"]
  command += ["--relaxation", "softmax", "--hypergradient", "first_order"]
  out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout
  (row,) = json.loads(out)
  assert row["chance"] == 0.25
  assert row["rate"] >= 0.75
  assert row["seeds"] == 8
  low, high = row["interval"]
  assert 0 < low < row["rate"] <= high <= 1
  wrong = subprocess.run([*command[:2], "--seeds", "0"], capture_output=True, text=True, cwd=root)
  assert wrong.returncode == 2
  assert "argument --seeds: must be a whole number, 1 or more" in wrong.stderr
