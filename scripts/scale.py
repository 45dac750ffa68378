# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Scales a found detector to a family S, M, L, with parameters, MACs and measured latency.

python scripts/scale.py runs/quickstart --classes 10
python scripts/scale.py genotype.json --config configs/quickstart.py --phi 0,1,3 --out families/mine
"""

import pathlib
import shlex
import sys

from dnas.config import Parser
from dnas.errors import one_line_errors


def numbers(text: str) -> list[float]:
  """Compound coefficients with commas between them, -4 to 10."""
  values = [float(part) for part in text.split(",")]
  if not all(-4 <= value <= 10 for value in values):
    raise ValueError(text)
  return values


def main(argv: list[str] | None = None) -> None:
  """Reads the flags, scales, prints the table."""
  parser = Parser(description="A family of detectors from one genotype, by compound scaling.")
  parser.add_argument(
    "genotype", help="a run's folder, a genotype's file, a published name or a NAS-Bench-201 string"
  )
  parser.add_argument("--config", help="whose task and image a genotype's file gets; a run has one")
  parser.add_argument("--phi", type=numbers, default=[0, 1, 2], help="of S, M, L (default 0,1,2)")
  parser.add_argument("--classes", type=int, default=80, help="default 80")
  parser.add_argument("--rounds", type=int, default=9, help="of the measurement (default 9)")
  parser.add_argument("--out", type=pathlib.Path, help="default: families/ and the genotype's name")
  flags = parser.parse_args(argv)
  if flags.classes < 1:
    parser.error(f"--classes must be 1 or more, got {flags.classes}")
  if len(flags.phi) > 3:
    parser.error(f"--phi takes one to three numbers, got {len(flags.phi)}")
  from dnas import cache
  from dnas.cost.latency import Protocol, clock_here
  from dnas.tables import family

  cache.keep_programs()
  with one_line_errors():
    out = flags.out or pathlib.Path("families", pathlib.Path(flags.genotype).stem)
    rows = family.make(
      flags.genotype,
      out,
      command=shlex.join(["python", "scripts/scale.py", *(argv or sys.argv[1:])]),
      config_file=flags.config,
      classes=flags.classes,
      sizes=dict(zip("SML", flags.phi, strict=False)),
      protocol=Protocol(rounds=flags.rounds, clock=clock_here()),
    )
  for row in rows:
    print(", ".join(f"{key} {value}" for key, value in row.items()))
  print(f"genotypes and table are in {out}")


if __name__ == "__main__":
  main()
