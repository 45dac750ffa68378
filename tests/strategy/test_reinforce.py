# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The policy and its gradient against sums over all genotypes; the baseline; Adam against optax."""

import collections
import itertools
import math
import random

import numpy as np
import optax
import pytest

from dnas.space import cells as cells_of
from dnas.space.cell import Cell, Edge
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, reinforce
from dnas.strategy.reinforce import draw, log_policy

# Three edges into node 2, of which two are kept; one and two edges into node 3, all kept.
KEEP = Cell(
  2,
  (
    Edge(0, 2, ("none", "a", "b")),
    Edge(1, 2, ("a", "b", "c")),
    Edge(0, 2, ("a",)),
    Edge(2, 3, ("a", "b")),
  ),
  (3,),
  keep=2,
)
PLAIN = Cell(1, (Edge(0, 1, ("none", "a", "b")), Edge(0, 1, ("a", "b"))), (1,))
cells = pytest.mark.parametrize("cell", [KEEP, PLAIN], ids=["keep", "plain"])


def genotypes(cell):
  """All choices of a cell, by trying every combination."""
  found = []
  for choice in itertools.product(*[(None, *cell.candidates(edge)) for edge in cell.edges]):
    if all(
      sum(choice[i] is not None for i in cell.incoming(node)) == cell.kept(node)
      for node in cell.nodes
    ):
      found.append(choice)
  assert len(found) == cell.size
  return found


def some_logits(cell, seed=0):
  rng = random.Random(seed)
  return [[rng.gauss(0, 1) for _ in cell.candidates(edge)] for edge in cell.edges]


def energy(cell, logits, choice):
  return sum(
    logits[i][cell.candidates(cell.edges[i]).index(op)]
    for i, op in enumerate(choice)
    if op is not None
  )


def probabilities(cell, logits):
  """p(x) = exp(energy(x)) / sum, by definition."""
  weights = {x: math.exp(energy(cell, logits, x)) for x in genotypes(cell)}
  total = sum(weights.values())
  return {x: weight / total for x, weight in weights.items()}


def flat(rows):
  return np.array([value for row in rows for value in row])


def like(rows, values):
  values = iter(values)
  return [[float(next(values)) for _ in row] for row in rows]


def slope(function, rows, step=1e-6):
  """Central differences of a function of rows of numbers."""
  x = flat(rows)
  unit = np.eye(len(x)) * step
  return np.array([(function(like(rows, x + e)) - function(like(rows, x - e))) for e in unit]) / (
    2 * step
  )


@cells
def test_the_policy_is_what_its_definition_says(cell):
  logits = some_logits(cell)
  for choice, p in probabilities(cell, logits).items():
    assert log_policy(cell, logits, choice)[0] == pytest.approx(math.log(p), abs=1e-12)


@cells
def test_equal_logits_are_uniform(cell):
  logits = [[7.0] * len(row) for row in some_logits(cell)]
  for choice in genotypes(cell):
    assert log_policy(cell, logits, choice)[0] == pytest.approx(-math.log(cell.size), abs=1e-12)


def test_without_dropped_edges_it_is_a_softmax_per_edge():
  logits = some_logits(PLAIN)
  value, gradient = log_policy(PLAIN, logits, ("b", "a"))
  softmax = [np.exp(row) / np.exp(row).sum() for row in logits]
  assert value == pytest.approx(math.log(softmax[0][2] * softmax[1][0]))
  np.testing.assert_allclose(gradient[0], np.eye(3)[2] - softmax[0], rtol=1e-12)
  np.testing.assert_allclose(gradient[1], np.eye(2)[0] - softmax[1], rtol=1e-12)


@cells
def test_gradient_against_differences(cell):
  logits = some_logits(cell)
  for choice in genotypes(cell):
    gradient = flat(log_policy(cell, logits, choice)[1])
    expected = slope(lambda rows, x=choice: log_policy(cell, rows, x)[0], logits)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


@cells
def test_large_logits_are_finite(cell):
  logits = [[300.0 * value for value in row] for row in some_logits(cell)]
  best = max(genotypes(cell), key=lambda x: energy(cell, logits, x))
  value, gradient = log_policy(cell, logits, best)
  assert value == pytest.approx(0, abs=1e-6)
  assert np.all(np.isfinite(flat(gradient)))


@cells
def test_draws_follow_the_policy(cell):
  logits, rng, count = some_logits(cell), random.Random(1), 20_000
  drawn = collections.Counter(tuple(draw(cell, logits, rng)) for _ in range(count))
  for choice, p in probabilities(cell, logits).items():
    assert drawn[choice] / count == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / count))


