# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How the cost of a step grows with channels, cells, batch and operations, over its floor.

Each point is `benchmark.py step` on NAS-Bench-201 in a process of its own. Two floors stand beside
it: the multiplications at the rate of a large matrix product, and what the forward passes keep,
written and read once, at the rate of a large copy. Points that are in the table are not run again.
"""

import argparse
import csv
import json
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from dnas import figures
from dnas.config import at_least, folder
from dnas.errors import DnasError
from dnas.progress import say
from dnas.tables import table

BASE = {"channels": 16, "cells": 1, "batch": 64, "ops": 5}
AXES: dict[str, tuple[int, ...]] = {
  "channels": (4, 8, 16, 32),
  "cells": (1, 2, 3),
  "batch": (16, 32, 64, 128),
  "ops": (2, 3, 4, 5),
}
FIGURES = ("step_min_s", "temp_mib", "rss_mib", "compile_s", "gmac", "kept_mib")
STEP = [sys.executable, str(pathlib.Path(__file__).parents[1] / "benchmark.py"), "step", "--json"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of `benchmark.py growth`."""
  parser.add_argument("--out", type=folder, required=True, help="folder of table and plot")
  parser.add_argument("--steps", type=at_least(1), default=5, help="timed each")


def run(args: argparse.Namespace) -> None:
  """Measures what is missing, then writes the table and draws it."""
  command = shlex.join(["python", "scripts/benchmark.py", *sys.argv[1:]])
  make(args.out, lambda point: measured(point, args.steps), rates(), command)


def make(
  out: pathlib.Path,
  measure: Callable[[Mapping[str, int]], Mapping[str, Any]],
  rate: tuple[float, float],
  command: str,
) -> list[dict[str, Any]]:
  """The table, point by point.

  Args:
    out: its folder; points that its `table.csv` has are taken from there.
    measure: a point -> what `benchmark.py step --json` prints.
    rate: multiplications (with their additions) and bytes in a second, billions of each.
    command: for the provenance.
  """
  path, rows = out / "table.csv", []
  known = {}
  if path.exists():
    with open(path, encoding="utf-8", newline="") as file:
      known = {tuple(int(row[name]) for name in BASE): row for row in csv.DictReader(file)}
  for point in points():
    key = tuple(point.values())
    if key in known:
      numbers: Mapping[str, Any] = {name: float(known[key][name]) for name in FIGURES}
    else:
      say(point)
      numbers = measure(point)
    rows.append(row(point, numbers, rate))
    if len(rows) > len(known):  # Else it is the table of another commit that would be named.
      table.write(out, _title(rate), rows, {"command": command})
  figures.save(draw(rows), out / "growth.svg")
  return rows


def points() -> list[dict[str, int]]:
  """The base and, along each axis, what differs from it."""
  found = [BASE]
  for axis, values in AXES.items():
    found += [{**BASE, axis: value} for value in values if value != BASE[axis]]
  return found


def measured(point: Mapping[str, int], steps: int) -> Mapping[str, Any]:
  """`benchmark.py step` at a point, in a process of its own.

  Raises:
    DnasError: it failed.
  """
  flags = [f"--{name}={value}" for name, value in point.items()]
  done = subprocess.run(
    [*STEP, f"--steps={steps}", *flags], capture_output=True, text=True, check=False
  )
  if done.returncode:
    raise DnasError(f"benchmark.py step {' '.join(flags)} failed:\n{done.stderr[-2000:]}")
  return json.loads(done.stdout.splitlines()[-1])


def row(
  point: Mapping[str, int], numbers: Mapping[str, Any], rate: tuple[float, float]
) -> dict[str, Any]:
  """A line of the table: the point, its figures, its two floors."""
  kept_gb = numbers["kept_mib"] * 2**20 / 1e9
  floors = {
    "floor_matmul_s": float(numbers["gmac"]) / rate[0],
    "floor_bytes_s": 2 * 2 * kept_gb / rate[1],  # Two levels; written once and read once.
  }
  return {**point, **{name: numbers[name] for name in FIGURES}, **floors}


def rates(seconds: float = 1.0) -> tuple[float, float]:
  """Billions of multiplications and of bytes in a second: the best product, the best copy."""
  size, n = 2048, 1 << 26
  a = jnp.ones((size, size))
  x = jnp.ones(n)
  product = _best(jax.jit(lambda a: a @ a), a, seconds)
  copy = _best(jax.jit(lambda x: x + 1), x, seconds)
  return size**3 / product / 1e9, 2 * 4 * n / copy / 1e9


def _best(call: Callable, x: jax.Array, seconds: float) -> float:
  best, end = float("inf"), time.perf_counter() + seconds
  while time.perf_counter() < end:
    start = time.perf_counter()
    jax.block_until_ready(call(x))
    best = min(best, time.perf_counter() - start)
  return best


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
  """Time with its floors above, memory below; a column per axis."""
  figure = Figure(figsize=(3.0 * len(AXES), 5.6), layout="constrained")
  grid = figure.subplots(2, len(AXES), sharey="row", sharex="col")
  lines = {
    "step_min_s": ("step", "o-"),
    "floor_matmul_s": ("floor: multiplications", "--"),
    "floor_bytes_s": ("floor: bytes kept", ":"),
  }
  for column, axis in enumerate(AXES):
    others = [name for name in BASE if name != axis]
    own = [one for one in rows if all(one[name] == BASE[name] for name in others)]
    own.sort(key=lambda one: one[axis])
    values = [one[axis] for one in own]
    top, bottom = grid[0][column], grid[1][column]
    for n, (name, (label, style)) in enumerate(lines.items()):
      top.plot(values, [one[name] for one in own], style, color=figures.colour(n), label=label)
    for n, (name, label) in enumerate(
      (("rss_mib", "resident, peak"), ("temp_mib", "planned by XLA"), ("kept_mib", "kept"))
    ):
      bottom.plot(values, [one[name] for one in own], "o-", color=figures.colour(n), label=label)
    bottom.set(xlabel=axis, xticks=values)
  for axes in grid.flat:  # Once all is there: rows share their scale.
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
  grid[0][0].set_ylabel("seconds a step")
  grid[1][0].set_ylabel("MiB")
  grid[0][0].legend(fontsize=8)
  grid[1][0].legend(fontsize=8)
  return figure


def _title(rate: tuple[float, float]) -> str:
  base = ", ".join(f"{name} {value}" for name, value in BASE.items())
  return f"""How the cost of a search step grows
NAS-Bench-201, first order, float32, 32 x 32 images; {base}, and one of them varied. *step_min_s*:
the fastest step; *temp_mib*: buffers as XLA plans them; *rss_mib*: peak resident memory of the
process, compiler included; *gmac*: billions of multiplications of a step (two levels, forward and
backward); *kept_mib*: what one forward pass keeps for its backward pass. Floors: gmac at
{rate[0]:.0f} G/s, the rate of a large matrix product here; and twice kept_mib written and read at
{rate[1]:.1f} GB/s, the rate of a large sum.

![Growth](growth.svg)"""
