# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Quality and cost as one number.

Every public function returns a function of two scalars, so that a config can name it. The first
three are for gradients, `(loss, expected cost) -> loss`, to be made small; the last two are for
black-box strategies, `(quality, cost) -> reward`, to be made large.

>>> from dnas.cost import objective
>>> priced = objective.linear(reference=2.0, strength=0.5)
>>> priced(1.0, 3.0)  # a loss of 1, at a cost half as high again as usual
1.25
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from dnas.errors import DnasError, check_number

Objective = Callable[[Any, Any], Any]
LOSSES = ("linear", "power_of_log", "log_ratio")
REWARDS = ("weighted_product", "absolute")


def linear(reference: float, strength: float = 0.2) -> Objective:
  """L + strength * (E - reference) / reference, E the expected cost.

  Args:
    reference: the cost that counts as usual, above 0, in the cost's unit.
    strength: of the term; a sweep of it gives a front.

  Raises:
    DnasError: an argument out of range.

  Source: ProxylessNAS (Cai et al. 2019, arXiv:1812.00332), section 3.2.2; this form and 0.2: the
  authors' code (`add#linear` in search/nas_manager of mit-han-lab/proxylessnas).
  """
  check_number("linear: reference", reference, above=0)
  check_number("linear: strength", strength, least=0)
  return lambda loss, cost: loss + strength * (cost - reference) / reference


def log_ratio(reference: float, alpha: float = 1.0, beta: float = 0.6) -> Objective:
  """alpha * L * (log E / log reference)^beta, E the expected cost.

  Args:
    reference: above 1, in the cost's unit: costs must be given in a unit in which they exceed 1.
    alpha: a factor.
    beta: the exponent, 0 or more.

  Raises:
    DnasError: an argument out of range.

  Source: ProxylessNAS' code (`mul#log`, as `linear`), with its defaults.
  """
  check_number("log_ratio: reference", reference, above=1)
  check_number("log_ratio: alpha", alpha, above=0)
  check_number("log_ratio: beta", beta, least=0)
  scale = float(jnp.log(reference))
  return lambda loss, cost: alpha * loss * (_log(cost) / scale) ** beta


def power_of_log(alpha: float = 0.2, beta: float = 0.6, per_unit: float = 1000.0) -> Objective:
  """L * alpha * log(per_unit * E)^beta, E the expected cost.

  Args:
    alpha: a factor.
    beta: the exponent, 0 or more.
    per_unit: E is multiplied by it first, because its logarithm must be above 0: 1000 makes
      microseconds of milliseconds.

  Raises:
    DnasError: an argument out of range.

  Source: FBNet (Wu et al. 2019, arXiv:1812.03443), eq. 2; alpha 0.2 and beta 0.6 are the paper's,
  the unit of its latencies is not known to us (unverified).
  """
  check_number("power_of_log: alpha", alpha, above=0)
  check_number("power_of_log: beta", beta, least=0)
  check_number("power_of_log: per_unit", per_unit, above=0)
  return lambda loss, cost: loss * alpha * _log(per_unit * cost) ** beta


def weighted_product(
  target: float, alpha: float = -0.07, beta: float = -0.07
) -> Callable[[float, float], float]:
  """ACC * (cost / target)^w, w = alpha where cost <= target and beta above.

  The quality ACC is 0 or more: a loss with its sign changed would be the better the more it costs.

  Args:
    target: the cost aimed at, above 0.
    alpha: 0 or less; 0 with beta = -1 makes `target` a nearly hard limit.
    beta: 0 or less.

  Raises:
    DnasError: an argument out of range; when called: a quality below 0 (-inf, of what diverged,
      stays).

  Source: MnasNet (Tan et al. 2019, arXiv:1807.11626), eq. 2 and 3.
  """
  check_number("weighted_product: target", target, above=0)
  check_number("weighted_product: alpha", alpha, most=0)
  check_number("weighted_product: beta", beta, most=0)

  def reward(quality: float, cost: float) -> float:
    if -math.inf < quality < 0:
      raise DnasError(
        f"weighted_product: the quality must be 0 or more, got {quality}; valid for any: absolute"
      )
    return quality * (max(cost, 1e-12) / target) ** (alpha if cost <= target else beta)

  return reward


def absolute(target: float, beta: float = -0.07) -> Callable[[float, float], float]:
  """Q + beta |cost / target - 1|, beta < 0: what is cheaper than the target gains nothing.

  Args:
    target: the cost aimed at, above 0.
    beta: below 0, for a quality Q in [0, 1].

  Raises:
    DnasError: an argument out of range.

  Source: TuNAS (Bender et al. 2020, arXiv:2008.06120), section 3; MobileDets (Xiong et al. 2021,
  arXiv:2004.14525), eq. 1, with mAP for Q. The default is of MnasNet's size (unverified here).
  """
  check_number("absolute: target", target, above=0)
  check_number("absolute: beta", beta, below=0)
  return lambda quality, cost: quality + beta * abs(cost / target - 1)


def _log(cost: Any) -> Any:
  """log(cost), 0.01 at least: at 0 a power below 1 has no finite slope."""
  return jnp.maximum(jnp.log(jnp.maximum(cost, 1.0)), 0.01)
