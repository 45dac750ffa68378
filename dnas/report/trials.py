# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a tuning: how its trials went, and which fields mattered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dnas.figures import colour


def draw_trials(tuning: Mapping[str, Any]) -> Figure:
  """Left the scores of the trials and the best so far, right their course; pruned ones dashed.

  Args:
    tuning: the content of `tuning.json`, see `dnas.tune`.
  """
  figure = Figure(figsize=(9.5, 3.2), layout="constrained")
  left, right = figure.subplots(1, 2)
  complete = [t for t in tuning["trials"] if t["state"] == "complete"]
  numbers, scores = [t["number"] for t in complete], [t["score"] for t in complete]
  left.plot(numbers, scores, "o", color=colour(0), label="complete")
  pruned = [t for t in tuning["trials"] if t["state"] == "pruned" and t["course"]]
  last = [t["course"][-1][1] for t in pruned]
  left.plot([t["number"] for t in pruned], last, "x", color=colour(1), label="pruned")
  left.step(numbers, np.maximum.accumulate(scores), where="post", color=colour(2), label="best")
  left.set(xlabel="trial", ylabel=tuning["score"])
  left.legend(fontsize=8)
  for trial in tuning["trials"]:
    if trial["course"]:
      style = dict(linestyle="--", color=colour(1)) if trial["state"] == "pruned" else {}
      right.plot(*zip(*trial["course"]), **{"color": colour(0), "linewidth": 1.0, **style})
  right.set(xlabel="step of the training", ylabel=tuning["score"])
  for axes in (left, right):
    axes.grid(alpha=0.3)
  return figure


def draw_importance(importance: Mapping[str, float]) -> Figure:
  """How much of the scores' variation each field explains (fANOVA), as bars; they add up to 1."""
  names = sorted(importance, key=lambda name: importance[name])
  figure = Figure(figsize=(6.4, 0.9 + 0.32 * len(names)), layout="constrained")
  axes = figure.subplots()
  bars = axes.barh(names, [importance[name] for name in names], color=colour(0))
  axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
  axes.set(xlabel="share of the variation of the score", xlim=(0, 1.1))
  axes.tick_params(labelsize=8)
  return figure
