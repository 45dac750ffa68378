# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches an architecture and writes genotype.json; started again, it goes on.

python scripts/search.py --config configs/digits.py --workdir runs/digits
"""

import argparse

from dnas import explore, process, report, runs
from dnas.config import add_resume, command_line
from dnas.errors import ConfigError
from dnas.search import search


def _flags(parser: argparse.ArgumentParser) -> None:
  add_resume(parser)
  parser.add_argument(
    "--worker",
    action="store_true",
    help="evaluate for the black-box search of --workdir (config.search.elsewhere), to its end",
  )


def main() -> None:
  """Reads the command line and searches."""
  config, workdir, flags = command_line(__doc__, extra=_flags)
  with process.running():
    if flags.worker:
      if flags.resume != "auto":
        raise ConfigError(f"--worker takes no --resume, got {flags.resume!r}: the search has it")
      print(f"{explore.work(config, workdir)} evaluations")
      return
    genotype = search(config, workdir, flags.resume)
    if runs.first():
      report.draw(workdir)
  print(genotype)
  print(f"genotype and pictures are in {workdir}")


if __name__ == "__main__":
  main()
