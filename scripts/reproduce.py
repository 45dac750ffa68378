# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of paper_results/. `all` makes those that are not there, as far as time allows.

Tables of searches and trainings (they take --workdir; not `export`) keep each finished run in the
table's done.jsonl and do not compute it again: another --out with another --workdir makes all anew,
and the same command started several times, with one --workdir, shares the runs. Likewise
nasbench201_zero_cost keeps scores in its --workdir, and latency and latency_mbconv keep measured
times in their --out. All others are computed anew by each call.

python scripts/reproduce.py --list
python scripts/reproduce.py detection_digit_scenes --seeds 3
python scripts/reproduce.py nasbench201_blackbox --data FOLDER
python scripts/reproduce.py all --budget 60m --data FOLDER
"""

import argparse
import contextlib
import functools
import inspect
import pathlib
import shlex
import sys
from collections.abc import Mapping

from dnas import config as configs
from dnas import process
from dnas.config import Parser, at_least, folder
from dnas.errors import one_line_errors
from dnas.progress import say
from dnas.tables import catalogue, every
from dnas.tables.once import kept

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLES = catalogue.tables(ROOT)


def main() -> None:
  """Reads the command line and makes one table, or all."""
  parser = Parser(description=__doc__)
  names = ["all", *sorted(TABLES)]
  parser.add_argument("table", nargs="?", choices=names, metavar="TABLE", help="all, or see --list")
  parser.add_argument("--list", action="store_true", help="the tables, and what each takes")
  parser.add_argument("--budget", metavar="TIME", help="for all: 90s, 60m, 1.5h; makes what fits")
  parser.add_argument(
    "--seeds",
    type=at_least(1),
    help="seeds; of detection_spread, estimates and nasbench201_zero_cost cells",
  )
  parser.add_argument(
    "--methods", type=lambda text: text.split(","), help="of the table, with commas; default: all"
  )
  parser.add_argument("--data", type=pathlib.Path, metavar="FOLDER", help="of the data, see --list")
  add_folder = functools.partial(parser.add_argument, type=folder, metavar="DIR")
  add_folder("--out", help="of the table; default: paper_results/TABLE")
  add_folder("--workdir", help="of the runs; default: runs/TABLE")
  parser.add_fields("sets a field of the table's config")
  flags, overrides = parser.parse()
  with one_line_errors():
    flags.overrides = configs.by_field(overrides)
  if flags.list or flags.table is None:
    given = ("table", "budget", "seeds", "methods", "data", "out", "workdir", "overrides")
    if others := [name for name in given if getattr(flags, name)]:
      what = "--list lists all tables" if flags.list else "without a TABLE the tables are listed"
      names = {"table": "TABLE", "overrides": "--config.FIELD=VALUE"}
      parser.error(f"{what}: {names.get(others[0], f'--{others[0]}')} does nothing there")
    print(every.listing(TABLES))
    return
  if flags.table == "all":
    _all(parser, flags)
    return
  if flags.budget is not None:
    parser.error("--budget belongs to all")
  make = TABLES[flags.table].make
  arguments = _arguments(parser, flags, inspect.signature(make).parameters)
  out = flags.out or ROOT / "paper_results" / flags.table
  runs = kept(out, arguments["workdir"]) if "workdir" in arguments else contextlib.nullcontext()
  with process.running(), runs:
    make(
      out,
      command=shlex.join(["python", "scripts/reproduce.py", *sys.argv[1:]]),
      **arguments,
    )
  say(f"the table is in {out / 'README.md'}")


def _all(parser: Parser, flags: argparse.Namespace) -> None:
  """Makes what fits into the budget."""
  if flags.budget is None:
    parser.error("all needs --budget")
  if flags.seeds is not None or flags.methods or flags.overrides:
    parser.error("all takes --budget, --data, --out and --workdir only")
  out = flags.out or ROOT / "paper_results"
  takes = {name: inspect.signature(table.make).parameters for name, table in TABLES.items()}

  def command(name: str) -> list[str]:
    words = [sys.executable, str(pathlib.Path(__file__).resolve()), name, "--out", str(out / name)]
    if "data" in takes[name]:
      words += ["--data", str(flags.data)]
    if "workdir" in takes[name]:
      words += ["--workdir", str((flags.workdir or pathlib.Path("runs")) / name)]
    return words

  lacking = {}
  for name, table in TABLES.items():
    if "data" in takes[name] and flags.data is None:
      lacking[name] = f"needs {table.data}"
    elif missing := table.lacks((flags.workdir or pathlib.Path("runs")) / name):
      lacking[name] = f"needs {missing}"
  with one_line_errors():
    results = every.run(TABLES, out, every.seconds(flags.budget), command, lacking=lacking)
  if any(result.startswith("failed") for result in results.values()):
    raise SystemExit(1)


def _arguments(parser: Parser, flags: argparse.Namespace, takes: Mapping[str, object]) -> dict:
  """The flags as arguments of a table's function; one that it does not take is an error."""
  given = {
    "--seeds": ("cells" if "cells" in takes else "seeds", flags.seeds),
    "--methods": ("methods", flags.methods),
    "--data": ("data", flags.data),
    "--workdir": ("workdir", flags.workdir),
    "--config.FIELD=VALUE": ("overrides", flags.overrides or None),
  }
  for flag, (name, value) in given.items():
    if value is not None and name not in takes:
      parser.error(f"{flags.table} takes no {flag}")
  if "data" in takes and flags.data is None:
    parser.error(f"{flags.table} needs {TABLES[flags.table].data}")
  arguments = {name: value for name, value in given.values() if value is not None}
  if "workdir" in takes:
    arguments.setdefault("workdir", pathlib.Path("runs", flags.table))
  return arguments


if __name__ == "__main__":
  main()
