# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Relaxations with hypergradients on a planted problem: success rates against chance.

The methods of configs/methods on planted problems: `scripts/reproduce.py planted`.

python scripts/planted.py                                      20 minutes on 2 shared cores
python scripts/planted.py --seeds 20 --relaxation softmax --json
"""

import dataclasses
import json
import sys

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dnas import process
from dnas.config import Parser, at_least
from dnas.strategy import pairs


def main() -> None:
  """Reads the flags, runs the searches and prints the table."""
  parser = Parser(description=__doc__)
  parser.add_argument("--seeds", type=at_least(1), default=100, help="searches per pair")
  for kind, members in pairs.PARTS.items():
    parser.add_argument(f"--{kind}", choices=sorted(members), help="only this one")
  parser.add_argument(
    "--json", action="store_true", help="prints one JSON list instead of the table"
  )
  flags = parser.parse_args()
  with process.running():
    chosen = pairs.pairs(flags.relaxation, flags.hypergradient)
    rows = []
    # Not `track`: an error leaves its generator and its thread open, which hangs Python 3.13.0.
    with Progress(console=Console(file=sys.stderr), transient=True) as progress:
      task = progress.add_task("Searching", total=len(chosen))
      for pair in chosen:
        rows.append(pairs.row(*pair, seeds=range(flags.seeds)))
        progress.advance(task)
  if flags.json:
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    return
  title = f"Planted problem, {flags.seeds} seeds; 95 % Wilson intervals"
  table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)  # in 80 columns
  for column in ("relaxation", "hypergradient", "success", "interval", "chance", "genotype"):
    table.add_column(column, justify="left" if column in pairs.PARTS else "right")
  for row in rows:
    low, high = row.interval
    table.add_row(
      row.relaxation,
      row.hypergradient,
      f"{row.rate:.2f}",
      f"{low:.2f}-{high:.2f}",
      f"{row.chance:.2f}",
      f"{row.genotype_rate:.2f}",
    )
  Console().print(table)


if __name__ == "__main__":
  main()
