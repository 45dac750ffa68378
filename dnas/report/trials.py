# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a tuning: how its trials went, and which fields mattered."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dnas.figures import COLOURS


def draw_trials(tuning: Mapping[str, Any]) -> Figure:
  """Left the scores of the trials and the best so far, right their course; pruned ones dashed.

  Args:
    tuning: the content of `tuning.json`, see `dnas.tune`.
  """
  figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
  complete = [t for t in tuning["trials"] if t["state"] == "complete"]
  numbers, scores = [t["number"] for t in complete], [t["score"] for t in complete]
  left.plot(numbers, scores, "o", color=COLOURS[0], label="complete")
  pruned = [t for t in tuning["trials"] if t["state"] == "pruned" and t["course"]]
  last = [t["course"][-1][1] for t in pruned]
  left.plot([t["number"] for t in pruned], last, "x", color=COLOURS[1], label="pruned")
  left.step(numbers, np.maximum.accumulate(scores), where="post", color=COLOURS[2], label="best")
  left.set(xlabel="trial", ylabel=tuning["score"])
  left.legend(fontsize=8)
  for trial in tuning["trials"]:
    if trial["course"]:
      style = dict(linestyle="--", color=COLOURS[1]) if trial["state"] == "pruned" else {}
      right.plot(*zip(*trial["course"]), **{"color": COLOURS[0], "linewidth": 1.0, **style})
  right.set(xlabel="step of the training", ylabel=tuning["score"])
  for axes in (left, right):
    axes.grid(alpha=0.3)
  return figure


def draw_importance(importance: Mapping[str, float]) -> Figure:
  """How much of the scores' variation each field explains (fANOVA), as bars; they add up to 1."""
  names = sorted(importance, key=lambda name: importance[name])
  figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.32 * len(names)), layout="constrained")
  bars = axes.barh(names, [importance[name] for name in names], color=COLOURS[0])
  axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
  axes.set(xlabel="share of the variation of the score", xlim=(0, 1.1))
  axes.tick_params(labelsize=8)
  return figure
