# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of paper_results/.

python scripts/reproduce.py --list
python scripts/reproduce.py detection_digit_scenes --seeds 3
"""

import argparse
import functools
import pathlib
import shlex
import sys

from dnas import memory, mesh
from dnas.config import Parser
from dnas.errors import one_line_errors
from dnas.tables import detection

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _literal(text: str) -> tuple[str, str]:
  field, equals, value = text.removeprefix("--config.").partition("=")
  if not equals:
    raise argparse.ArgumentTypeError(f"{text!r} sets nothing: write --set train.steps=100")
  return field, value


# name -> (what it shows, run time on 2 cores, data, how it is made)
TABLES = {
  "detection_digit_scenes": (
    "searched, random and hand-made cells at equal MACs, retrained alike",
    "not timed yet",
    "embedded",
    functools.partial(detection.compare, ROOT / "configs" / "quickstart.py"),
  ),
  "detection_spread": (
    "AP of random cells: does the cell matter?",
    "not timed alone yet",
    "embedded",
    functools.partial(detection.spread, ROOT / "configs" / "quickstart.py"),
  ),
}


def main() -> None:
  """Reads the command line and makes one table."""
  parser = Parser(
    description="Makes the tables of paper_results/; what is there already is not computed again."
  )
  parser.add_argument("table", nargs="?", choices=sorted(TABLES), help="see --list")
  parser.add_argument("--list", action="store_true", help="the tables, and what each takes")
  parser.add_argument("--seeds", type=int, default=3, help="seeds, or cells of detection_spread")
  parser.add_argument("--out", type=pathlib.Path, help="default: paper_results/TABLE")
  parser.add_argument("--workdir", type=pathlib.Path, help="of the runs; default: runs/TABLE")
  parser.add_argument(
    "--set",
    type=_literal,
    action="append",
    default=[],
    metavar="FIELD=VALUE",
    dest="overrides",
    help="sets a field of the config, as --config.FIELD=VALUE elsewhere",
  )
  flags = parser.parse_args()
  if flags.list or flags.table is None:
    for name, (what, takes, needs, _) in TABLES.items():
      print(f"{name:24} {what}; {takes}; data: {needs}")
    return
  if flags.seeds < 1:
    parser.error(f"--seeds must be 1 or more, got {flags.seeds}")
  memory.keep()
  mesh.enable_compilation_cache()
  with one_line_errors():
    make = TABLES[flags.table][-1]
    count = "cells" if flags.table == "detection_spread" else "seeds"
    make(
      flags.out or ROOT / "paper_results" / flags.table,
      flags.workdir or pathlib.Path("runs", flags.table),
      command=shlex.join(["python", "scripts/reproduce.py", *sys.argv[1:]]),
      overrides=dict(flags.overrides),
      **{count: flags.seeds},
    )


if __name__ == "__main__":
  main()
