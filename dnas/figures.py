# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What all figures share: their colours, and how they become files."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from dnas import files

# Distinguishable without colour vision (Okabe and Ito 2008); on light and on dark ground.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")


def colour(n: int) -> str:
  """The n-th colour, from the first again after the last; -1 is the grey one."""
  return COLOURS[n % len(COLOURS)]


def line(n: int) -> dict[str, Any]:
  """How the n-th of many lines is drawn: those of the same colour are dashed, then dotted."""
  return dict(color=colour(n), linestyle=("-", "--", ":")[n // len(COLOURS) % 3])


def words(text: str) -> str:
  """A text that a figure shows as it is: matplotlib takes what stands between dollars for maths."""
  return text.replace("$", r"\$")


def legend(
  owner: Axes | Figure, lines: Sequence[Artist], names: Sequence[str], **options: Any
) -> Legend:
  """A legend that shows every name as it is: matplotlib leaves out those that begin with `_`.

  Args:
    owner: of the legend.
    lines: what is named.
    names: of each.
    options: of `Axes.legend` or `Figure.legend`.
  """
  made = owner.legend(lines, [str(n) for n in range(len(names))], **options)
  for text, name in zip(made.get_texts(), names, strict=True):
    text.set_text(words(name))
  return made


def drawn(figure: Figure, format: str, title: str | None = None, **options: Any) -> bytes:
  """A figure in a format of matplotlib's.

  The same numbers give the same bytes: no date, no random identifiers.

  Args:
    figure: its texts stay texts in an SVG.
    format: "svg", "png", ...
    title: stands in its metadata.
    options: of `Figure.savefig`.
  """
  buffer = io.BytesIO()
  about = {"Date": None} | ({} if title is None else {"Title": title})
  with matplotlib.rc_context({"svg.hashsalt": "dnas", "svg.fonttype": "none"}):
    figure.savefig(buffer, format=format, metadata=about, **options)
  return buffer.getvalue()


def save(figure: Figure, *paths: pathlib.Path, title: str | None = None) -> None:
  """Writes a figure, as `drawn`, in the format of each file's suffix, atomically."""
  for path in paths:
    files.atomic_write(path, drawn(figure, path.suffix[1:], title, dpi=130))
