# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Measures what operations cost on this device, for `config.cost.table`; goes on where it stopped.

Of latency, every operation of a space at each of its sizes; of energy, one of its networks.

python scripts/profile.py latency --config configs/digits.py --out latency.json
python scripts/profile.py energy --config configs/quickstart.py --genotype genotype.json
taskset -c 0 python scripts/profile.py latency --config configs/quickstart.py --out latency.json \\
  --config.cost.latency='{"clock": "cpu", "batch": 1}'
"""

import pathlib

from dnas import config as configs
from dnas import data, hardware, method, process
from dnas.cost.latency import LatencyTable
from dnas.space import genotypes
from dnas.task import timing


def main(argv: list[str] | None = None) -> None:
  """Reads the command line and measures."""
  parser = configs.Parser(description=__doc__)
  parser.add_argument("what", choices=["latency", "energy"], help="in ms, in mJ")
  parser.add_argument(
    "--config",
    required=True,
    metavar="FILE",
    help="whose space, network and image are measured",
  )
  parser.add_fields("sets any field")
  parser.add_argument(
    "--out", type=pathlib.Path, metavar="FILE", help="of latency: the table, a JSON file"
  )
  parser.add_argument("--genotype", help="of energy: a file, or a name or string of the space")
  parser.add_argument("--seconds", type=float, help="of energy: how long (default: 10)")
  flags, overrides = parser.parse(argv)
  needed, others = {
    "latency": ("out", ("genotype", "seconds")),
    "energy": ("genotype", ("out",)),
  }[flags.what]
  if getattr(flags, needed) is None:
    parser.error(f"{flags.what} needs --{needed}")
  parser.refuse(flags, others, f"does nothing for {flags.what}, which takes --{needed}")
  seconds = 10 if flags.seconds is None else flags.seconds
  if not 0 < seconds < float("inf"):
    parser.error(f"--seconds must be above 0, got {seconds:g}")
  with process.running(keep=False):  # As in a program that does nothing else.
    config = configs.load(flags.config, overrides)
    if flags.what == "latency":
      hardware.check_measurable(config)
    source = data.labelled(config.data.spec, config.data.train_split)
    task = method.task_of(config, source)
    space = hardware.trained(config, method.space_of(config))
    given = hardware.protocol(config)
    if flags.what == "energy":
      genotype = genotypes.load(flags.genotype)
      found = hardware.energies(config, task, space, genotype, given, seconds)
      print(f"{found[0]:.4g} mJ an image, an estimate (docs: dnas/cost/energy.py)")
      measured = (
        f"{found[1]:.4g} mJ an image, measured" if isinstance(found[1], float) else found[1]
      )
      print(measured)
      return
    table = LatencyTable(flags.out, given)
    model = timing.latency_model(task, space, table)
  for name, entry in sorted(table.entries.items()):
    print(f"{entry.ms:10.4f} ms  ± {entry.spread_ms:.4f}  {name}")
  print(f"{model.fixed:10.4f} ms  overhead of a network; the table is in {flags.out}")


if __name__ == "__main__":
  main()
