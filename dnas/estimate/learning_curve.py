# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Learning curves: stop bad candidates early, and halve a set of them as training goes on.

Both take a function epochs -> Evaluator: `lambda e: look_up(table, epochs=e)`, or a short training
of so many epochs.
"""

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
  at: AtEpochs, epochs: Sequence[int], threshold: float, margin: float = 0.0
) -> Evaluator:
  """Evaluates at rising `epochs`, until the curve says that the last will stay below `threshold`.

  From three points on, a candidate is given up when fit(points)(epochs[-1]) + margin < threshold.
  Its score is then the highest it has had: it is below the threshold, as are all that were given
  up, and never a guess. The threshold is fixed, not the best so far, so that an evaluation does not
  depend on others and a search can resume.

  Args:
    at: epochs -> the evaluator after so many.
    epochs: three or more, rising; the last is what the score stands for.
    threshold: in units of the score; a known baseline's.
    margin: how far the extrapolation may be too low.

  Returns:
    An evaluator; besides `score` it gives `epochs`, those looked at last, and `stopped`, 1 or 0.

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
        score = scores[-1] if diverged else min(max(scores), threshold)
        return {"score": score, "epochs": epoch, "stopped": 1.0}
    return {"score": scores[-1], "epochs": epochs[-1], "stopped": 0.0}

  return evaluate


class Rung(NamedTuple):
  """One round of successive halving.

  Attributes:
    epochs: of this round.
    scores: index of a candidate -> its score; the candidates of this round only.
  """

  epochs: int
  scores: Mapping[int, float]

  def ranked(self) -> list[int]:
    """The candidates, best first; of equals the earlier one."""
    return sorted(self.scores, key=lambda i: (-self.scores[i], i))


def successive_halving(
  candidates: Sequence[SearchSpace],
  at: AtEpochs,
  epochs: Sequence[int],
  eta: int = 2,
  keys: Sequence[Any] | None = None,
) -> list[Rung]:
  """Round r evaluates the best ceil(n / eta^r) candidates at `epochs[r]`.

  With epochs that grow by eta every round costs alike, n * epochs[0]. The winner is
  `rungs[-1].ranked()[0]`.

  Args:
    candidates: n genotypes.
    at: epochs -> the evaluator after so many.
    epochs: one number a round, rising.
    eta: one in so many goes on.
    keys: one for each candidate; None: none, for look-ups.

  Raises:
    CurveError: no candidates, epochs that do not rise, eta below 2, or keys of another number.

  Source: Jamieson and Talwalkar 2016 (arXiv:1502.07943).
  """
  if not candidates:
    raise CurveError("successive_halving: no candidates")
  if not epochs or any(b <= a for a, b in zip([0, *epochs], epochs)):
    raise CurveError(f"successive_halving: epochs must rise from 1 on, got {list(epochs)}")
  if eta < 2:
    raise CurveError(f"successive_halving: eta must be 2 or more, got {eta}")
  keys = [None] * len(candidates) if keys is None else keys
  if len(keys) != len(candidates):
    raise CurveError(f"successive_halving: {len(keys)} keys for {len(candidates)} candidates")
  left, rungs = list(range(len(candidates))), []
  for number, epoch in enumerate(epochs):
    left = left[: math.ceil(len(candidates) / eta**number)]
    evaluate = at(epoch)
    rungs.append(Rung(epoch, {i: score_of(evaluate(candidates[i], keys[i])) for i in left}))
    left = rungs[-1].ranked()
  return rungs
