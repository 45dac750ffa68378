# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a search step communicates on n devices: counted in its program, measured, projected.

    t_n = t_compute + sum over collectives of (2 (n - 1) / n bytes / bandwidth + 2 (n - 1) latency)

is a step of weak scaling with ring all-reduces that nothing overlaps with; efficiency is
t_compute / t_n. Bandwidths, latency and the speed of a chip are assumptions, stated in the table.

Source of the cost of a ring: Patarasuk and Yuan 2009 (J. Parallel Distrib. Comput. 69), section 3.
"""

import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from dnas import config as configs
from dnas import task as tasks
from dnas.config import Config
from dnas.errors import DnasError
from dnas.space.space import SearchSpace
from dnas.tables import table, weak_scaling

HYPERGRADIENTS = {"first order": dict(name="first_order"), "second order": dict(name="unrolled")}
CHIPS = (8, 64, 256)
PROCESSES = (1, 2, 4)  # As many as there are cores.
STEPS = 30  # Of each measurement.
LINKS_GB_S = {"100 Gbit/s Ethernet": 12.5, "chip interconnect": 100.0}
LATENCY_US = 1.0
CHIP_TFLOPS = 20.0  # Sustained, not peak.

COUNTED_TEXT = """What a search step communicates

Collectives in the compiled step, the arrays that XLA has combined in them, and the bytes that they
put out on each device; `weights_kib` is the size of the supernet's weights. Counted in the program,
so exact and the same for any number of devices above one; nothing was timed."""
PROJECTED_TEXT = f"""Weak scaling, projected

From those counts, for ring all-reduces at {LATENCY_US:g} us a hop, one after another, that nothing
overlaps, and chips that sustain {CHIP_TFLOPS:g} TFLOP/s. These are assumptions: no chip was
measured. Examples per chip are those of `config.search.batch_size`."""
MEASURED_TEXT = f"""Weak scaling, measured

Processes on this machine, each with `config.search.batch_size` examples and one core, for {STEPS}
steps: the median. `collective_ms` is what a process more has added, for each array of a collective:
gloo, by which CPUs communicate, reduces these one after another in some dozen messages each, so
that a network this small waits for messages and not for bytes. (NCCL and a TPU reduce a combined
collective at once.) `sent_kib` is what the loopback interface carried in a step, whoever sent it;
`computed_kib` is 2 (n - 1) times the bytes of the collectives."""

_COLLECTIVE = re.compile(
  r"= (?P<shape>.+?) (?P<kind>all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)"
  r"(?:-start)?\("
)
_ARRAY = re.compile(r"\b(?P<type>[a-z]+\d+|pred)\[(?P<sizes>[\d,]*)\]")


class Collective(NamedTuple):
  """One collective operation of a compiled program.

  Attributes:
    kind: as XLA calls it.
    bytes: what it puts out on each device.
    arrays: how many arrays XLA has combined in it.
  """

  kind: str
  bytes: int
  arrays: int


def collectives(program: str) -> list[Collective]:
  """The collective operations in the text of a compiled program (HLO)."""
  found = []
  for match in _COLLECTIVE.finditer(program):
    arrays, total = list(_ARRAY.finditer(match["shape"])), 0
    for array in arrays:
      bits = 8 if array["type"] == "pred" else int(re.sub(r"\D", "", array["type"]))
      total += bits // 8 * math.prod(int(size) for size in array["sizes"].split(",") if size)
    found.append(Collective(match["kind"], total, len(arrays)))
  return found


def ring_ms(found: list[Collective], chips: int, link_gb_s: float, latency_us: float) -> float:
  """Milliseconds of all-reduces of these sizes on a ring; see the module's formula."""
  share = 2 * (chips - 1) / chips
  bandwidth_ms = share * sum(c.bytes for c in found) / (link_gb_s * 1e6)
  return bandwidth_ms + len(found) * 2 * (chips - 1) * latency_us / 1e3


