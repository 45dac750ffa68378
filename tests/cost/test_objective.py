# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Objectives: values by hand, slopes in the right direction, one contract for each family."""

import math

import jax
import numpy as np
import pytest

from dnas import naming
from dnas.cost import objective
from dnas.errors import DnasError

LOSSES = {
  "linear": dict(reference=5.0),
  "power_of_log": {},
  "log_ratio": dict(reference=5.0),
}
REWARDS = {"weighted_product": dict(target=5.0), "absolute": dict(target=5.0)}


def test_the_families_are_complete():
  assert set(objective.LOSSES) == set(LOSSES)
  assert set(objective.REWARDS) == set(REWARDS)
  assert set(naming.functions(objective)) == set(LOSSES) | set(REWARDS)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_rise_with_loss_and_cost(name):
  made = naming.bind({"name": name, **LOSSES[name]}, objective)
  for loss, cost in ((0.5, 0.002), (2.0, 3.0), (1.0, 50.0)):
    by_loss, by_cost = jax.grad(made, (0, 1))(loss, cost)
    assert by_loss > 0
    assert np.isfinite(by_cost)
    assert by_cost > 0 or cost < 1  # a logarithm is held at its least


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_rise_with_quality_and_fall_above_the_target(name):
  made = naming.bind({"name": name, **REWARDS[name]}, objective)
  assert made(0.9, 6.0) > made(0.8, 6.0)
  assert made(0.9, 6.0) > made(0.9, 7.0)
  assert made(0.9, 5.0) == pytest.approx(0.9)
  assert math.isfinite(made(0.9, 0.0))


def test_values_by_hand():
  assert objective.linear(4.0, 0.5)(1.0, 6.0) == pytest.approx(1.25)
  assert float(objective.log_ratio(math.e**2, 2.0, 0.5)(3.0, math.e**8)) == pytest.approx(12.0)
  fbnet = objective.power_of_log(0.2, 0.6)(1.5, 2.0)
  assert float(fbnet) == pytest.approx(1.5 * 0.2 * math.log(2000) ** 0.6, rel=1e-5)
  assert objective.weighted_product(80.0)(0.75, 160.0) == pytest.approx(0.75 * 2**-0.07)
  hard = objective.weighted_product(80.0, alpha=0.0, beta=-1.0)
  assert (hard(0.75, 40.0), hard(0.75, 160.0)) == (0.75, pytest.approx(0.375))
  assert objective.absolute(80.0, -0.1)(0.75, 40.0) == pytest.approx(0.7)


def test_a_product_takes_no_quality_below_0():
  """Minus a loss of 2 would be the better the more it costs: -2 * (160 / 80)^-0.07 > -2."""
  reward = objective.weighted_product(80.0)
  with pytest.raises(DnasError, match=r"quality must be 0 or more, got -2.0; valid for any: abs"):
    reward(-2.0, 160.0)
  assert reward(0.0, 160.0) == 0
  assert reward(-math.inf, 160.0) == -math.inf
  assert math.isnan(reward(math.nan, 160.0))


@pytest.mark.parametrize(
  ("spec", "message"),
  [
    (dict(name="linear", reference=0.0), "linear: reference must be above 0"),
    (dict(name="linear", reference=1.0, strength=-1.0), "linear: strength must be 0 or more"),
    (dict(name="linear", reference="5"), r"reference must be a number \(above 0\), got '5'"),
    (dict(name="log_ratio", reference=1.0), "log_ratio: reference must be above 1"),
    (dict(name="power_of_log", per_unit=0.0), "power_of_log: per_unit must be above 0"),
    (dict(name="weighted_product", target=1.0, beta=0.1), "weighted_product: beta must be 0 or"),
    (dict(name="absolute", target=1.0, beta=0.0), "absolute: beta must be below 0"),
    (dict(name="fbnet"), "unknown name in dnas.cost.objective: 'fbnet'"),
  ],
)
def test_errors(spec, message):
  with pytest.raises(DnasError, match=message):
    naming.bind(spec, objective)
