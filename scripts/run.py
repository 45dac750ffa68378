# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches, trains the derived network from scratch, evaluates it and draws what was found.

python scripts/run.py --config configs/digits.py --workdir runs/digits
"""

from dnas import experiment, process, terminal
from dnas.config import add_resume, command_line


def main() -> None:
  """Reads the command line and runs the experiment."""
  config, workdir, flags = command_line(__doc__, extra=add_resume)
  with process.running():
    result = experiment.run(config, workdir, flags.resume)
  terminal.results(result)
  print(f"everything is in {workdir}")


if __name__ == "__main__":
  main()
