# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Learning curves: power laws are found again, hopeless candidates stopped, rungs are lengths."""

import numpy as np
import pytest
from scipy import optimize

from dnas.estimate import learning_curve
from dnas.estimate.learning_curve import AtLengths, CurveError, PowerLaw, early_stopping
from dnas.space import cells
from dnas.strategy import ask_tell, black_box

SPACE = cells.nasbench201()


@pytest.mark.parametrize("rate", [0.1, 0.7, 2.0])
def test_a_power_law_is_found_again(rate):
  law, epochs = PowerLaw(0.9, 0.6, rate), [1, 2, 4, 8, 16]
  found = learning_curve.fit(epochs, [law(t) for t in epochs])
  assert found(200) == pytest.approx(law(200), abs=0.005)
  assert found.rate == pytest.approx(rate, rel=0.03)


def test_the_fit_is_the_least_squares_one():
  """Against a general optimiser on a noisy curve."""
  rng, epochs = np.random.default_rng(0), np.arange(1.0, 13.0)
  scores = PowerLaw(0.8, 0.5, 0.6)(epochs) + 0.01 * rng.normal(size=12)
  loss = lambda p: np.sum((p[0] - p[1] * epochs ** -p[2] - scores) ** 2)
  best = optimize.minimize(loss, [0.8, 0.5, 0.6], method="Nelder-Mead", options={"xatol": 1e-8})
  found = learning_curve.fit(epochs, scores)
  assert loss(found) == pytest.approx(best.fun, rel=1e-3)


def test_a_falling_curve_is_its_mean():
  found = learning_curve.fit([1, 2, 3], [0.9, 0.8, 0.7])
  assert found.gap == 0
  assert found(200) == pytest.approx(0.8)


@pytest.mark.parametrize(
  ("epochs", "scores", "message"),
  [
    ([1, 2], [0, 1], "3 or more points"),
    ([1, 2, 3], [0, 1], "3 or more points"),
    ([1, 3, 2], [0, 1, 2], "must rise"),
    ([0, 1, 2], [0, 1, 2], "must rise"),
    ([1, 2, 3], [0, np.nan, 2], "must be finite"),
  ],
)
def test_no_curve(epochs, scores, message):
  with pytest.raises(CurveError, match=message):
    learning_curve.fit(epochs, scores)


def curves(calls=None):
  """epochs -> an evaluator; each convolution lifts the curve that a training would show."""

  def at(epochs):
    def evaluate(genotype, key):
      del key
      (ops,) = SPACE.choices(genotype).values()
      limit = 0.4 + 0.1 * sum(op == "nor_conv_3x3" for op in ops)
      if calls is not None:
        calls.append(epochs)
      return {"score": PowerLaw(limit, 0.3, 0.5)(epochs)}

    return evaluate

  return at


def cell(convolutions):
  ops = ["nor_conv_3x3"] * convolutions + ["none"] * (6 - convolutions)
  return SPACE.decide({"cell": ops})


def test_bad_candidates_are_stopped_and_good_ones_are_not():
  calls, epochs = [], (1, 2, 4, 8, 64)
  evaluate = early_stopping(curves(calls), epochs, threshold=0.8)
  good = evaluate(cell(5), None)
  assert good == {"score": curves()(64)(cell(5), None)["score"], "epochs": 64, "stopped": 0}
  assert calls == list(epochs)
  calls.clear()
  bad = evaluate(cell(1), None)
  assert bad["stopped"] == 1
  assert bad["score"] < 0.8
  assert calls == [1, 2, 4]  # the least from which a curve can be seen
  assert early_stopping(curves(), epochs, 0.8, margin=1.0)(cell(1), None)["stopped"] == 0


def test_a_falling_curve_scores_what_it_has_fallen_to():
  """Not the best that it had: that would beat candidates which were evaluated to the end."""
  scores = {1: 0.95, 2: 0.7, 4: 0.6}
  at = lambda epochs: lambda genotype, key: {"score": scores[epochs]}
  found = early_stopping(at, (1, 2, 4, 8), threshold=0.9)(cell(0), None)
  assert found == {"score": 0.6, "epochs": 4, "stopped": 1}


def test_a_training_that_diverges_is_stopped_at_once():
  at = lambda epochs: lambda genotype, key: {"score": np.nan if epochs > 1 else 0.5}
  found = early_stopping(at, (1, 2, 4), threshold=0.0)(cell(0), None)
  assert found == {"score": -np.inf, "epochs": 2, "stopped": 1}


def test_early_stopping_serves_a_strategy():
  """The best is found with fewer epochs than training all of them to the end."""
  spent = []
  evaluator = early_stopping(curves(), (1, 2, 4, 8, 64), threshold=0.7)

  def evaluate(choices, number):
    metrics = evaluator(SPACE.decide(choices), None)
    spent.append(metrics["epochs"])
    return metrics

  run = ask_tell.explore(black_box.evolution(SPACE), ask_tell.at_once(evaluate), budget=60, seed=0)
  best = SPACE.decide(ask_tell.best(list(run)).choices)
  plain = lambda choices, number: curves()(64)(SPACE.decide(choices), None)
  run = ask_tell.explore(black_box.evolution(SPACE), ask_tell.at_once(plain), budget=60, seed=0)
  full = SPACE.decide(ask_tell.best(list(run)).choices)
  score = lambda genotype: curves()(64)(genotype, None)["score"]
  assert score(best) >= score(full) - 0.1
  assert sum(spent) < 0.7 * 60 * 64


def test_at_lengths():
  look = AtLengths("epochs", {epochs: curves()(epochs) for epochs in (1, 2, 4)})
  assert look.rungs == 3
  for rung, epochs in enumerate((1, 2, 4)):
    wanted = {**curves()(epochs)(cell(3), None), "epochs": epochs}
    assert look(cell(3), None, rung) == wanted
  for rung in (3, -1):
    with pytest.raises(CurveError, match=rf"rung {rung}: epochs has the lengths \[1, 2, 4\]"):
      look(cell(3), None, rung)
  keys = AtLengths("share", {0.5: lambda genotype, key: {"score": key}, 1.0: curves()(1)})
  assert keys(None, 0.3, 0) == {"score": 0.3, "share": 0.5}


@pytest.mark.parametrize("values", [(), (1,), (2, 1), (1, 1), (0, 1), (-1, 2), (1, "2"), 3, "12"])
def test_no_lengths(values):
  with pytest.raises(CurveError, match="steps: must be 2 or more rising numbers above 0, got"):
    learning_curve.check_lengths("steps", values, 2)
