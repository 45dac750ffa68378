# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Precision over recall: classes can be told apart, and many stand in grey behind their mean."""

import re
import types

import numpy as np
import pytest

from dnas import figures
from dnas.detection import charts


@pytest.mark.parametrize("count", [20, 21])
def test_lines_of_classes(count):
  box = types.SimpleNamespace(
    precision=np.ones((count, 5)), classes=range(count), ap=np.ones((count, 10)), map50=1.0
  )
  figure = charts.precision_recall(box, [f"class {k}" for k in range(count)])
  lines = figure.axes[0].lines
  looks = {(line.get_color(), line.get_linestyle()) for line in lines[:-1]}
  assert looks == {("0.75", "-")} if count == 21 else len(looks) == 20
  assert (len(lines), lines[-1].get_color()) == (count + 1, "black")


def test_names_of_classes_are_shown_as_they_are():
  """A `$` is no maths, and a `_` in front hides nothing."""
  names = ["_first", "a$\\x$", "$b$"]
  box = types.SimpleNamespace(
    precision=np.ones((3, 5)), classes=range(3), ap=np.ones((3, 10)), map50=1.0
  )
  said = [f"{name} 1.000" for name in names]
  for figure, shown in (
    (charts.precision_recall(box, names), said),
    (charts.confusion(np.eye(4, dtype=int), names), names),
  ):
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", figures.drawn(figure, "svg").decode())
    assert set(shown) <= set(texts)
