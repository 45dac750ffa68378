# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Exports the trained network of a run for other programs, checked against JAX on test images.

python scripts/export.py --workdir runs/quickstart --out detector.onnx
python scripts/export.py --workdir runs/quickstart --out detector.stablehlo --outputs boxes
python scripts/export.py --workdir runs/quickstart --out detector.tflite --batch 1
python scripts/export.py --workdir runs/cbc --out small.onnx --int8 activations --measure

Input `images`: uint8 [B, H, W, 3], RGB, letterboxed; scaling is inside. Converters whose pins clash
with ours (jax2onnx, TensorFlow) get an environment in the cache the first time, which needs a
network. scripts/examples/onnx_detect.py shows how to use an ONNX file without dnas.
"""

import argparse
import pathlib

from dnas.config import Parser

OUTPUTS = ("detections", "boxes", "raw")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = Parser(description=__doc__)
  parser.add_argument(
    "--workdir", required=True, type=pathlib.Path, metavar="DIR", help="of a run, or of a training"
  )
  parser.add_argument(
    "--out",
    required=True,
    type=pathlib.Path,
    metavar="FILE",
    help="what is written: .onnx, .stablehlo or .tflite",
  )
  parser.add_argument(
    "--outputs",
    choices=OUTPUTS,
    help="of a detector: boxes after suppression, boxes and scores of all anchors, or what the "
    "head says (default: detections)",
  )
  parser.add_argument("--batch", type=int, help="size of a batch (default: any; .tflite needs it)")
  parser.add_argument(
    "--keep_norms", action="store_true", help="does not fold batch norms into convolutions"
  )
  parser.add_argument(
    "--int8",
    choices=("weights", "activations"),
    help="of .onnx: 8 bits for the weights, or for weights and activations",
  )
  parser.add_argument(
    "--images", type=int, default=8, help="test images that the file is checked with"
  )
  parser.add_argument(
    "--calibration",
    type=int,
    help="training images from which ranges of activations are taken (default: 64)",
  )
  parser.add_argument(
    "--measure",
    action="store_true",
    help="measures the .onnx file on the run's test split with onnxruntime",
  )
  args = parser.parse_args(arguments)
  if args.int8 != "activations":
    parser.refuse(args, ("calibration",), "belongs to --int8 activations")
  args.calibration = 64 if args.calibration is None else args.calibration
  if min(args.images, args.calibration) < 1:
    parser.error("--images and --calibration take numbers from 1")
  if args.measure and (args.out.suffix != ".onnx" or args.outputs not in (None, "detections")):
    parser.error("--measure needs an .onnx file with --outputs=detections")
  return args


def main(arguments: list[str] | None = None) -> None:
  """Loads, exports, checks, measures."""
  args = parse(arguments)
  from dnas import process, terminal  # brings in JAX, which a wrong flag need not wait for
  from dnas.export import command

  with process.running():
    terminal.results(command.run(args.workdir, args.out, vars(args)))


if __name__ == "__main__":
  main()
