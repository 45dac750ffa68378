# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of paper_results/; what is there already is not computed again.

Finished runs of long tables stand in the table's done.jsonl: `--out` of another folder makes all
anew. The same command started several times, with one --workdir, shares the runs.

python scripts/reproduce.py --list
python scripts/reproduce.py detection_digit_scenes --seeds 3
python scripts/reproduce.py nasbench201_blackbox --data FOLDER
python scripts/reproduce.py all --budget 60m --data FOLDER
"""

import argparse
import contextlib
import functools
import inspect
import pathlib
import shlex
import sys
from collections.abc import Mapping

from dnas import process
from dnas.config import Parser
from dnas.errors import one_line_errors
from dnas.tables import (
  architectures,
  detection,
  detection_latency,
  efficientnet,
  estimates,
  every,
  hardware,
  int8,
  latency,
  method_cost,
  nasbench201_blackbox,
  nasbench201_oneshot,
  nasbench201_zero_cost,
  planted,
  robustness,
  scaling,
  tuning,
)
from dnas.tables.once import kept

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _literal(text: str) -> tuple[str, str]:
  field, equals, value = text.removeprefix("--config.").partition("=")
  if not equals:
    raise argparse.ArgumentTypeError(f"{text!r} sets nothing: write --set train.steps=100")
  return field, value


# name -> what it shows, its run time on 2 cores, the data that it needs, and how it is made. A
# table's function names what it takes: `seeds` or `cells`, `data`, `workdir`, `overrides`.
TABLES = {
  "architectures": every.Table(
    "parameters and MACs of published cells and of YOLO-NAS S, M and L, counted",
    "half a minute",
    "none",
    architectures.make,
    minutes=1,
  ),
  "detection_digit_scenes": every.Table(
    "searched, random, hand-made and EfficientNet's cells at equal MACs, paired over the seeds",
    "13 minutes a seed, and 20 CPU minutes more for EfficientNet's cells",
    "embedded",
    functools.partial(detection.compare, ROOT / "configs" / "quickstart.py", seeds=5),
  ),
  "detection_cbc": every.Table(
    "the same on real blood cells",
    "not timed alone yet",
    "../shared/data/cbc, or --set data.spec=coco:...",
    functools.partial(detection.compare, ROOT / "configs" / "cbc_detection.py", seeds=3),
  ),
  "detection_foda": every.Table(
    "the same on debris on airfields",
    "not timed alone yet",
    "../shared/data/foda, or --set data.spec=coco:...",
    functools.partial(detection.compare, ROOT / "configs" / "foda_detection.py", seeds=3),
  ),
  "detection_spread": every.Table(
    "AP of random cells: does the cell matter?",
    "not timed alone yet",
    "embedded",
    functools.partial(detection.spread, ROOT / "configs" / "quickstart.py", cells=10),
  ),
  "nasbench201_blackbox": every.Table(
    "random search, evolution, REINFORCE and local search by look-up, beside published numbers",
    "one CPU minute",
    "--data FOLDER with nasbench201_table.csv.gz",
    nasbench201_blackbox.make,
    minutes=2,
  ),
  "nasbench201_zero_cost": every.Table(
    "zero-cost proxies: rank correlation with accuracy, and with the published scores",
    "half an hour, shared",
    "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
    nasbench201_zero_cost.make,
    minutes=30,
  ),
  "nasbench201_oneshot": every.Table(
    "each differentiable method on CIFAR-10 at CPU scale, beside published numbers and cheap rules",
    "some 10 CPU hours, 5 CPU minutes a search of first order",
    "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
    functools.partial(nasbench201_oneshot.make, ROOT),
    full="GPU days, configs/nasbench201_cifar10.py:paper; not timed",
  ),
  "efficientnet": every.Table(
    "parameters, MACs and anchors of EfficientNet B0 to B7 and EfficientDet D0 to D6, counted",
    "five minutes, shared",
    "none",
    efficientnet.make,
    minutes=5,
  ),
  "estimates": every.Table(
    "how well one-shot, short training and zero-cost estimates rank, against seconds",
    "hours",
    "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
    functools.partial(estimates.make, ROOT),
    full="GPU days; not timed",
  ),
  "hardware": every.Table(
    "accuracy against latency on four devices: random, NSGA-II and gradient against the true front",
    "a quarter of an hour, shared",
    "--data FOLDER with nasbench201_table.csv.gz and nasbench201_latency_ms.csv.gz",
    hardware.make,
    minutes=15,
  ),
  "hardware_detection": every.Table(
    "the quickstart's search without and with a budget of latency, three of them; best on one core",
    "hours; half an hour with --set search.steps=100 --set train.steps=300",
    "embedded",
    functools.partial(detection_latency.make, ROOT / "configs" / "quickstart.py"),
  ),
  "export": every.Table(
    "AP of trained detectors as ONNX files in float32 and in 8 bits",
    "a minute a run",
    "--workdir FOLDER of a trained run, or of several",
    int8.make,
  ),
  "latency": every.Table(
    "predicted against measured latency of 80 NAS-Bench-201 cells; best with `taskset -c 0`",
    "half an hour, shared",
    "embedded",
    latency.make,
    minutes=30,
  ),
  "latency_mbconv": every.Table(
    "the same for 80 chains of MBConv blocks",
    "an hour, shared",
    "embedded",
    functools.partial(latency.make, space="mbconv", rounds=9, calls=8, copies=4),
    minutes=60,
  ),
  "method_cost": every.Table(
    "time and memory of a step of each differentiable method, against first-order DARTS",
    "not timed alone yet",
    "none",
    functools.partial(method_cost.make, ROOT / "configs" / "methods"),
  ),
  "seeds_at_once": every.Table(
    "config.seeds: several searches in one program, against one after another",
    "two minutes",
    "embedded",
    functools.partial(method_cost.seeds_at_once, ROOT / "configs" / "digits.py"),
    minutes=2,
  ),
  "scaling": every.Table(
    "what a search step communicates, counted; XLA_FLAGS=--xla_force_host_platform_device_count=8",
    "four minutes",
    "embedded",
    functools.partial(scaling.make, ROOT / "configs" / "digits.py"),
    full="a pod; not timed",
    minutes=4,
  ),
  "robustness": every.Table(
    "RobustDARTS' spaces S1 to S4: who collapses, what prevents it; share, eigenvalue, accuracy",
    "some 25 CPU minutes a seed, judged by S1",
    "TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
    functools.partial(robustness.make, ROOT),
    full="GPU days; not timed",
  ),
  "tuning": every.Table(
    "the quickstart's training tuned by 12 trials: the gain on the test split, paired over seeds",
    "hours: 22 trainings of the quickstart, some of them pruned",
    "embedded",
    functools.partial(
      tuning.make,
      ROOT / "configs" / "quickstart.py",
      ROOT / "configs" / "tuning" / "training.py",
    ),
  ),
  "planted": every.Table(
    "does each differentiable method find what was planted; which withstand a skip collapse",
    "not timed alone yet",
    "none",
    functools.partial(planted.success_rates, ROOT / "configs" / "methods", seeds=100),
  ),
}


def main() -> None:
  """Reads the command line and makes one table, or all."""
  parser = Parser(description=__doc__)
  names = ["all", *sorted(TABLES)]
  parser.add_argument("table", nargs="?", choices=names, metavar="TABLE", help="all, or see --list")
  parser.add_argument("--list", action="store_true", help="the tables, and what each takes")
  parser.add_argument("--budget", metavar="TIME", help="for all: 90s, 60m, 1.5h; makes what fits")
  parser.add_argument("--seeds", type=int, help="seeds, or cells of detection_spread")
  parser.add_argument(
    "--methods", type=lambda text: text.split(","), help="of the table, with commas; default: all"
  )
  parser.add_argument("--data", type=pathlib.Path, metavar="FOLDER", help="of the data, see --list")
  add_folder = functools.partial(parser.add_argument, type=pathlib.Path, metavar="DIR")
  add_folder("--out", help="of the table; default: paper_results/TABLE")
  add_folder("--workdir", help="of the runs; default: runs/TABLE")
  parser.add_argument(
    "--set",
    type=_literal,
    action="append",
    default=[],
    metavar="FIELD=VALUE",
    dest="overrides",
    help="sets a field of the config, as --config.FIELD=VALUE elsewhere",
  )
  flags = parser.parse_args()
  if flags.list or flags.table is None:
    print(every.listing(TABLES))
    return
  if flags.seeds is not None and flags.seeds < 1:
    parser.error(f"--seeds must be 1 or more, got {flags.seeds}")
  if flags.table == "all":
    _all(parser, flags)
    return
  if flags.budget is not None:
    parser.error("--budget belongs to all")
  make = TABLES[flags.table].make
  arguments = _arguments(parser, flags, inspect.signature(make).parameters)
  out = flags.out or ROOT / "paper_results" / flags.table
  runs = kept(out, arguments["workdir"]) if "workdir" in arguments else contextlib.nullcontext()
  with process.running(), runs:
    make(
      out,
      command=shlex.join(["python", "scripts/reproduce.py", *sys.argv[1:]]),
      **arguments,
    )


def _all(parser: Parser, flags: argparse.Namespace) -> None:
  """Makes what fits into the budget."""
  if flags.budget is None:
    parser.error("all needs --budget")
  if flags.seeds is not None or flags.methods or flags.overrides:
    parser.error("all takes --budget, --data, --out and --workdir only")
  out = flags.out or ROOT / "paper_results"
  takes = {name: inspect.signature(table.make).parameters for name, table in TABLES.items()}

  def command(name: str) -> list[str]:
    words = [sys.executable, str(pathlib.Path(__file__).resolve()), name, "--out", str(out / name)]
    if "data" in takes[name]:
      words += ["--data", str(flags.data)]
    if "workdir" in takes[name]:
      words += ["--workdir", str((flags.workdir or pathlib.Path("runs")) / name)]
    return words

  lacking = {
    name: f"needs {table.data}"
    for name, table in TABLES.items()
    if "data" in takes[name] and flags.data is None
  }
  with one_line_errors():
    results = every.run(TABLES, out, every.seconds(flags.budget), command, lacking=lacking)
  if any(result.startswith("failed") for result in results.values()):
    raise SystemExit(1)


def _arguments(parser: Parser, flags: argparse.Namespace, takes: Mapping[str, object]) -> dict:
  """The flags as arguments of a table's function; one that it does not take is an error."""
  given = {
    "--seeds": ("cells" if "cells" in takes else "seeds", flags.seeds),
    "--methods": ("methods", flags.methods),
    "--data": ("data", flags.data),
    "--workdir": ("workdir", flags.workdir),
    "--set": ("overrides", dict(flags.overrides) or None),
  }
  for flag, (name, value) in given.items():
    if value is not None and name not in takes:
      parser.error(f"{flags.table} takes no {flag}")
  if "data" in takes and flags.data is None:
    parser.error(f"{flags.table} needs {TABLES[flags.table].data}")
  arguments = {name: value for name, value in given.values() if value is not None}
  if "workdir" in takes:
    arguments.setdefault("workdir", pathlib.Path("runs", flags.table))
  return arguments


if __name__ == "__main__":
  main()
