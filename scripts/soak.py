# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Kills a whole experiment again and again, and compares it bit for bit with one left in peace.

python scripts/soak.py --config configs/digits.py --kills 20 --out paper_results/reliability/kills
python scripts/soak.py --kills 30 --every 60 --config.search.steps=20000 --out runs/soak_table
"""

import pathlib
import shlex
import sys

from dnas.config import Parser, at_least, folder
from dnas.errors import DnasError, one_line_errors
from dnas.tables import reliability

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  """Reads the command line, runs, kills and compares."""
  parser = Parser(description=__doc__)
  parser.add_argument(
    "--config",
    type=pathlib.Path,
    default=ROOT / "configs" / "digits.py",
    metavar="FILE",
    help="default: configs/digits.py",
  )
  parser.add_argument(
    "--workdir",
    type=folder,
    default=pathlib.Path("runs/soak"),
    metavar="DIR",
    help="where it goes on",
  )
  parser.add_argument("--out", type=folder, metavar="DIR", help="of the table; default: --workdir")
  parser.add_argument("--kills", type=at_least(1), default=20, help="how often it is killed")
  parser.add_argument(
    "--every", type=float, metavar="SECONDS", help="each life in its loop; default: at random"
  )
  parser.add_argument("--seed", type=int, help="of moments at random (default: 0)")
  parser.add_argument("--note", help="a sentence for the table, such as what else ran meanwhile")
  parser.add_fields("sets any field")
  flags, fields = parser.parse()
  if flags.every is not None:
    if not flags.every > 0:
      parser.error(f"--every must be above 0, got {flags.every:g}")
    parser.refuse(flags, ("seed",), "is of moments at random, and --every sets them: leave one out")

  def command(workdir: pathlib.Path) -> list[str]:
    script = str(ROOT / "scripts" / "run.py")
    return [sys.executable, script, f"--config={flags.config}", f"--workdir={workdir}", *fields]

  with one_line_errors():
    whole, lives = reliability.kill_many(
      command, flags.workdir, flags.kills, every_s=flags.every, seed=flags.seed or 0
    )
    how = shlex.join(["python", "scripts/soak.py", *sys.argv[1:]])
    told = {"command": how} | ({"note": flags.note} if flags.note else {})
    faults = reliability.write(flags.out or flags.workdir, flags.workdir, whole, lives, **told)
    if faults:
      raise DnasError(f"not equal, or left behind: {', '.join(faults)}")
  print(f"equal after {len(lives) - 1} kills; the table is in {flags.out or flags.workdir}")


if __name__ == "__main__":
  main()
