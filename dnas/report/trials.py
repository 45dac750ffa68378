# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A tuning on a page: the best trial, how all went, and which fields mattered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dnas.figures import colour
from dnas.report import html


def parts(tuning: Mapping[str, Any]) -> list[str]:
  """What the page shows of a tuning; nothing of none.

  Args:
    tuning: the content of `tuning.json`, see `dnas.tune`, or {}.
  """
  if not tuning:
    return []
  trials, importance = tuning["trials"], tuning["importance"]
  fields = list(dict.fromkeys(name for t in trials for name in t["fields"]))
  row = lambda t: [t["number"], t["score"], *(t["fields"].get(field, "") for field in fields)]
  complete = [t for t in trials if t["state"] == "complete"]
  best = [max(complete, key=lambda t: t["score"])] if complete else []
  every = [
    [*("" if v is None else v for v in row(t)), t["state"], t.get("error") or ""] for t in trials
  ]
  # Errors are few, and long.
  last = None if any(t.get("error") for t in trials) else -1
  head = ("trial", "score", *fields, "state", "why it failed")[:last]
  return [
    html.table(("best trial", tuning["score"], *fields), [row(t) for t in best]),
    html.grid(
      html.figure(draw_trials(tuning), "trials", "Scores of the trials", wide=True),
      html.figure(
        draw_importance(importance) if importance else None,
        "importance",
        "Which fields the score depends on",
        wide=True,
      ),
    ),
    html.folded("all trials", html.table(head, [line[:last] for line in every])),
  ]


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
