# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""dnas.tables.plot: names that can be read."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dnas.tables import plot


def test_names_cover_neither_each_other_nor_points():
  """Five methods at one point, one at the right edge, one whose error bar crosses the others."""
  figure = Figure(figsize=(7, 4.2), layout="constrained")
  axes = figure.subplots()
  axes.set(xlim=(0, 1), ylim=(0, 1))
  points = {f"method_{i}": (0.5, 0.5, 0.0) for i in range(5)}
  points |= {"a_long_name_at_the_edge": (0.99, 0.2, 0.0), "bar": (0.55, 0.5, 0.4)}
  texts = plot._name(axes, points)
  assert [text.get_text() for text in texts] == [*points]
  renderer = FigureCanvasAgg(figure).get_renderer()
  boxes = [text.get_window_extent(renderer) for text in texts]
  assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
  assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
  for x, y, half in points.values():
    for part in (-half, 0, half):
      pixel = axes.transData.transform((x, y + part))
      assert not any(box.contains(*pixel) for box in boxes)
