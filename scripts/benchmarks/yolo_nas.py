# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How long YOLO-NAS takes, fused, on a batch of images: here, and in PyTorch in alternation.

`--against` is a command that serves the same network (`python scripts/benchmarks/yolo_nas_torch.py
--serve`, in an environment with PyTorch). Both processes stay; they are timed in turn, so that they
see the same machine. The ratio is of the fastest passes; on a busy machine cpu_s, the processor
time of a pass on all threads, says more than seconds.
"""

import argparse
import contextlib
import json
import resource
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dnas import memory
from dnas.config import at_least
from dnas.errors import DnasError
from dnas.nn import functional, yolo_nas
from dnas.nn.init import Rngs
from dnas.space import yolo_nas as spaces


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of `benchmark.py yolo_nas`."""
  several = dict(type=int, nargs="+")
  parser.add_argument("--model", choices=spaces.NAMES, default="yolo_nas_s", help="which")
  parser.add_argument(
    "--sizes", **several, default=[320, 640], metavar="PX", help="default: 320 640"
  )
  parser.add_argument("--batches", **several, default=[1, 8], metavar="B", help="default: 1 8")
  parser.add_argument("--passes", type=at_least(1), default=3, help="timed in a turn")
  parser.add_argument("--rounds", type=at_least(1), default=5, help="turns each")
  parser.add_argument("--against", metavar="COMMAND", help="serves the same network elsewhere")


def run(args: argparse.Namespace) -> None:
  """Prints a line of JSON for each size and batch."""
  memory.keep()
  model = yolo_nas.fuse(yolo_nas.build(args.model, rngs=Rngs(0)))
  static, params, stats = functional.split(model)
  state = jax.device_put((params, stats))
  with contextlib.ExitStack() as stack:
    other = stack.enter_context(_served(args)) if args.against else None
    for px in args.sizes:
      for batch in args.batches:
        print(json.dumps(_measure(args, static, state, px, batch, other)), flush=True)


def _measure(args, static, state, px: int, batch: int, other: Callable | None) -> dict[str, Any]:
  """The figures of one size and batch, in alternation with `other` (px, batch, passes)."""
  images = np.random.default_rng(0).random((batch, px, px, 3), np.float32)
  start = time.perf_counter()
  compiled = jax.jit(yolo_nas.raw, static_argnums=0).lower(static, *state, images).compile()
  compile_s = time.perf_counter() - start
  once = lambda: jax.block_until_ready(compiled(*state, images))
  once()
  mine: list[dict] = []
  theirs: list[dict] = []
  for _ in range(args.rounds):
    seconds, cpu = [], time.process_time()
    for _ in range(args.passes):
      start = time.perf_counter()
      once()
      seconds.append(time.perf_counter() - start)
    mine.append({"seconds": seconds, "cpu_s": (time.process_time() - cpu) / args.passes})
    if other is not None:
      theirs.append(other(px, batch, args.passes))
  found = {"model": args.model, "px": px, "batch": batch, "compile_s": round(compile_s, 1)}
  found |= _summary(mine)
  found["temp_mib"] = compiled.memory_analysis().temp_size_in_bytes >> 20
  found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
  if theirs:
    against = _summary(theirs)
    found |= {f"other_{name}": value for name, value in against.items()}
    found["other_peak_mib"] = theirs[-1]["peak_mib"]
    found["ratio"] = round(found["min_s"] / against["min_s"], 3)
    found["cpu_ratio"] = round(found["cpu_s"] / against["cpu_s"], 3)
  return found


def _summary(turns: list[dict]) -> dict[str, float]:
  seconds = [s for turn in turns for s in turn["seconds"]]
  return {
    "median_s": round(statistics.median(seconds), 4),
    "min_s": round(min(seconds), 4),
    "cpu_s": round(min(turn["cpu_s"] for turn in turns), 4),
  }


@contextlib.contextmanager
def _served(args: argparse.Namespace):
  """A function (px, batch, passes) -> figures, of the process of `--against`."""
  command = [*shlex.split(args.against), "--model", args.model]
  process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  assert process.stdin is not None
  assert process.stdout is not None

  def answer() -> dict[str, Any]:
    line = process.stdout.readline()  # pyright: ignore[reportOptionalMemberAccess]
    if not line.startswith("{"):
      raise DnasError(f"--against {args.against!r} answered {line.strip()!r}, not a line of JSON")
    return json.loads(line)

  def ask(px: int, batch: int, passes: int) -> dict[str, Any]:
    process.stdin.write(f"{px} {batch} {passes}\n")  # pyright: ignore[reportOptionalMemberAccess]
    process.stdin.flush()  # pyright: ignore[reportOptionalMemberAccess]
    return answer()

  try:
    print(json.dumps(answer()), flush=True)
    yield ask
  finally:
    process.stdin.close()
    process.wait(timeout=60)
