# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Measures a detector on a split of any data set: COCO's and the YOLO tools' figures, and speed.

python scripts/val.py --model runs/quickstart --data digit_scenes --split test
python scripts/val.py --model yolo_nas_s.npz --data coco.yaml --batch 8

(`scripts/evaluate.py` measures a run as its config says, classifiers too.) Pictures are in --out.
"""

import argparse
import json
import pathlib

from dnas import process
from dnas.config import folder
from dnas.detection import flags


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = flags.parser(__doc__, batch=16)
  parser.add_argument("--data", required=True, metavar="SPEC", help="as in scripts/data.py")
  parser.add_argument("--split", default="val", help="train, validation or val, test, ...")
  parser.add_argument(
    "--out", type=folder, default=pathlib.Path("runs/val"), metavar="DIR", help="of pictures"
  )
  parser.add_argument("--json", action="store_true", help="prints one JSON object")
  return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
  """Loads, measures, prints."""
  args = parse(arguments)
  with process.running():
    from dnas.nas import NAS

    model = NAS(args.model, args.weights)
    metrics = model.val(
      args.data,
      args.split,
      folder=args.out,
      verbose=not args.json,
      **flags.options(args),
    )
  if args.json:
    print(json.dumps(metrics.to_dict()))
  else:
    print(f"pictures and numbers are in {args.out}")


if __name__ == "__main__":
  main()
