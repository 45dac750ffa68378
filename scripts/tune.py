# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tunes any fields of a config by Optuna, on held-out training data; resumes where it was.

python scripts/tune.py --config configs/quickstart.py --space configs/tuning/training.py \\
  --trials 12 --workdir runs/tuned
python scripts/run.py --config runs/tuned/best.json --workdir runs/best

Started several times with one --storage and one name of --workdir, the processes share the trials,
and one that dies loses its trial to another. Storages: sqlite:///FILE (the default is study.db in
--workdir) for processes of one machine, FILE.journal for machines that share a disk (NFS too),
postgresql://USER@HOST/NAME or mysql://USER@HOST/NAME for machines that reach a server.
"""

import argparse

from dnas import config as configs
from dnas import process, report
from dnas.config import at_least, command_line
from dnas.tune import tune


def _flags(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("--space", required=True, metavar="FILE", help="what may change and how far")
  parser.add_argument(
    "--trials", type=at_least(1), required=True, help="in all, the config's own included"
  )
  parser.add_argument("--storage", metavar="URL", help="see above; default: study.db in --workdir")
  parser.add_argument("--whole", action="store_true", help="each trial searches too")
  parser.add_argument("--share", type=float, default=0.8, help="trained on; the rest is held out")
  parser.add_argument("--every", type=int, help="steps between measurements; default: a fifth")
  parser.add_argument("--seed", type=int, default=0, help="of the proposals")


def main(argv: list[str] | None = None) -> None:
  """Reads the command line and tunes."""
  config, workdir, flags = command_line(__doc__, argv, _flags)
  with process.running():
    tune(
      config,
      configs.load(flags.space),
      workdir,
      trials=flags.trials,
      storage=flags.storage,
      whole=flags.whole,
      share=flags.share,
      every_steps=flags.every,
      seed=flags.seed,
    )
    report.write_page([workdir], workdir / "report.html")
    print(f"the best config is {workdir / 'best.json'}; the trials are in {workdir}/report.html")


if __name__ == "__main__":
  main()