def make(
  path: pathlib.Path,
  out: pathlib.Path,
  *,
  command: str,
  overrides: Mapping[str, Any] | None = None,
) -> None:
  """Writes the table of collectives, `measured/` of a few processes, `projection/` of many chips.

  Args:
    path: the config of a search.
    out: folder of the table.
    command: that makes it.
    overrides: of the config.

  Raises:
    DnasError: JAX has fewer than two devices here.
  """
  if jax.device_count() < 2:
    raise DnasError("scaling: needs several devices; on a CPU set JAX_NUM_CPU_DEVICES=8")
  config = configs.load(path, overrides or {})
  rows, projected, measured = [], [], []
  for name, hypergradient in HYPERGRADIENTS.items():
    of_step = configs.changed(config, {"search.hypergradient": hypergradient})
    found, params, macs = compiled(of_step)
    kinds = sorted({c.kind for c in found})
    sizes = [c.bytes for c in found]
    rows.append(
      {
        "step": name,
        "devices": jax.device_count(),
        "kinds": " ".join(kinds),
        "collectives": len(found),
        "arrays": sum(c.arrays for c in found),
        "kib": sum(sizes) / 1024,
        "largest_kib": max(sizes) / 1024,
        "weights_kib": 4 * params / 1024,
      }
    )
    projected += _projected(name, found, macs, config.search.batch_size)
    measured += _measured(name, found, of_step)
  provenance = {"command": command, "config": str(path.name)}
  table.write(out, COUNTED_TEXT, rows, provenance)
  table.write(out / "projection", PROJECTED_TEXT, projected, provenance)
  table.write(out / "measured", MEASURED_TEXT, measured, provenance)


def compiled(config: Config) -> tuple[list[Collective], int, int]:
  """The collectives of a step over all devices; its weights; MACs of an example's forward pass."""
  prepared = weak_scaling.prepare(config)
  program = prepared.step.lower(prepared.state, *prepared.batches).compile().as_text()
  params = sum(leaf.size for leaf in jax.tree.leaves(prepared.state.params))
  return collectives(program), params, _supernet_macs(prepared.task, prepared.space)


def _measured(name: str, found: list[Collective], config: Config) -> list[dict[str, Any]]:
  """Steps of a few processes, with the bytes that the collectives `found` should make them send."""
  rows = []
  cores = len(os.sched_getaffinity(0))
  for count in (n for n in PROCESSES if n <= cores):
    seen = weak_scaling.measure(config, count, STEPS)
    alone = rows[0]["ms"] if rows else seen["ms"]
    rows.append(
      {
        "step": name,
        "processes": count,
        "examples": count * config.search.batch_size,
        "ms": seen["ms"],
        "efficiency": alone / seen["ms"],
        "collective_ms": (seen["ms"] - alone) / sum(c.arrays for c in found) if rows else "",
        "computed_kib": 2 * (count - 1) * sum(c.bytes for c in found) / 1024,
        "sent_kib": seen["sent_bytes"] / 1024,
      }
    )
  return rows


def _supernet_macs(task: tasks.Task, space: SearchSpace) -> int:
  """About: the cells with each operation everywhere in turn, what they share counted once."""
  cost = lambda choices: tasks.cost(task, space.decide(choices)).macs
  total, base = 0, None
  ops = {op for name in space.searched for edge in space.cells[name].edges for op in edge.ops}
  for op in sorted(ops):
    choices = {
      name: [op if op in edge.ops else edge.ops[0] for edge in space.cells[name].edges]
      for name in space.searched
    }
    macs = cost(choices)
    base = macs if base is None else min(base, macs)
    total += macs
  return total - (len(ops) - 1) * int(base or 0)


def _projected(name: str, found: list[Collective], macs: int, batch: int) -> list[dict[str, Any]]:
  # A gradient is 3 forward passes of 2 FLOP a MAC: one of the weights and one of alpha; with the
  # look-ahead also the inner gradient, and about two of them for its exact derivative.
  passes = 2 if name == "first order" else 5
  compute_ms = 6 * macs * batch * passes / (CHIP_TFLOPS * 1e9)
  rows = []
  for link, speed in LINKS_GB_S.items():
    for chips in CHIPS:
      communication_ms = ring_ms(found, chips, speed, LATENCY_US)
      rows.append(
        {
          "step": name,
          "link": link,
          "gb_s": speed,
          "chips": chips,
          "compute_ms": compute_ms,
          "communication_ms": communication_ms,
          "efficiency": compute_ms / (compute_ms + communication_ms),
        }
      )
  return rows
