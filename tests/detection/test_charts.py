# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Precision over recall: classes can be told apart, and many stand in grey behind their mean."""

import types

import numpy as np
import pytest

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
