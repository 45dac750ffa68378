# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluates the weights of --workdir (or of --workdir/train) on config.evaluate.split.

It writes evaluation.json beside them.

python scripts/evaluate.py --config configs/digits.py --workdir runs/digits
"""

from dnas import process, terminal, trained
from dnas.config import command_line
from dnas.evaluate import evaluate


def main() -> None:
  """Reads the command line and evaluates."""
  config, workdir, _ = command_line(__doc__)
  with process.running():
    result = evaluate(config, trained.folder_of(workdir))
  terminal.results(result)


if __name__ == "__main__":
  main()
