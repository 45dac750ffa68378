# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints stay: the newest ones, and the best by a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class Retention:
  """Keeps the last `keep` checkpoints and the best one: a `PreservationPolicy` of Orbax."""

  def __init__(self, keep: int, metric: str | None, mode: str):
    """`metric`: the name of one of the metrics, None for no best one; `mode`: "max" or "min"."""
    self._metric, self._keep, self._sign = metric, keep, 1 if mode == "max" else -1
    self._merits: dict[int, float] = {}

  def note(self, step: int, metrics: Mapping[str, float]) -> None:
    """Remembers how good the checkpoint of a step is; without the metric, or NaN: no candidate."""
    if self._metric is not None:
      self._merits[step] = self._sign * metrics.get(self._metric, math.nan)

  def best(self, steps: Sequence[int]) -> int | None:
    """The step of the best checkpoint among these, the newer of equal ones."""
    merits = {step: self._merits.get(step, math.nan) for step in steps}
    merits = {step: merit for step, merit in merits.items() if merit > -math.inf}
    return max(merits, key=lambda step: (merits[step], step)) if merits else None

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    """Which of the finished checkpoints stay."""
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    stay = {*sorted(steps)[-self._keep :], self.best(steps)}
    return [step in stay for step in steps]
