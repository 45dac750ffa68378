# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Latency by measurement: robust timing, and tables of it that survive interruptions.

    latency(x) = overhead + sum over the chosen operations of their measured times

A table holds one time an operation and size; `overhead` is what is left of whole networks, measured
on a few (stem, head, reductions). The time of starting a program is taken off all of them.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dnas import files
from dnas.errors import DnasError, check_count, choose_from
from dnas.files import json_of
from dnas.progress import Count

SCHEMA = "dnas.latency/2"  # 1: weights were arguments of the programs, not constants.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclasses.dataclass(frozen=True)
class Timing:
  """How long a program takes.

  Attributes:
    ms: the median over the rounds that count, milliseconds.
    spread_ms: their median absolute deviation.
    rounds: how many count.
    rejected: how many were too far off.
  """

  ms: float
  spread_ms: float
  rounds: int
  rejected: int


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How things are measured; part of a table, because times by another one cannot be compared.

  Attributes:
    batch: images at a time.
    dtype: of activations and weights.
    rounds: how often each program gets its turn; 2 or more.
    calls: calls in a turn, of which the fastest counts.
    copies: how often an operation stands in the program by which it is measured.
    clock: "wall", or "cpu": the processor time of this process, which stands still while others
      have the processor. It is the time on a CPU with nothing else to do if this process may use
      one core only (`taskset -c 0`), and is refused elsewhere.
  """

  batch: int = 1
  dtype: str = "float32"
  rounds: int = 9
  calls: int = 5
  copies: int = 8
  clock: str = "wall"

  def __post_init__(self):
    for name, least in (("batch", 1), ("rounds", 2), ("calls", 1), ("copies", 1)):
      check_count(f"latency.{name}", getattr(self, name), least)
    if self.dtype != "float32":
      raise DnasError(f"latency.dtype: times are measured in float32 as yet, got {self.dtype!r}")
    if self.clock not in CLOCKS:
      raise DnasError(choose_from("latency.clock:", self.clock, CLOCKS))


def measure(
  programs: Mapping[str, Callable[[], Any]],
  protocol: Protocol,
  clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
  """The time of each program, on a machine that others may use as well.

  The programs take turns, in another order each round, so that all see the same machine. Of a turn
  the fastest call counts: what interrupts a program only makes it slower. Of the rounds the median
  counts, after those further from it than 3 times 1.4826 times their median absolute deviation have
  been left out.

  Args:
    programs: name -> a function that returns when it is done.
    protocol: rounds and calls.
    clock: seconds; None: that of the protocol.

  Raises:
    DnasError: the protocol's clock counts something else on this device.
  """
  if protocol.clock == "cpu" and clock_here() != "cpu":
    here = device()
    raise DnasError(
      f"latency.clock: 'cpu' is for one core of a CPU, here are {here['cores']} of {here['kind']}: "
      "start the process with `taskset -c 0`, or choose 'wall'"
    )
  clock = clock or CLOCKS[protocol.clock]
  names = list(programs)
  samples: dict[str, list[float]] = {name: [] for name in names}
  for round_ in range(protocol.rounds):
    turn = round_ % max(len(names), 1)
    for name in names[turn:] + names[:turn]:
      best = math.inf
      for _ in range(protocol.calls):
        start = clock()
        programs[name]()
        best = min(best, clock() - start)
      samples[name].append(1e3 * best)
  return {name: robust(values) for name, values in samples.items()}


def robust(values: Sequence[float]) -> Timing:
  """Median and median absolute deviation of `values`, ms, without outliers (see `measure`).

  >>> timing = robust([1.0, 1.125, 0.875, 1.0, 8.0])
  >>> timing.ms, timing.rounds, timing.rejected
  (1.0, 4, 1)
  """
  x = np.asarray(values, np.float64)
  centre = np.median(x)
  spread = np.median(np.abs(x - centre))
  kept = x[np.abs(x - centre) <= 3 * 1.4826 * spread] if spread > 0 else x[x == centre]
  centre = float(np.median(kept))
  return Timing(centre, float(np.median(np.abs(kept - centre))), len(kept), len(x) - len(kept))


def device() -> dict[str, Any]:
  """What is measured on: platform, kind, cores that this process may use, versions."""
  first = jax.devices()[0]
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  return {
    "platform": first.platform,
    "kind": first.device_kind if first.platform != "cpu" else processor(),
    "cores": cores,
    "jax": importlib.metadata.version("jax"),
    "jaxlib": importlib.metadata.version("jaxlib"),
  }


def clock_here() -> str:
  """The clock to take: "cpu" where it is allowed (see `Protocol.clock`), else "wall"."""
  here = device()
  return "cpu" if (here["platform"], here["cores"]) == ("cpu", 1) else "wall"


def processor() -> str:
  """The name of this machine's processor, as far as the system tells."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
  except OSError:
    return platform.processor()
  return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


