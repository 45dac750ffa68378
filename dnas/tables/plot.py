# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Plots beside the tables."""

import io
import pathlib
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")  # before pyplot: runs have no screen

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dnas import log
from dnas.tables.table import Row


def save(figure: Figure, path: pathlib.Path) -> None:
  """Writes a figure atomically, in the format of the file's suffix, and closes it."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format=path.suffix[1:], dpi=130, metadata={"Date": None})
  plt.close(figure)
  log.atomic_write(path, buffer.getvalue())


def bars(path: pathlib.Path, rows: Sequence[Row], label: str) -> None:
  """`mean` with `std` as a bar per method, grouped by data set; published values as crosses."""
  methods = list(dict.fromkeys(row["method"] for row in rows))
  datasets = list(dict.fromkeys(row["dataset"] for row in rows))
  figure, axes = plt.subplots(figsize=(1.5 + 1.1 * len(methods), 3.6))
  width = 0.8 / len(datasets)
  for n, dataset in enumerate(datasets):
    mine = {row["method"]: row for row in rows if row["dataset"] == dataset}
    at = np.arange(len(methods)) + (n - (len(datasets) - 1) / 2) * width
    means, stds = ([float(mine[m][field]) for m in methods] for field in ("mean", "std"))
    axes.bar(at, means, width, yerr=stds, label=dataset, error_kw=dict(lw=0.8))
    known = [(x, float(mine[m]["published"])) for x, m in zip(at, methods) if mine[m]["published"]]
    if known:
      axes.plot(*zip(*known), "kx", markersize=5, label="published" if n == 0 else None)
  axes.set_xticks(range(len(methods)), methods, rotation=20)
  axes.set_ylabel(label, fontsize=8)
  axes.axhline(0, color="black", linewidth=0.8)
  axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15))
  figure.tight_layout()
  save(figure, path)
