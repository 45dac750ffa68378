# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The front that a black-box search has found, as a table and a picture in its folder."""

import csv
import io
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from dnas import figures, files
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import Query, comparable
from dnas.strategy.nsga2 import pareto


def write(
  folder: pathlib.Path, space: SearchSpace, queries: Sequence[Query], costs: Sequence[str]
) -> list[Query]:
  """Writes `front.csv`, `front.svg` and the genotypes `front/NUMBER.json`; returns the front.

  Args:
    folder: of the search.
    space: that was searched.
    queries: all that was evaluated.
    costs: names of the costs among the metrics; the picture shows the first.
  """
  found = pareto(queries, costs)
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator="\n")
  writer.writerow(["query", "score", *costs])
  writer.writerows([q.number, q.metrics["score"], *(q.metrics[c] for c in costs)] for q in found)
  files.atomic_write(folder / "front.csv", buffer.getvalue())
  for query in found:
    path = folder / "front" / f"{query.number}.json"
    files.atomic_write(path, space.decide(query.choices).to_json())
  figure = Figure(figsize=(5, 3.6), layout="constrained")
  axes = figure.subplots()
  points = lambda several: [[q.metrics[name] for q in several] for name in (costs[0], "score")]
  axes.plot(
    *points(comparable(queries)), ".", color=figures.colour(-1), markersize=3, label="looked at"
  )
  axes.step(
    *points(found), "o-", where="post", color=figures.colour(1), markersize=4, label="front"
  )
  axes.set(xlabel=costs[0], ylabel="score")
  axes.legend()
  axes.grid(alpha=0.3)
  figures.save(figure, folder / "front.svg")
  return found
