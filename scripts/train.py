# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Trains a genotype from scratch and writes weights.npz; started again, it goes on.

python scripts/train.py --config configs/digits.py --workdir runs/digits
python scripts/train.py --config configs/digits.py --workdir runs/again \\
  --genotype runs/digits/genotype.json
"""

import argparse

from dnas import process
from dnas.config import add_resume, command_line
from dnas.errors import DnasError, in_field
from dnas.space import genotypes
from dnas.train import train


def _flags(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--genotype",
    help="a file or a published name; default: genotype.json of --workdir, trained in"
    " --workdir/train",
  )
  add_resume(parser)


def main() -> None:
  """Reads the command line and trains."""
  config, workdir, flags = command_line(__doc__, extra=_flags)
  with process.running():
    if flags.genotype is None and not (workdir / "genotype.json").is_file():
      raise DnasError(
        f"--workdir {workdir} holds no genotype.json to train: search first (scripts/search.py "
        "with this --config and --workdir), or give --genotype, a file or a published name: "
        f"{', '.join(genotypes.NAMES)}"
      )
    with in_field("--genotype" if flags.genotype else ""):
      genotype = genotypes.load(flags.genotype or workdir / "genotype.json")
    path = train(config, genotype, workdir if flags.genotype else workdir / "train", flags.resume)
  print(f"weights are in {path}")


if __name__ == "__main__":
  main()
