# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What people look at: pictures of a run, and `report.html`, one file that opens offline.

`cells` draws genotypes, `progress` the course of a search or a training, `findings` what a network
gets right and wrong, `trials` a tuning; `svg` makes a figure a part of a page and `page` the page.
"""

import pathlib
import re
import urllib.parse
from collections.abc import Sequence

from matplotlib.figure import Figure

from dnas import figures, files
from dnas.report import page, progress
from dnas.report.cells import draw_cell, searched_cells
from dnas.space import genotypes


def write(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Leaves the pictures and `report.html` in a run's folder; returns the files."""
  return [*draw(workdir), write_page([workdir], workdir / "report.html")]


def write_page(folders: Sequence[pathlib.Path], file: pathlib.Path) -> pathlib.Path:
  """Writes the page of a run, or the one that compares several.

  Raises:
    DnasError: a folder holds no run.
  """
  files.atomic_write(file, page.page(folders))
  return file


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Draws the cells of `workdir/genotype.json` as `cell_NAME.svg` and `.png`.

  And what was observed while searching (`watch/`, see `dnas.watch`), as `search.svg` and `.png`;
  of a search in stages as `search_stage0` and so on.
  """
  genotype = genotypes.load(workdir / "genotype.json")
  paths = []
  for name, cell in searched_cells(genotype).items():
    paths += _save(draw_cell(cell, name), workdir / f"cell_{_file(name)}", f"cell {name}: {cell}")
  for stage in progress.stages(workdir):
    if watched := progress.read_watch(stage):
      name = "search" if stage == workdir else f"search_{stage.name}"
      paths += _save(progress.draw_search(watched), workdir / name, "the search")
  return paths


def _file(name: str) -> str:
  """A cell's name as a part of a file's; what folders and shells make something of as %2F."""
  return re.sub(r"[^\w.-]", lambda found: urllib.parse.quote(found[0], safe=""), name)


def _save(figure: Figure, path: pathlib.Path, title: str) -> list[pathlib.Path]:
  paths = [path.with_name(f"{path.name}.{suffix}") for suffix in ("svg", "png")]
  figures.save(figure, *paths, title=title)
  return paths
