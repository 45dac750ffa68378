# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Latency of a task's networks on this device: measured, and predicted for all genotypes."""

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from dnas.cost.latency import LatencyTable, overhead
from dnas.cost.model import CostModel, check_computes, computes
from dnas.errors import DnasError
from dnas.nn import functional, places, qarepvgg
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space.space import SearchSpace
from dnas.task.base import Task

CALIBRATION = 4  # networks by which a network's overhead is measured


def places_of(task: Task, space: SearchSpace) -> places.Places:
  """The candidates of a space in the task's network."""
  model = task.build(space, Rngs(None), search=False)
  return places.places(space, model, task.forward, task.size)


def latency_model(
  task: Task,
  space: SearchSpace,
  table: LatencyTable,
  calibration: int = CALIBRATION,
  fill: Callable[[SearchSpace, LatencyTable], None] | None = None,
) -> CostModel:
  """The predicted latency of every genotype; what the table lacks is measured now.

  latency(x) = overhead + sum of the times of the operations that matter; the overhead is the one
  that suits `calibration` random genotypes' networks best (`cost.latency.overhead`).

  Args:
    task: whose networks they are.
    space: in the network that is trained.
    table: of measured times.
    calibration: how many networks are measured for the overhead.
    fill: measures into the table's file what that lacks for the space; None: it is measured here.

  Raises:
    DnasError: something is missing and cannot be measured here: see `LatencyTable.add`; or there
      are several processes, which would measure different times.
  """
  found = places_of(task, space)
  key = network_key(task, space, found)
  names = {str(operation): operation for operation in found.operations}
  lacking = key not in table.overheads or not set(names) <= set(table.entries)
  if lacking and jax.process_count() > 1:
    raise DnasError(
      f"{table.path}: several processes cannot measure one table; make it with one, by "
      "scripts/profile.py latency, and name it in config.cost.table"
    )
  if lacking and fill is not None:
    fill(space, table)
    table = LatencyTable(table.path, table.protocol)
  given = table.protocol
  table.add(
    {
      name: lambda operation=operation: places.program(
        operation, given.batch, given.dtype, given.copies
      )
      for name, operation in names.items()
    },
    copies=given.copies,
  )
  model = places.cost_model(
    "latency_ms",
    space,
    found,
    0.0,
    lambda place: table.ms(str(place.operation)),
    dead_is_free=True,
  )
  if key not in table.overheads:
    drawn = sampled(space, calibration, seed=0)
    genotypes = {f"{key}/{i}": genotype for i, genotype in drawn.items()}
    measure_networks(task, genotypes, table)
    whole = [table.ms(name) for name in genotypes]
    parts = [model.of(genotype) for genotype in genotypes.values()]
    table.overheads[key] = overhead(parts, whole)
    table.write()
  return dataclasses.replace(model, fixed=table.overheads[key])


def sampled(space: SearchSpace, count: int, seed: int) -> dict[int, SearchSpace]:
  """The first `count` random genotypes that compute something, by their number in the sequence.

  A cell whose output depends on no input makes all before it superfluous; compilers leave it out,
  and searches never decide for one.

  Raises:
    DnasError: no genotype of the space computes anything.
  """
  check_computes(space)
  rng, found = random.Random(seed), {}
  for number in itertools.count():
    if len(found) == count:
      return found
    genotype = space.sample(rng)
    choices = space.choices(genotype)
    if all(computes(space.cells[name], choices[name]) for name in space.searched):
      found[number] = genotype
  raise AssertionError("unreachable")


def network_key(task: Task, space: SearchSpace, found: places.Places) -> str:
  """What the overhead belongs to: stages, stem and what else stands around the candidates."""
  around = [space.to_json(), found.params, found.macs, *task.size]
  return "network " + hashlib.sha256(json.dumps(around).encode()).hexdigest()[:12]


def measure_networks(task: Task, genotypes: Mapping[str, SearchSpace], table: LatencyTable) -> None:
  """Adds the times of whole networks, by name, to the table; those it has are left."""
  table.add(
    {
      name: lambda genotype=genotype: network_program(task, genotype, table.protocol.batch)
      for name, genotype in genotypes.items()
    },
    group=4,
  )


def network_program(task: Task, genotype: SearchSpace, batch: int) -> Callable[[], Any]:
  """A function that runs a genotype's network once on random images, fused, as a detector runs.

  Its weights are constants of the program, as in a file that is deployed. As arguments, some 500 of
  them cost a small network more than its convolutions do (2.6 against 1.0 ms on a CPU).
  """
  module = qarepvgg.fuse(task.build(genotype, Rngs(jax.random.key(0))))
  static, params, stats = functional.split(module)
  images = jax.numpy.asarray(
    np.random.default_rng(0).integers(0, 256, (batch, *task.size, 3), np.uint8)
  )

  @jax.jit
  def run(images):
    return task.forward(static.merge(params, stats), {}, images, Mode())

  compiled = run.lower(images).compile()
  start = lambda: jax.block_until_ready(compiled(images))
  start()
  return start
