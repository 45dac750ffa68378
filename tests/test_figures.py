# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Colours, files, and that a notebook's own figures are left alone."""

import pathlib

import matplotlib
from matplotlib.figure import Figure

import dnas
from dnas import figures
from dnas.tables import plot


def test_no_module_touches_the_users_figures():
  # pyplot keeps every figure that it makes, and `use` switches the backend of the whole process.
  for path in pathlib.Path(dnas.__file__).parent.rglob("*.py"):
    source = path.read_text(encoding="utf-8")
    assert "pyplot" not in source, path
    assert "matplotlib.use" not in source, path


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
  before = dict(matplotlib.rcParams)
  rows = [dict(method=m, dataset=d, mean=1.0, std=0.1, published="") for m in "ab" for d in "xy"]
  plot.bars(tmp_path / "bars.svg", rows, "value")
  assert dict(matplotlib.rcParams) == before
  drawn = (tmp_path / "bars.svg").read_text(encoding="utf-8").lower()
  assert all(figures.colour(n).lower() in drawn for n in (0, 1))
  figure = Figure()
  assert figures.drawn(figure, "svg", "a title") == figures.drawn(figure, "svg", "a title")


def test_colours_begin_again_and_grey_stands_before_the_first():
  assert [figures.colour(n) for n in (0, 7, -1)] == ["#0072B2", "#0072B2", "#999999"]
  assert figures.line(0) == {"color": "#0072B2", "linestyle": "-"}
  assert [figures.line(n)["linestyle"] for n in (6, 7, 13, 14, 21)] == ["-", "--", "--", ":", "-"]
