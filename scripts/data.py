# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at a data set before anything is trained on it: counts, classes, box sizes, faults.

python scripts/data.py --data digit_scenes --out sheet.png
python scripts/data.py --data 'coco:cbc/annotations/instances_{split}.json@cbc/images/{split}'
python scripts/data.py --data yolo:pets.yaml --split val --size 320 320

Exit code 2 if the data cannot be used as they are; the message says what is wrong and where.
"""

import argparse
import pathlib
import sys

import numpy as np

from dnas.config import Parser
from dnas.data import DataError, DetectionSource, Source, load
from dnas.data.loading import SPECS, whole_spec
from dnas.data.summary import default_size, summary
from dnas.detection.draw import sheet
from dnas.errors import one_line_errors


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  specs = "\n".join(f"  {spec:28} {what}" for spec, what in SPECS.items())
  parser = Parser(
    description=__doc__,
    epilog=f"SPEC is one of\n{specs}",
  )
  parser.add_argument("--data", required=True, metavar="SPEC", help="the data set, see below")
  parser.add_argument("--split", default="train", help="train, validation or val, test, ...")
  parser.add_argument(
    "--size",
    type=int,
    nargs=2,
    metavar=("H", "W"),
    help="the network's input in px, at which box sizes are counted (default: the longest image "
    "side, at most 640)",
  )
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    metavar="SHEET.png",
    help="writes a contact sheet with the boxes drawn",
  )
  parser.add_argument("--count", type=int, help="images on the contact sheet (default: 25)")
  parser.add_argument("--seed", type=int, help="which images are drawn (default: 0)")
  parser.add_argument(
    "--headers_only",
    action="store_true",
    help="of image files read only the headers: quick, but does not find truncated files",
  )
  parser.add_argument(
    "--data_dir", metavar="DIR", help="of TFDS (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)"
  )
  parser.add_argument(
    "--cache", metavar="DIR", help="of embedded sets (default: $DNAS_CACHE or ~/.cache/dnas)"
  )
  args = parser.parse_args(arguments)
  kind = whole_spec(args.data).partition(":")[0]
  for name, kinds in (
    ("data_dir", ("tfds",)),
    ("cache", ("digit_scenes",)),
    ("headers_only", ("coco", "yolo")),
  ):
    if kind not in kinds:
      parser.refuse(args, (name,), f"is of {' and '.join(kinds)}, not of --data {args.data}")
  if args.out is None:
    parser.refuse(args, ("count", "seed"), "is of the contact sheet: give --out too")
  args.count = 25 if args.count is None else args.count
  args.seed = args.seed or 0
  if args.count < 1 or (args.size and min(args.size) < 1) or args.seed < 0:
    parser.error("--count and --size take numbers from 1, --seed from 0")
  return args


def draw(source: Source, path: pathlib.Path, count: int, seed: int) -> None:
  """A contact sheet of random images; a class label is drawn as a box around its image."""
  chosen = np.random.default_rng(seed).permutation(len(source))[:count]
  examples = [source[int(i)] for i in np.sort(chosen)]
  if isinstance(source, DetectionSource):
    truth = [{"boxes": e["boxes"], "labels": e["labels"]} for e in examples]
  else:
    truth = [
      {"boxes": np.array([[0, 0, *e["image"].shape[1::-1]]]), "labels": [e["label"]]}
      for e in examples
    ]
  sheet([e["image"] for e in examples], truth, None, source.classes, path)


def main(arguments: list[str] | None = None) -> None:
  """Reads, reports, draws."""
  args = parse(arguments)
  with one_line_errors():
    try:
      source = load(
        args.data,
        args.split,
        cache=args.cache,
        data_dir=args.data_dir,
        decode_all=not args.headers_only,
      )
    except DataError as error:
      # Not on one line: this is the place to read all that is wrong.
      print(f"error: {error}", file=sys.stderr)
      raise SystemExit(2) from None
    size = (args.size[0], args.size[1]) if args.size else default_size(source)
    print("\n".join(summary(source, size)))
    if args.out:
      draw(source, args.out, args.count, args.seed)
      print(f"\n{args.out}: {min(args.count, len(source))} images")


if __name__ == "__main__":
  main()
