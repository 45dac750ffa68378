# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a detector's figures: precision over recall, and what it takes for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dnas import figures
from dnas.detection.curves import CONFUSION_IOU, CONFUSION_SCORE, Box

_NAMED = 20  # with more classes than this, only the mean is drawn in colour
_HORIZONTAL = 40  # letters that have room beside each other below a matrix


def precision_recall(box: Box, names: Sequence[str]) -> Figure:
  """Precision over recall at IoU 0.5, a line a class and a thick one for their mean.

  Args:
    box: the figures.
    names: of all classes.
  """
  figure = Figure(figsize=(7.2, 4.6), layout="constrained")
  axes = figure.add_subplot()
  recall = np.linspace(0, 1, box.precision.shape[1])
  few = len(box.classes) <= _NAMED
  lines, said = [], []
  for k, label in enumerate(box.classes):
    style: dict[str, Any] = figures.line(k) if few else {"color": "0.75"}
    (line,) = axes.plot(recall, box.precision[k], linewidth=1.2 if few else 0.6, **style)
    if few:
      lines.append(line)
      said.append(f"{names[label]} {box.ap[k, 0]:.3f}")
  if len(box.classes):
    mean = box.precision.mean(0)
    lines += axes.plot(recall, mean, color="black", linewidth=2.4)
    said.append(f"all classes {box.map50:.3f}")
    style = dict(title="AP at IoU 0.5", title_fontsize=9, loc="outside right upper", fontsize=8)
    figures.legend(figure, lines, said, **style)
  axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
  axes.set_title("precision over recall at IoU 0.5", fontsize=9)
  axes.grid(alpha=0.3)
  return figure


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
  """The matrix of `curves.confusion`.

  Args:
    matrix: int `[C + 1, C + 1]`.
    names: C names.
  """
  title = f"confusion matrix: score above {CONFUSION_SCORE}, IoU above {CONFUSION_IOU}"
  return counts(matrix, [*names, "background"], title)


def counts(matrix: np.ndarray, labels: Sequence[str], title: str = "") -> Figure:
  """A square matrix of counts, coloured by the share of each column, counts written in.

  Args:
    matrix: rows predicted, columns true.
    labels: of its rows and columns.
    title: stands above it.
  """
  side = float(np.clip(0.45 * len(labels) + 2, 4.5, 14))
  figure = Figure(figsize=(side + 1, side), layout="constrained")
  axes = figure.add_subplot()
  share = matrix / np.maximum(matrix.sum(0, keepdims=True), 1)
  image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
  if len(labels) <= _NAMED + 1:
    for i, j in np.argwhere(matrix > 0).tolist():
      colour = "#fefefe" if share[i, j] > 0.5 else "#111111"
      axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour, fontsize=8)
  size = 8 if len(labels) <= 40 else 5
  room = len(labels) * max(map(len, labels), default=0) <= _HORIZONTAL
  shown = [figures.words(label) for label in labels]
  axes.set_xticks(range(len(labels)), shown, rotation=0 if room else 90, fontsize=size)
  axes.set_yticks(range(len(labels)), shown, fontsize=size)
  axes.set(xlabel="true", ylabel="predicted")
  axes.set_title(title, fontsize=9)
  figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true ones")
  return figure
