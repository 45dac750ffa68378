# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What all figures share: their colours, and how they become files."""

import io
import pathlib

import matplotlib

matplotlib.use("Agg")  # before pyplot: runs have no screen

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from dnas import files

# Distinguishable without colour vision (Okabe and Ito 2008); on light and on dark ground.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")


def save(figure: Figure, *paths: pathlib.Path, title: str | None = None) -> None:
  """Writes a figure, atomically, in the format of each file's suffix, and closes it.

  The same numbers give the same bytes: no date, no random identifiers.

  Args:
    figure: its texts stay texts in an SVG.
    paths: the files.
    title: stands in their metadata.
  """
  for path in paths:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dnas", "svg.fonttype": "none"}):
      about = {"Date": None} | ({} if title is None else {"Title": title})
      figure.savefig(buffer, format=path.suffix[1:], dpi=130, metadata=about)
    files.atomic_write(path, buffer.getvalue())
  plt.close(figure)
