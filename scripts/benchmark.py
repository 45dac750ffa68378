# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Measures parts of dnas on this machine. Nothing else should run beside it.

python scripts/benchmark.py data
python scripts/benchmark.py data --size 160 160 --data 'coco:instances.json@images'
python scripts/benchmark.py step --space darts --channels 8 --cells 5 --batch 32
python scripts/benchmark.py growth --out runs/growth
python scripts/benchmark.py trace --space nasbench201
python scripts/benchmark.py yolo_nas --against 'PYTHON yolo_nas_torch.py --serve'
"""

from benchmarks import data, growth, step, trace, yolo_nas

from dnas import process
from dnas.config import Parser

# Each has add_arguments(parser) and run(args), and a docstring that says what it measures.
BENCHMARKS = {"data": data, "step": step, "growth": growth, "trace": trace, "yolo_nas": yolo_nas}


def main(arguments: list[str] | None = None) -> None:
  """Runs one benchmark."""
  parser = Parser(description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="|".join(BENCHMARKS), dest="benchmark")
  for name, module in BENCHMARKS.items():
    text = (module.__doc__ or "").strip()
    first = text.partition("\n")[0]
    module.add_arguments(commands.add_parser(name, help=first, description=text))
  args = parser.parse_args(arguments)
  with process.running(cache=False, keep=False):  # What is measured says what of it it wants.
    BENCHMARKS[args.benchmark].run(args)


if __name__ == "__main__":
  main()
