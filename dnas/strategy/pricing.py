# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Cost inside a search: an objective of loss and expected cost, and Lagrange multipliers.

    what alpha lowers = objective(loss, E[c]) + sum_i m_i (E[c_i] / budget_i - 1)
    m_i <- max(0, m_i + rate (E[c_i] / budget_i - 1)) after each step of alpha

E is under the mixing weights of the step. The multiplier grows while the expected cost is above its
budget and falls below it, so that the search ends near the budget; `budgets.within` then makes the
genotype keep it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.cost.model import CostModel
from dnas.errors import DnasError, check_number, choose_from

Multipliers = dict[str, jax.Array]


class Pricing(NamedTuple):
  """How a search sees cost, as functions.

  Attributes:
    init: () -> multipliers, one scalar a budget.
    loss: (loss, weights, multipliers) -> what alpha lowers.
    update: (weights, multipliers) -> (multipliers, metrics): `expected/NAME` of each cost and
      `multiplier/NAME` of each budget.
  """

  init: Callable[[], Multipliers]
  loss: Callable[[jax.Array, Mapping[str, Any], Multipliers], jax.Array]
  update: Callable[[Mapping[str, Any], Multipliers], tuple[Multipliers, dict[str, jax.Array]]]


def pricing(
  costs: Mapping[str, CostModel],
  budgets: Mapping[str, float] | None = None,
  objective: Callable[[Any, Any], Any] | None = None,
  priced: str | None = None,
  rate: float | None = None,
) -> Pricing:
  """Cost as a search sees it.

  Args:
    costs: the models that are watched, by name.
    budgets: name of a cost -> the most that is allowed.
    objective: of `cost.objective`: (loss, expected cost) -> loss; None leaves the loss as it is.
    priced: the cost that the objective gets; needed with one.
    rate: of the multipliers, a step; needed with budgets.

  Raises:
    DnasError: a budget or `priced` names no cost, or `rate` is not above 0.

  Source: the method of multipliers by dual ascent (Uzawa 1958); for latency in a search, HardCoRe-
  NAS (Nayman et al. 2021, arXiv:2102.11646) has the constraint, by another algorithm.
  """
  budgets = dict(budgets or {})
  for name in [*budgets, *([priced] if objective is not None else [])]:
    if name not in costs:
      raise DnasError(choose_from("cost:", name, costs))
  if budgets or rate is not None:
    check_number("cost.rate", rate, above=0)

  def init() -> Multipliers:
    return {name: jnp.zeros((), jnp.float32) for name in budgets}

  def excess(weights: Mapping[str, Any], name: str) -> jax.Array:
    return costs[name].expected(weights) / budgets[name] - 1

  def loss(value: jax.Array, weights: Mapping[str, Any], multipliers: Multipliers) -> jax.Array:
    if objective is not None:
      assert priced is not None
      value = objective(value, costs[priced].expected(weights))
    return sum((multipliers[name] * excess(weights, name) for name in budgets), start=value)

  def update(weights: Mapping[str, Any], multipliers: Multipliers):
    def climb(name: str) -> jax.Array:
      assert rate is not None
      return jnp.maximum(0.0, multipliers[name] + rate * excess(weights, name))

    moved = {name: climb(name).astype(multipliers[name].dtype) for name in budgets}
    metrics = {f"expected/{name}": model.expected(weights) for name, model in costs.items()}
    return moved, metrics | {f"multiplier/{name}": value for name, value in moved.items()}

  return Pricing(init, loss, update)
