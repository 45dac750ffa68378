# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts that run a detector: which one, how, and what counts as found."""

import argparse
from typing import Any

from dnas.config import Parser


def parser(
  description: str | None, *, batch: int, conf: float | None = None
) -> argparse.ArgumentParser:
  """A parser to which a script adds its own flags.

  Args:
    description: what the script does.
    batch: how many images by default.
    conf: the least score by default; None: the detector's own.
  """
  own = "; default: the detector's own, as it was measured in training"
  made = Parser(description=description)
  add = made.add_argument
  add(
    "--model", required=True, help="folder of a run, weights (.npz, .pt, .pth), genotype, or name"
  )
  add("--weights", metavar="FILE", help="for a name or a genotype")
  add("--conf", type=float, default=conf, help="least score" + (own if conf is None else ""))
  add("--iou", type=float, help=f"most overlap of two boxes of a class{own}")
  add("--max_det", type=int, help=f"most detections an image{own}")
  add("--size", type=int, nargs=2, metavar=("H", "W"), help="px; default: the network's own")
  add("--batch", type=int, default=batch, help="images at a time")
  add("--rect", action="store_true", help="pads images as little as possible")
  return made


def options(args: argparse.Namespace) -> dict[str, Any]:
  """What `NAS.predict` and `NAS.val` take of the flags."""
  size = tuple(args.size) if args.size else None
  names = ("conf", "iou", "max_det", "batch", "rect")
  return {"size": size} | {name: getattr(args, name) for name in names}
