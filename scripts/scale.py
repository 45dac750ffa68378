# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Scales a found detector to a family S, M, L, with parameters, MACs and measured latency.

python scripts/scale.py runs/quickstart
python scripts/scale.py genotype.json --config configs/quickstart.py --phi 0,1,3 --out families/mine
"""

import argparse
import pathlib
import re
import shlex
import sys

from dnas.config import Parser, folder


def numbers(text: str) -> list[float]:
  """Compound coefficients with commas between them, -4 to 10."""
  try:
    values = [float(part) for part in text.split(",")]
  except ValueError:
    values = []
  if not values or not all(-4 <= value <= 10 for value in values):
    raise argparse.ArgumentTypeError(
      f"takes numbers from -4 to 10 with commas between, got {text!r}"
    )
  return values


def name_of(genotype: str) -> str:
  """A folder's name for a genotype: that of its run, file or publication, or its operations."""
  if genotype.startswith("|"):
    return re.sub(r"\W+", "_", genotype).strip("_")
  path = pathlib.Path(genotype).resolve()
  if path.name == "genotype.json":
    path = path.parent
  if path.name == "train":
    path = path.parent
  return path.name if path.is_dir() else path.stem


def main(argv: list[str] | None = None) -> None:
  """Reads the flags, scales, prints the table."""
  parser = Parser(description="A family of detectors from one genotype, by compound scaling.")
  parser.add_argument(
    "genotype", help="a run's folder, a genotype's file, a published name or a NAS-Bench-201 string"
  )
  parser.add_argument("--config", help="whose task and image a genotype's file gets; a run has one")
  parser.add_argument(
    "--phi", type=numbers, default=[0, 1, 2], help="of S, M, L (default 0,1,2), as in --phi=-1,0,1"
  )
  parser.add_argument("--classes", type=int, help="default: those of the run, else 80")
  parser.add_argument("--rounds", type=int, default=9, help="of the measurement (default 9)")
  parser.add_argument("--out", type=folder, help="default: families/ and the run's name")
  flags = parser.parse_args(argv)
  if flags.classes is not None and flags.classes < 1:
    parser.error(f"--classes must be 1 or more, got {flags.classes}")
  if len(flags.phi) > 3:
    parser.error(f"--phi takes one to three numbers, got {len(flags.phi)}")
  from dnas import process  # brings in JAX, which a wrong flag need not wait for
  from dnas.cost.latency import Protocol, clock_here
  from dnas.tables import family

  with process.running(keep=False):  # Latency is measured as in a program that does nothing else.
    out = flags.out or pathlib.Path("families", name_of(flags.genotype))
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
