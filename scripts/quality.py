# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Breaks one line at a time of the modules that matter most, in a copy: do the tests notice?

python scripts/quality.py --mutants 5 --only space          a first look
python scripts/quality.py                                   the table of paper_results/quality
"""

import pathlib
import shlex
import sys

from dnas.config import Parser, at_least, folder
from dnas.errors import one_line_errors
from dnas.tables import quality

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  """Reads the command line and makes the table."""
  parser = Parser(description=__doc__)
  parser.add_argument(
    "--only", action="append", default=[], metavar="PART", help="modules with this in their path"
  )
  parser.add_argument("--mutants", type=at_least(1), default=16, help="of each module")
  parser.add_argument("--seed", type=int, default=0, help="which lines are broken")
  parser.add_argument(
    "--workdir",
    type=folder,
    default=pathlib.Path("runs/quality"),
    metavar="DIR",
    help="where it goes on",
  )
  parser.add_argument(
    "--out",
    type=folder,
    default=ROOT / "paper_results" / "quality",
    metavar="DIR",
    help="of the table; default: paper_results/quality",
  )
  flags = parser.parse_args()
  with one_line_errors():
    quality.make(
      ROOT,
      flags.out,
      flags.workdir.absolute(),
      command=shlex.join(["python", "scripts/quality.py", *sys.argv[1:]]),
      only=flags.only,
      count=flags.mutants,
      seed=flags.seed,
    )


if __name__ == "__main__":
  main()
