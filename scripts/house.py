# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Draws which parts of dnas import which: floors, folders, modules, arrows.

python scripts/house.py
"""

import pathlib

from dnas import figures
from dnas.config import Parser
from dnas.errors import one_line_errors
from dnas.tables import house

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  """Reads the command line and draws the picture."""
  parser = Parser(description=__doc__)
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    default=ROOT / "paper_results" / "quality" / "house.svg",
    metavar="FILE.svg",
    help="default: paper_results/quality/house.svg",
  )
  flags = parser.parse_args()
  with one_line_errors():
    figures.save(house.draw(ROOT / "dnas"), flags.out)


if __name__ == "__main__":
  main()
