# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Learning curves: bad candidates are stopped early, or a strategy says how long it looks at each.

Both are made of evaluators at several lengths: `look_up(table, epochs=e)`, or a short training of
so many epochs.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dnas.errors import DnasError
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import Evaluator, score_of

AtEpochs = Callable[[int], Evaluator]
_RATES = np.geomspace(0.02, 5.0, 200)


class CurveError(DnasError):
  """Epochs or scores that are no learning curve."""


class PowerLaw(NamedTuple):
  """score(t) = limit - gap * t^-rate."""

  limit: float
  gap: float
  rate: float

  def __call__(self, epochs: float) -> float:
    """The score after so many epochs."""
    return self.limit - self.gap * epochs**-self.rate


def fit(epochs: Sequence[float], scores: Sequence[float]) -> PowerLaw:
  """argmin over limit, gap >= 0 and rate of sum_i (score_i - limit + gap * t_i^-rate)^2.

  For a given rate, limit and gap are linear regression; the rate is searched on a grid from 0.02 to
  5. Curves that fall get gap 0: their mean.

  Args:
    epochs: three or more, rising, from 1 on.
    scores: as many.

  Raises:
    CurveError: fewer points, epochs that do not rise, scores that are not finite.

  Source: pow3 of Domhan et al. 2015 (IJCAI), table 1.
  """
  t, y = np.asarray(epochs, np.float64), np.asarray(scores, np.float64)
  if t.ndim != 1 or t.shape != y.shape or len(t) < 3:
    raise CurveError(f"a learning curve needs 3 or more points, got {t.shape} and {y.shape}")
  if t[0] < 1 or np.any(np.diff(t) <= 0):
    raise CurveError(f"epochs must rise from 1 on, got {t.tolist()}")
  if not np.all(np.isfinite(y)):
    raise CurveError(f"scores must be finite, got {y.tolist()}")
  x = t ** -_RATES[:, None]  # [R, N]
  x_centred, y_centred = x - x.mean(1, keepdims=True), y - y.mean()
  gaps = np.maximum(-(x_centred @ y_centred) / (x_centred**2).sum(1), 0.0)
  errors = ((y_centred + gaps[:, None] * x_centred) ** 2).sum(1)
  best = int(errors.argmin())
  gap = float(gaps[best])
  return PowerLaw(float(y.mean() + gap * x[best].mean()), gap, float(_RATES[best]))


def early_stopping(
  at: AtEpochs,
  epochs: Sequence[int],
  threshold: float,
  margin: float = 0.0,
  field: str = "epochs",
) -> Evaluator:
  """Evaluates at rising `epochs`, until the curve says that the last will stay below `threshold`.

  From three points on, a candidate is given up when fit(points)(epochs[-1]) + margin < threshold.
  Its score is then its last one, and the threshold at most: never a guess. The threshold is fixed,
  not the best so far, so that an evaluation does not depend on others and a search can resume.

  Args:
    at: epochs -> the evaluator after so many.
    epochs: three or more, rising; the last is what the score stands for.
    threshold: in units of the score; a known baseline's.
    margin: how far the extrapolation may be too low.
    field: what `epochs` counts.

  Returns:
    An evaluator; besides `score` it gives `field`, how many were looked at, and `stopped`, 1 or 0.

  Raises:
    CurveError: the epochs are not as above.
  """
  fit(epochs, [0.0] * len(epochs))  # the same rules as for a curve

  def evaluate(genotype: SearchSpace, key: Any) -> dict[str, float]:
    scores: list[float] = []
    for i, epoch in enumerate(epochs):
      scores.append(score_of(at(epoch)(genotype, key)))
      is_last, diverged = i == len(epochs) - 1, not math.isfinite(scores[-1])
      hopeless = diverged or (
        i >= 2 and fit(epochs[: i + 1], scores)(epochs[-1]) + margin < threshold
      )
      if hopeless and not is_last:
        score = scores[-1] if diverged else min(scores[-1], threshold)
        return {"score": score, field: epoch, "stopped": 1.0}
    return {"score": scores[-1], field: epochs[-1], "stopped": 0.0}

  return evaluate


def check_lengths(what: str, values: Sequence[float], least: int) -> None:
  """CurveError unless `values` are `least` or more numbers above 0, each larger than the last."""
  are_numbers = isinstance(values, Sequence) and all(type(v) in (int, float) for v in values)
  rise = are_numbers and all(a < b for a, b in itertools.pairwise([0, *values]))
  if not rise or len(values) < least:
    raise CurveError(f"{what}: must be {least} or more rising numbers above 0, got {values!r}")


class AtLengths:
  """f(x, key, r) = the evaluator of the r-th length: an `Evaluator` with rungs.

  For strategies that look at many candidates shortly and at few for long, `successive_halving`.

  Args:
    field: what is longer at a higher rung, "steps" or "epochs"; its value is among the metrics.
    at: that value -> the evaluator, two or more, the shortest first.

  Raises:
    CurveError: the lengths do not rise; when called: there is no such rung.
  """

  def __init__(self, field: str, at: Mapping[float, Evaluator]):
    check_lengths(field, list(at), 2)
    self.field, self.at = field, dict(at)
    self.rungs = len(self.at)

  def __call__(self, genotype: SearchSpace, key: Any, rung: int) -> dict[str, float]:
    """The metrics of a genotype at a rung, counted from 0."""
    if rung not in range(self.rungs):
      raise CurveError(f"rung {rung}: {self.field} has the lengths {list(self.at)}, from rung 0 on")
    value, evaluate = list(self.at.items())[rung]
    return {**evaluate(genotype, key), self.field: float(value)}