@cells
def test_expected_step_is_the_gradient_of_score_and_entropy(cell):
  """E[(R - b) d log p] = d (E[score] + beta H), for any b that does not depend on x."""
  logits, beta, baseline = some_logits(cell), 0.3, 0.7
  rng = random.Random(2)
  score = {x: rng.random() for x in genotypes(cell)}

  def objective(rows):
    p = probabilities(cell, rows)
    return sum(p[x] * (score[x] - beta * math.log(p[x])) for x in p)

  mean = np.zeros_like(flat(logits))
  for x, p in probabilities(cell, logits).items():
    log_p, gradient = log_policy(cell, logits, x)
    mean += p * (score[x] - beta * log_p - baseline) * flat(gradient)
  np.testing.assert_allclose(mean, slope(objective, logits), atol=1e-8)


SPACE = SearchSpace({"keep": KEEP, "plain": PLAIN})


def test_steps_are_those_of_adam_on_the_advantage():
  """Ten queries, recomputed with optax and the baseline written out as a weighted mean."""
  strategy = reinforce.reinforce(SPACE, lr=0.05, momentum=0.8, entropy=0.2)
  state, rewards, scores = strategy.init(), [], random.Random(5)
  optimizer = optax.adam(0.05)
  logits = opt_state = None
  for i in range(10):
    proposal, state = strategy.ask(state, random.Random(i))
    if logits is None:
      logits = np.concatenate([flat(state["logits"][name]) for name in ("keep", "plain")])
      opt_state = optimizer.init(logits)
    score, log_p, gradients = scores.random(), 0.0, []
    for name, cell in SPACE.cells.items():
      value, gradient = log_policy(cell, state["logits"][name], proposal["choices"][name])
      log_p += value
      gradients.append(flat(gradient))
    rewards.append(score - 0.2 * log_p)
    weights = 0.8 ** np.arange(len(rewards))[::-1]
    baseline = np.dot(weights, rewards) / weights.sum()
    ascent = -(rewards[-1] - baseline) * np.concatenate(gradients)
    updates, opt_state = optimizer.update(ascent, opt_state, logits)
    logits = logits + np.asarray(updates, np.float64)
    state = strategy.tell(state, proposal, {"score": score})
    found = np.concatenate([flat(state["logits"][name]) for name in ("keep", "plain")])
    np.testing.assert_allclose(found, logits, atol=1e-5)  # optax in float32
  assert np.abs(found).max() > 0.1


def test_results_that_are_no_numbers_move_nothing():
  strategy = reinforce.reinforce(SPACE)
  proposal, state = strategy.ask(strategy.init(), random.Random(0))
  for score in (math.nan, math.inf, -math.inf):
    assert strategy.tell(state, proposal, {"score": score}) == state
  assert strategy.tell(state, proposal, {"score": 1.0}) != state


def test_the_bonus_keeps_the_policy_open():
  """Every candidate scores alike: without a bonus the policy drifts, with one it stays uniform."""

  def entropy_after(bonus):
    strategy = reinforce.reinforce(SearchSpace({"plain": PLAIN}), lr=0.1, entropy=bonus, spread=2.0)
    state = strategy.init()
    for i in range(400):
      proposal, state = strategy.ask(state, random.Random(i))
      state = strategy.tell(state, proposal, {"score": 0.0})
    return -sum(p * math.log(p) for p in probabilities(PLAIN, state["logits"]["plain"]).values())

  assert entropy_after(1.0) > 0.9 * math.log(PLAIN.size) > entropy_after(0.0)


def test_enas_is_reinforce_over_shared_weights():
  """The evaluator is a supernet's: scores that change while its weights are being trained."""
  space = cells_of.nasbench201()
  steps = 0

  def evaluate(choices, number):
    nonlocal steps
    steps += 1  # each candidate's evaluation trains the shared weights a bit more
    right = sum(op == "nor_conv_3x3" for op in choices["cell"])
    return {"score": right * (1 - 0.99**steps)}

  strategy = reinforce.reinforce(space, lr=0.1, entropy=1e-3)
  run = ask_tell.explore(strategy, ask_tell.at_once(evaluate), budget=400, seed=0)
  late = [sum(op == "nor_conv_3x3" for op in query.choices["cell"]) for query in list(run)[-50:]]
  assert np.mean(late) > 4.5  # chance: 6 / 5
