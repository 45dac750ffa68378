# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tells what a genotype or a search space is and what its network costs, without running it.

python scripts/info.py --genotype DARTS_V2 --network imagenet --auxiliary
python scripts/info.py --genotype runs/digits/genotype.json --json
python scripts/info.py --genotype '|nor_conv_3x3~0|+|none~0|skip_connect~1|' --layers 1
python scripts/info.py --space darts --supernet
python scripts/info.py --model yolo_nas_s --json

Parameters include the auxiliary head; MACs are of evaluation, where it is off. One MAC is one
multiplication and one addition of a convolution or linear layer.
"""

import argparse
import json

from dnas.config import Parser
from dnas.errors import one_line_errors


def positive(text: str) -> int:
  """A whole number from 1 to a million."""
  if not text.isdecimal() or not 1 <= int(text[:8]) <= 10**6:
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to a million, got {text!r}")
  return int(text)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = Parser(description=__doc__)
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument(
    "--genotype",
    metavar="NAME_OR_FILE",
    help="a published genotype (DARTS_V2 ...), a file in our JSON, in DARTS' JSON or with a "
    "NAS-Bench-201 string, or such a string",
  )
  what.add_argument(
    "--space",
    metavar="NAME_OR_FILE",
    help="darts, nasbench201, robust_s1 ... robust_s4, proxylessnas, fbnet, mnasnet, or a file",
  )
  what.add_argument(
    "--model", metavar="NAME", help="a published network: efficientnet_b0, yolo_nas_s ..."
  )
  parser.add_argument(
    "--supernet", action="store_true", help="with --space: counts the supernet too"
  )
  parser.add_argument(
    "--network", help="cifar, imagenet or nasbench201 (default: the stages that are in the file)"
  )
  parser.add_argument(
    "--channels",
    type=positive,
    help="of the first cells (default: cifar 36, imagenet 48, nasbench201 16; supernets 16)",
  )
  parser.add_argument(
    "--layers",
    type=positive,
    help="cells in all, for nasbench201 cells per stage (default: cifar 20, imagenet 14, "
    "nasbench201 5; supernets 8, 8, 1)",
  )
  parser.add_argument(
    "--classes", type=positive, help="default: imagenet 1000, others 10; models as published"
  )
  parser.add_argument(
    "--image_size",
    type=positive,
    metavar="PX",
    help="default: imagenet 224, others 32; models as published",
  )
  parser.add_argument("--auxiliary", action="store_true", help="with the auxiliary head")
  parser.add_argument("--json", action="store_true", help="prints one JSON object")
  args = parser.parse_args(arguments)
  if args.supernet and args.space is None:
    parser.error("--supernet needs --space")
  network = ("network", "channels", "layers", "classes", "image_size", "auxiliary")
  for name in network:
    if args.space and not args.supernet and getattr(args, name):
      parser.error(f"--{name} of a space is the supernet's: add --supernet")
    if args.model and name not in ("classes", "image_size") and getattr(args, name):
      parser.error(f"--{name} is not for --model, whose network is fixed")
  return args


def main(arguments: list[str] | None = None) -> None:
  """Loads, counts, prints."""
  args = vars(parse(arguments))
  as_json, model = args.pop("json"), args.pop("model")
  what = [args.pop(name) for name in ("genotype", "space", "supernet")]
  from dnas import info, models, terminal  # bring in JAX, which a wrong flag need not wait for

  with one_line_errors():
    if model is not None:
      measured = models.measure(model, args["classes"], args["image_size"])
      print(json.dumps(measured.to_dict())) if as_json else terminal.show(models.render(measured))
      return
    name, space, costs = info.report(*what, args)
  if as_json:
    print(json.dumps(costs.to_dict() if costs else info.describe(space)))
  else:
    terminal.show(info.render(name, space, costs))


if __name__ == "__main__":
  main()
