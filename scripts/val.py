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
from dnas.config import Parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = Parser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
  )
  parser.add_argument(
    "--model", required=True, help="folder of a run, weights (.npz, .pt, .pth), genotype, or name"
  )
  parser.add_argument("--weights", help="a weight file for a name or a genotype")
  parser.add_argument("--data", required=True, metavar="SPEC", help="as in scripts/data.py")
  parser.add_argument("--split", default="val", help="%(default)s")
  parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/val"))
  parser.add_argument("--json", action="store_true", help="prints one JSON object")
  parser.add_argument("--conf", type=float, default=0.01, help="least score (%(default)s)")
  parser.add_argument("--iou", type=float, default=0.7, help="most overlap (%(default)s)")
  parser.add_argument("--max_det", type=int, default=300, help="most detections (%(default)s)")
  parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the network, px")
  parser.add_argument("--batch", type=int, default=16, help="images at a time (%(default)s)")
  parser.add_argument("--rect", action="store_true", help="pads images as little as possible")
  return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
  """Loads, measures, prints."""
  args = parse(arguments)
  with process.running():
    from dnas.nas import NAS

    model = NAS(args.model, args.weights)
    options = {name: getattr(args, name) for name in ("conf", "iou", "max_det", "batch", "rect")}
    metrics = model.val(
      args.data,
      args.split,
      size=tuple(args.size) if args.size else None,
      folder=args.out,
      verbose=not args.json,
      **options,
    )
  if args.json:
    print(json.dumps(metrics.to_dict()))
  else:
    print(f"pictures and numbers are in {args.out}")


if __name__ == "__main__":
  main()
