# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.strategy import hypergradient, landscape, planted, relaxation
from dnas.strategy.discretize import argmax
from dnas.strategy.optimizer import Optimizer


def test_the_operations_are_orthonormal_whatever_their_weights():
  # Identifiable: no operation explains a part of another, also across edges.
  x = jax.random.uniform(
    jax.random.key(0), (40000, landscape.EDGES, landscape.WIDTH), minval=-1, maxval=1
  )
  features = np.asarray(landscape.features(x)).reshape(len(x), -1)
  gram = features.T @ features / len(x)
  np.testing.assert_allclose(gram, np.eye(len(gram)), atol=0.03)
  np.testing.assert_allclose(features.mean(0), 0, atol=0.03)


@pytest.mark.slow
def test_a_wrong_operation_cannot_do_better_than_nothing():
  ops, teacher = landscape.plant(jax.random.key(3))
  x, target = (
    part.reshape(-1, *part.shape[2:])
    for part in landscape.batches_of(jax.random.key(4), teacher, 200)
  )
  features = landscape.features(x)
  explained = []
  for o in range(len(landscape.OPS)):  # the best weights of operation o on edge 0, by least squares
    design = np.asarray(features[:, 0, o])
    fit = design @ np.linalg.lstsq(design, np.asarray(target))[0]
    explained.append(1 - np.var(target - fit) / np.var(target))
  wrong = [e for o, e in enumerate(explained) if o != int(ops[0])]
  assert max(wrong) < 0.01
  assert explained[int(ops[0])] > 0.3  # one of three edges


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


def test_finds_what_was_planted():
  row = planted.row("softmax", "unrolled", seeds=range(100, 130))
  assert row.rate >= 0.9
  assert row.interval[0] > 0.7 > planted.CHANCE == row.chance


@pytest.mark.slow
@pytest.mark.parametrize("method", planted.pairs(), ids="-".join)
def test_every_method_finds_what_was_planted(method):
  row = planted.row(*method, seeds=range(100))
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


def test_in_the_second_problem_the_planted_operation_is_the_best_alone_and_mixed():
  # With weights that have learnt all there is; and with the skip alone early it looks better.
  major = np.sqrt(1 - landscape.MINOR**2)
  ops, teacher = jax.vmap(lambda key: landscape.plant(key, True))(
    jax.random.split(jax.random.key(0), 200)
  )
  teacher = np.asarray(teacher)
  length = np.linalg.norm(teacher, axis=-1)  # [S, E, O]
  np.testing.assert_allclose(
    np.sort(length, -1)[..., -2:], [[[landscape.MINOR, major]] * 3] * 200, rtol=1e-5
  )
  assert np.all(length.argmax(-1) == ops)
  assert 0.4 < np.mean(np.asarray(ops) == 0) < 0.6
  # Whatever the seed, the skip is the same function.
  skip = teacher[:, :, 0] / length[:, :, :1]
  np.testing.assert_allclose(skip, 0.5, rtol=1e-5)


@pytest.mark.slow
def test_a_skip_connection_has_nothing_to_learn_and_the_others_learn_slowly():
  problem = landscape.problem_of(landscape.COLLAPSE)
  params, _ = problem.init(jax.random.key(0))
  key = jax.random.key(1)
  _, batches = landscape.data(np.arange(1, dtype=np.uint32), 1, True)
  batch = tuple(x[0, 0] for x in batches["weights"])
  weights = {"cell": (jnp.full(4, 0.25),) * 3}
  slope = jax.grad(lambda p: problem.loss(p, {}, weights, batch, key, True, 0.0)[0])(params)
  norms = [[float(jnp.linalg.norm(slope[e]["ops"][o])) for o in range(4)] for e in range(3)]
  assert all(row[0] == 0 for row in norms)
  assert all(min(row[1:]) > 0 for row in norms)
  plain = landscape.problem_of(landscape.HARMONICS).init(jax.random.key(0))[0]
  np.testing.assert_allclose(params[0]["ops"][1], landscape.SLOWNESS * plain[0]["ops"][1])


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
  rules = relaxation.softmax(), hypergradient.first_order()
  seen = []

  def choose(end):
    seen.append(end)
    return argmax()(end.problem.space, end.alpha)

  result = planted.run(
    *rules,
    range(10),
    steps=60,
    warmup_steps=20,
    keep=[2],
    inherit=True,
    watch_every=20,
    choose=choose,
  )
  assert result.edge_successes >= 9
  alphas, eigenvalues = seen[0].trajectory
  assert eigenvalues.shape == (3,)
  assert np.all(eigenvalues > 0)
  assert alphas["cell"][0].shape == (3, 4)
  # Two of four operations were pruned: their logits are where nothing comes back from.
  assert all(np.sum(logits < -1e8) == 2 for logits in seen[0].alpha["cell"])
  x, target = seen[0].draw("alpha", 3)
  assert x.shape == (landscape.BATCH, landscape.EDGES, landscape.WIDTH)
  assert target.shape == (landscape.BATCH,)


def test_no_seeds_is_an_error():
  with pytest.raises(DnasError, match="seeds must hold at least one"):
    planted.run(relaxation.softmax(), None, [])


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
  assert "seeds must hold at least one" in wrong.stderr
