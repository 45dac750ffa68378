# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Where the time of one step goes: the ten most expensive kinds of operation, and their worst case.

The step is that of `benchmark.py step`. XLA records one event per operation that it runs on a CPU;
several may run at once, so the sum of all can exceed the time of the step. On other devices use
`jax.profiler` and XProf.
"""

import argparse
import collections
import gzip
import json
import pathlib
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import rich.console
import rich.table
from benchmarks import step

from dnas.config import at_least
from dnas.errors import DnasError

# "  %fusion.3 = f32[2,4]{1,0} fusion(...), ..., metadata={op_name="jit(step)/..."}"
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\(", re.M)


class Kind(NamedTuple):
  """Operations of one kind, summed over the traced steps and divided by their number.

  Attributes:
    kind: the name without its number.
    count: how many run in a step.
    ms: milliseconds of all of them in a step.
    worst: the most expensive one, with the shape of its result.
    worst_ms: its milliseconds in a step.
  """

  kind: str
  count: float
  ms: float
  worst: str
  worst_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of `benchmark.py trace`."""
  step.add_problem_arguments(parser)
  parser.add_argument("--steps", type=at_least(1), default=3, help="traced")
  parser.add_argument("--top", type=int, default=10, help="kinds shown")


def run(args: argparse.Namespace) -> None:
  """Traces and prints.

  Raises:
    DnasError: not on a CPU.
  """
  if jax.default_backend() != "cpu":
    raise DnasError(f"trace reads XLA's events of a CPU, not of {jax.default_backend()!r}")
  made = step.make(args)
  lowered = made.step.lower(made.state, *made.batches)
  compiled = lowered.compile(compiler_options={"xla_cpu_enable_xprof_traceme": True})
  state = made.state
  for _ in range(2):
    state, metrics = compiled(state, *made.batches)
  jax.block_until_ready((state, metrics))
  with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    with jax.profiler.trace(folder, create_perfetto_trace=True):
      for _ in range(args.steps):
        state, metrics = compiled(state, *made.batches)
        jax.block_until_ready((state, metrics))
      wall = (time.perf_counter() - start) / args.steps
    found = summary(events(pathlib.Path(folder)), shapes(compiled.as_text() or ""), args.steps)
  show(found, wall, args.top)


def events(folder: pathlib.Path) -> list[tuple[str, float]]:
  """(name, milliseconds) of every event in the Perfetto traces under a folder."""
  names: list[tuple[str, float]] = []
  for path in folder.rglob("perfetto_trace.json.gz"):
    with gzip.open(path, "rt", encoding="utf-8") as file:
      record = json.load(file)
    for event in record["traceEvents"]:
      if event.get("ph") == "X":
        names.append((event["name"], event.get("dur", 0) / 1000))
  return names


def shapes(program: str) -> dict[str, str]:
  """Instruction -> "opcode shape", from the text of a compiled program."""
  layout = re.compile(r"\{[^}]*\}")
  return {
    name: f"{opcode} {layout.sub('', shape)}"
    for name, shape, opcode in _INSTRUCTION.findall(program)
  }


def summary(
  found: Iterable[tuple[str, float]], shape_of: Mapping[str, str], steps: int
) -> list[Kind]:
  """The kinds of operation, the most expensive first; events that are no instruction are left out.

  Args:
    found: (instruction, milliseconds) of every event.
    shape_of: what instructions there are, and what they make.
    steps: how many steps they come from.
  """
  each: dict[str, float] = collections.defaultdict(float)
  count: dict[str, int] = collections.Counter()
  for name, ms in found:
    if name in shape_of:
      each[name] += ms / steps
      count[name] += 1
  kinds: dict[str, list[str]] = collections.defaultdict(list)
  for name in each:
    kinds[re.sub(r"[.\d]+$", "", re.sub(r"\.clone", "", name))].append(name)
  rows = []
  for kind, members in kinds.items():
    worst = max(members, key=lambda name: each[name])
    rows.append(
      Kind(
        kind,
        sum(count[name] for name in members) / steps,
        sum(each[name] for name in members),
        f"{worst}: {shape_of[worst]}",
        each[worst],
      )
    )
  return sorted(rows, key=lambda row: -row.ms)


def show(kinds: list[Kind], wall_s: float, top: int) -> None:
  """Prints the table."""
  total = sum(kind.ms for kind in kinds) or 1.0
  table = rich.table.Table(
    title=f"one step: {1000 * wall_s:.0f} ms, traced operations {total:.0f} ms"
  )
  for name in ("kind", "count", "ms", "share", "most expensive", "its ms"):
    table.add_column(name, justify="left" if name in ("kind", "most expensive") else "right")
  for kind in kinds[:top]:
    cells: tuple[Any, ...] = (f"{kind.count:.0f}", f"{kind.ms:.1f}", f"{kind.ms / total:.0%}")
    table.add_row(kind.kind, *cells, kind.worst, f"{kind.worst_ms:.1f}")
  rich.console.Console().print(table)
