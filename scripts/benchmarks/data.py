# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the input pipeline is, and what of it a training step has to wait for."""

import argparse
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnas.config import at_least
from dnas.data import DetectionSource, Source, load
from dnas.data.pipeline import Pipeline
from dnas.errors import DnasError

AUGMENT = {
  "detection": [
    {"name": "scale_translate", "scale": (0.7, 1.3), "translate": 0.1},
    {"name": "colour", "strength": 0.3},
  ],
  "classification": [{"name": "pad_crop"}, {"name": "hflip"}, {"name": "cutout"}],
}
MIX = [{"name": "mosaic", "probability": 0.5}, {"name": "mixup", "probability": 0.15}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of `benchmark.py data`."""
  parser.add_argument("--data", default="digit_scenes", metavar="SPEC", help="as in data.py")
  parser.add_argument("--split", default="train", help="train, validation or val, test, ...")
  parser.add_argument(
    "--size", type=int, nargs=2, default=(96, 96), metavar=("H", "W"), help="px; default: 96 96"
  )
  parser.add_argument("--batch_size", type=at_least(1), default=32, help="images")
  parser.add_argument(
    "--threads",
    type=int,
    default=os.cpu_count() or 1,
    help="that make batches in advance (default: one per CPU, here %(default)s)",
  )
  parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
  parser.add_argument(
    "--step_channels",
    type=int,
    default=16,
    help="width of the network whose step the overlap is measured with",
  )
  parser.add_argument(
    "--wait_ms",
    type=float,
    default=25.0,
    help="the step that leaves the CPU free, as on an accelerator",
  )
  parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="writes the figures")


def run(args: argparse.Namespace) -> None:
  """Measures and prints both tables."""
  if not args.seconds > 0:
    raise DnasError(f"--seconds must be above 0, got {args.seconds:g}")
  rows = throughput(args)
  print(f"{args.data} [{args.split}], {args.size[0]} x {args.size[1]}, batch {args.batch_size}")
  print(f"\n{'':58}{'images/s':>9}{'CPU ms/image':>14}")
  for row in rows:
    print(f"{row['case']:58}{row['images_per_s']:>9.0f}{row['cpu_ms_per_image']:>14.3f}")
  steps = overlap(args)
  print(f"\n{'one training step':58}{'ms':>9}")
  for name, ms in steps.items():
    print(f"{name:58}{ms:>9.1f}")
  if args.json:
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"throughput": rows, "step_ms": steps}, indent=2) + "\n")


def _pipeline(args: argparse.Namespace, source: Source, augment: list, threads: int) -> Pipeline:
  return Pipeline(
    source=source,
    batch_size=args.batch_size,
    size=(args.size[0], args.size[1]),
    seed=0,
    train=True,
    augment=augment,
    threads=threads,
  )


def throughput(args: argparse.Namespace) -> list[dict[str, Any]]:
  """Images per second, with and without augmentation, decoded each time or kept in memory."""
  decoding = load(args.data, args.split, memory_mib=0)
  keeping = load(args.data, args.split)
  basic = AUGMENT[keeping.task]
  cases = [
    ("decoded each time, augmented, no threads", decoding, basic, 0),
    (f"decoded each time, augmented, {args.threads} threads", decoding, basic, args.threads),
    (f"kept in memory, not augmented, {args.threads} threads", keeping, [], args.threads),
    ("kept in memory, augmented, no threads", keeping, basic, 0),
    (f"kept in memory, augmented, {args.threads} threads", keeping, basic, args.threads),
  ]
  if isinstance(keeping, DetectionSource):
    name = f"kept in memory, also mosaic and mixup, {args.threads} threads"
    cases.append((name, keeping, MIX + basic, args.threads))
  rows = []
  for name, source, augment, threads in cases:
    pipeline = _pipeline(args, source, augment, threads)
    warm_up = len(pipeline) + 1 if source is keeping else 2
    rate, cpu_ms = _rate(iter(pipeline), args, min(warm_up, 500))
    rows.append({"case": name, "images_per_s": rate, "cpu_ms_per_image": cpu_ms})
  return rows


def _rate(batches: Iterator, args: argparse.Namespace, warm_up: int) -> tuple[float, float]:
  """(images per second, milliseconds of CPU time per image) after some batches of warm-up."""
  for _ in range(warm_up):
    next(batches)
  start, cpu, images = time.perf_counter(), time.process_time(), 0
  while (wall := time.perf_counter() - start) < args.seconds:
    next(batches)
    images += args.batch_size
  return images / wall, (time.process_time() - cpu) * 1e3 / images


def make_step(channels: int, image: np.ndarray) -> tuple[Callable, Any]:
  """A stand-in for training: forward and backward of three convolutions, one SGD update."""
  keys = jax.random.split(jax.random.key(0), 3)
  widths = [image.shape[-1], channels, 2 * channels, 4 * channels]
  kernels = [
    jax.random.normal(key, (3, 3, a, b)) / (9 * a) ** 0.5
    for key, (a, b) in zip(keys, itertools.pairwise(widths))
  ]

  def loss(kernels: list, images: jax.Array) -> jax.Array:
    x = images.astype(jnp.float32) / 255
    for kernel in kernels:
      x = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
      )
      x = jax.nn.relu(x)
    return jnp.mean(x**2)

  @jax.jit
  def step(kernels: list, images: jax.Array) -> tuple[list, jax.Array]:
    value, gradients = jax.value_and_grad(loss)(kernels, images)
    return [k - 0.01 * g for k, g in zip(kernels, gradients)], value

  return step, kernels


def overlap(args: argparse.Namespace) -> dict[str, float]:
  """Milliseconds of a step on a batch at hand, of loading, and of both in turn and at once.

  Where the training step itself uses all CPUs, loading has to take some of their time. A step that
  only waits stands for an accelerator: then loading ahead should cost nothing.
  """
  source = load(args.data, args.split)
  augment = AUGMENT[source.task]
  serial = iter(_pipeline(args, source, augment, 0))
  ahead = iter(_pipeline(args, source, augment, args.threads))
  at_hand = next(serial)
  for _ in range(min(500, len(source) // args.batch_size)):
    next(serial)  # Fills the memory that both share.
  step, state = make_step(args.step_channels, at_hand["image"])

  def train(batch: dict[str, np.ndarray]) -> None:
    nonlocal state
    state, value = step(state, batch["image"])
    jax.block_until_ready(value)

  wait = lambda batch: time.sleep(args.wait_ms / 1e3)
  threads, constant = f"{args.threads} threads ahead", itertools.repeat(at_hand)
  cases = {
    "loading alone, no threads": (lambda batch: None, serial),
    "step on this CPU: alone": (train, constant),
    "step on this CPU: and loading, no threads": (train, serial),
    f"step on this CPU: and loading, {threads}": (train, ahead),
    f"step that waits {args.wait_ms:g} ms: alone": (wait, constant),
    f"step that waits {args.wait_ms:g} ms: and loading, no threads": (wait, serial),
    f"step that waits {args.wait_ms:g} ms: and loading, {threads}": (wait, ahead),
  }
  return {name: _step_ms(do, batches, args.seconds) for name, (do, batches) in cases.items()}


def _step_ms(do: Callable, batches: Iterator, seconds: float) -> float:
  """Mean milliseconds of `do(next(batches))`, after three steps of warm-up."""
  for _ in range(3):
    do(next(batches))
  start, count = time.perf_counter(), 0
  while (wall := time.perf_counter() - start) < seconds:
    do(next(batches))
    count += 1
  return wall * 1e3 / count
