# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Measures what operations cost on this device, for `config.cost.table`; goes on where it stopped.

python scripts/profile.py latency --config configs/digits.py --out latency.json
taskset -c 0 python scripts/profile.py latency --config configs/quickstart.py --out latency.json \\
  --protocol '{"clock": "cpu", "batch": 1}'
"""

import ast
import pathlib
import sys

from ml_collections import ConfigDict

from dnas import config as configs
from dnas import data, hardware, method, process
from dnas.cost.latency import LatencyTable
from dnas.errors import ConfigError


def main(argv: list[str] | None = None) -> None:
  """Reads the command line and measures."""
  parser = configs.Parser(description="Measures every operation of a space at each of its sizes.")
  parser.add_argument("what", choices=["latency"])
  parser.add_argument("--config", required=True, help="whose space, network and image are measured")
  parser.add_argument("--out", type=pathlib.Path, required=True, help="the table, a JSON file")
  parser.add_argument(
    "--protocol", default="{}", help="fields of dnas.cost.latency.Protocol as a dict"
  )
  flags, overrides = parser.parse_known_args(argv)
  with process.running():
    config = configs.load(flags.config, overrides)
    source = data.labelled(config.data.spec, config.data.train_split)
    task = method.task_of(config, source)
    space = hardware.trained(config, method.space_of(config))
    table = LatencyTable(flags.out, hardware.protocol(_settings(flags.protocol)))
    model = hardware.latency_model(task, space, table)
  for name, timing in sorted(table.entries.items()):
    print(f"{timing.ms:10.4f} ms  ± {timing.spread_ms:.4f}  {name}")
  print(f"{model.fixed:10.4f} ms  overhead of a network; the table is in {flags.out}")


def _settings(text: str) -> configs.Config:
  """What `hardware.protocol` reads."""
  try:
    given = ast.literal_eval(text)
  except (ValueError, SyntaxError):
    given = None
  if not isinstance(given, dict):
    raise ConfigError(f"--protocol: {text} is no dict")
  return ConfigDict({"latency": given})


if __name__ == "__main__":
  main(sys.argv[1:])
