# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Finds objects on images and videos; draws them, or lists them as JSON.

python scripts/predict.py --model runs/quickstart --source photos/
python scripts/predict.py --model yolo_nas_s.npz --source 'clip.mp4' --out frames
python scripts/predict.py --model runs/quickstart --source a.jpg --json

The drawn pictures are in --out, and beside them `results.jsonl`, an object a picture, each written
as soon as it is found.
"""

import argparse
import contextlib
import json
import pathlib

from dnas import process
from dnas.config import folder
from dnas.detection import flags
from dnas.detection.thresholds import PREDICTION
from dnas.progress import say


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = flags.parser(__doc__, batch=1, conf=PREDICTION.score)
  parser.add_argument(
    "--source", required=True, help="an image, a video, a folder, or a pattern in quotes"
  )
  parser.add_argument("--out", type=folder, metavar="DIR", help="is made (default: predictions)")
  parser.add_argument("--json", action="store_true", help="prints JSON lines and draws nothing")
  args = parser.parse_args(arguments)
  if args.json:
    parser.refuse(args, ("out",), "is of what is drawn, and --json draws nothing: leave one out")
  args.out = args.out or pathlib.Path("predictions")
  return args


def main(arguments: list[str] | None = None) -> None:
  """Loads, predicts, draws."""
  args = parse(arguments)
  with process.running():
    from dnas.detection.results import numbered
    from dnas.nas import NAS

    model = NAS(args.model, args.weights)
    seen: set[str] = set()
    with contextlib.ExitStack() as stack:
      listed = None  # The file is made with the first picture.
      for result in model.predict_each(args.source, **flags.options(args)):
        line = json.dumps(result.to_dict())
        if args.json:
          say(line)
          continue
        file = result.save(args.out / numbered(result.stem, seen))
        if listed is None:
          listed = stack.enter_context((args.out / "results.jsonl").open("w", encoding="utf-8"))
        print(line, file=listed, flush=True)
        say(f"{result} -> {file}")


if __name__ == "__main__":
  main()