class LatencyTable:
  """Measured times by name, in a JSON file that is written after each group of them.

  Attributes:
    path: the file.
    protocol: how it was measured.
    entries: name -> Timing; an operation's is that of one copy.
    overheads: name of a network -> milliseconds beyond its operations.
    reference_ms: what the program took by which all groups are compared; None: nothing measured.
  """

  def __init__(self, path: pathlib.Path | str, protocol: Protocol | None = None):
    """Opens a table, or begins one.

    Args:
      path: the file.
      protocol: None: that of the file, or the default one for a new file.

    Raises:
      DnasError: the file is no table, or was measured by another protocol.
    """
    self.path = pathlib.Path(path)
    self.entries: dict[str, Timing] = {}
    self.overheads: dict[str, float] = {}
    self.reference_ms: float | None = None
    self.about = {"device": device(), "date": _now()}
    self.protocol = protocol or Protocol()
    if self.path.exists():
      self._read(protocol)

  def _read(self, protocol: Protocol | None) -> None:
    try:
      read = json_of(self.path)
      if read.get("schema") != SCHEMA:
        raise DnasError(f"{self.path}: schema must be {SCHEMA!r}, got {read.get('schema')!r}")
      there = Protocol(**read["protocol"])
      self.entries = {name: Timing(**entry) for name, entry in read["entries"].items()}
      self.overheads = {name: float(value) for name, value in read["overheads"].items()}
      self.reference_ms = float(read["reference_ms"]) if self.entries else None
      self.about = {"device": dict(read["device"]), "date": read["date"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      if str(error).startswith(str(self.path)):
        raise
      raise DnasError(f"{self.path} is no latency table: {error!r}") from None
    if protocol is not None and protocol != there:
      raise DnasError(
        f"{self.path} was measured with {dataclasses.asdict(there)}, not with "
        f"{dataclasses.asdict(protocol)}: choose another file, or remove it"
      )
    self.protocol = there

  def add(
    self, wanted: Mapping[str, Callable[[], Callable[[], Any]]], copies: int = 1, group: int = 8
  ) -> None:
    """Measures what is not in the table yet, `group` programs at a time, and writes after each.

    The time of a program that does next to nothing is taken off, then the rest divided by `copies`.
    With each group the same reference program takes its turns: times are scaled by what it took in
    the first group over what it takes now, for the clock rate of processors drifts by the minute.

    Args:
      wanted: name -> a function that compiles the program and returns it.
      copies: how often what is measured stands in its program.
      group: programs that are held in memory at a time.

    Raises:
      DnasError: something is missing and the table was measured on another device or with other
        versions.
    """
    missing = [name for name in wanted if name not in self.entries]
    here = device()
    if missing and self.entries and self.about["device"] != here:
      raise DnasError(
        f"{self.path} was measured on {self.about['device']}, this is {here}: choose another file"
        f", or measure {missing[0]!r} and {len(missing) - 1} others there"
      )
    count = Count("latency: program", len(missing), done=0)
    for start in range(0, len(missing), group):
      names = missing[start : start + group]
      programs = {name: wanted[name]() for name in names}
      timings = measure({**programs, "idle": _nothing(), "reference": _reference()}, self.protocol)
      idle, reference = timings.pop("idle").ms, timings.pop("reference").ms
      self.reference_ms = self.reference_ms or reference
      scale = self.reference_ms / reference / copies
      for name, t in timings.items():
        ms = max(t.ms - idle, 0.0) * scale
        self.entries[name] = Timing(ms, t.spread_ms * scale, t.rounds, t.rejected)
      self.write()
      count(start + len(names))

  def ms(self, name: str) -> float:
    """The time of an entry; DnasError if the table lacks it."""
    if name not in self.entries:
      raise DnasError(f"{self.path}: {name!r} was not measured; run scripts/profile.py latency")
    return self.entries[name].ms

  def write(self) -> None:
    """Writes the file, atomically."""
    record = {
      "schema": SCHEMA,
      **self.about,
      "protocol": dataclasses.asdict(self.protocol),
      "reference_ms": self.reference_ms,
      "overheads": self.overheads,
      "entries": {name: dataclasses.asdict(timing) for name, timing in self.entries.items()},
    }
    files.atomic_write(self.path, json.dumps(record, indent=1) + "\n")


def _nothing() -> Callable[[], Any]:
  """A program whose time is that of starting one."""
  x = jax.numpy.zeros(1)
  compiled = jax.jit(lambda x: x + 1).lower(x).compile()
  return lambda: jax.block_until_ready(compiled(x))


def _reference() -> Callable[[], Any]:
  """Two convolutions, 3x3, of 32 channels and 32 x 32 pixels: 19 million MACs."""
  x, kernel = jax.numpy.ones((1, 32, 32, 32)), jax.numpy.ones((3, 3, 32, 32)) / 288
  form = ("NHWC", "HWIO", "NHWC")
  once = lambda x: jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=form)
  compiled = jax.jit(lambda x: once(once(x))).lower(x).compile()
  return lambda: jax.block_until_ready(compiled(x))


def overhead(parts: Sequence[float], whole: Sequence[float]) -> float:
  """The o >= 0 for which o + parts is nearest to `whole`, as sum ((o + parts) / whole - 1)^2."""
  x, y = np.asarray(parts, np.float64), np.asarray(whole, np.float64)
  x, y = x[y > 0], y[y > 0]  # A whole that took no more time than starting it says nothing.
  return max(float(np.sum((1 - x / y) / y) / np.sum(1 / y**2)), 0.0) if len(y) else 0.0


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
