# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Weak scaling, measured: a search step of 1, 2, 4 processes with the same work on a core each.

    efficiency = t_1 / t_n

The processes talk by gloo over the loopback interface, whose own counter tells what they sent:
n processes that all-reduce B bytes around a ring send 2 (n - 1) B in all.

    python -m dnas.tables.weak_scaling CONFIG.json STEPS CORE     (what `measure` starts n times)
"""

import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax

from dnas import config as configs
from dnas import data, mesh, method, naming, process, runs
from dnas.config import Config
from dnas.errors import DnasError
from dnas.method import space_of, task_of
from dnas.settings import settings_of
from dnas.space import macro
from dnas.space.space import SearchSpace
from dnas.task import Task

WARM_UP = 3  # Steps that are not counted: the first compile and fill the memory.
LIMIT_S = 1200.0


class Prepared(NamedTuple):
  """A search step over all devices of all processes, with what it takes."""

  step: Any
  state: Any
  batches: list[Any]
  task: Task
  space: SearchSpace


def prepare(config: Config) -> Prepared:
  """The step of a config's search, its first state on the devices, and a batch of each part."""
  source = data.labelled(config.data.spec, config.data.train_split)
  task = task_of(config, source)
  settings: Config = settings_of(config.search)
  space = naming.bind(settings.network, macro, space_of(config))
  made = method.make(settings, task, space)
  devices = mesh.make()
  state = mesh.replicate(made.machine.init(jax.random.key(0)), devices)
  pipelines = [
    runs.pipeline(config, source, settings.batch_size, train=True, part=part, augment=(), threads=0)
    for part in ("weights", "alpha")
  ]
  batches = [mesh.shard_batch(next(iter(pipeline)), devices) for pipeline in pipelines]
  return Prepared(made.machine.step, state, batches, task, space)


def measure(config: Config, count: int, steps: int) -> dict[str, Any]:
  """Milliseconds and bytes of a step of `count` processes, `config.search.batch_size` for each.

  Returns:
    `ms` and `sent_bytes` (over the loopback interface, by anybody): medians over the steps.

  Raises:
    DnasError: not on Linux, or a process failed; what it said last is in the message.
  """
  if not hasattr(os, "sched_setaffinity"):
    raise DnasError("weak scaling: pins processes to cores, which only Linux does")
  batch = count * config.search.batch_size
  cores = sorted(os.sched_getaffinity(0))
  with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
    file = pathlib.Path(folder, "config.json")
    file.write_text(configs.to_json(configs.changed(config, {"search.batch_size": batch})))
    free.bind(("localhost", 0))
    address = f"localhost:{free.getsockname()[1]}"
    free.close()
    running = []
    try:
      for index in range(count):
        command = [sys.executable, "-m", __name__, str(file), str(steps)]
        running.append(_start([*command, str(cores[index % len(cores)])], address, count, index))
      found = [_result(each) for each in running]
    finally:
      for each in running:
        each.kill()
        each.wait()
  return found[0]


def _start(command: Sequence[str], address: str, count: int, index: int) -> subprocess.Popen[str]:
  environment = {
    **os.environ,
    "JAX_NUM_CPU_DEVICES": "1",  # Whatever the table's own process has, by either variable.
    "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
    "JAX_PLATFORMS": "cpu",
    "JAX_COORDINATOR_ADDRESS": address,
    "JAX_NUM_PROCESSES": str(count),
    "JAX_PROCESS_ID": str(index),
  }
  pipe = subprocess.PIPE
  return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def _result(running: subprocess.Popen[str]) -> dict[str, Any]:
  out, said = running.communicate(timeout=LIMIT_S)
  if running.returncode:
    raise DnasError(f"weak scaling: a process ended with {running.returncode}: ... {said[-1000:]}")
  return json.loads(out.splitlines()[-1])


def main(path: str, steps: int, core: int) -> None:
  """One of the processes: runs the steps and prints what it saw."""
  cores = os.sched_getaffinity(0)
  os.sched_setaffinity(0, {core})  # Before the backend counts the cores that it may use.
  with process.running():
    prepared = prepare(configs.load(pathlib.Path(path)))
    _release(cores)
    state, ms, sent = prepared.state, [], []
    for _ in range(WARM_UP + steps):
      before, start = loopback_bytes(), time.perf_counter()
      state, metrics = prepared.step(state, *prepared.batches)
      jax.block_until_ready((state, metrics))
      ms.append((time.perf_counter() - start) * 1e3)
      sent.append(loopback_bytes() - before)
    mesh.meet("measured")
  middle = lambda values: statistics.median(values[WARM_UP:])
  print(json.dumps({"ms": middle(ms), "sent_bytes": middle(sent)}))


def _release(cores: Collection[int]) -> None:
  """Lets all threads of this process run on all of `cores`.

  The backend has one thread to compute with by now. On the same core as that one the threads that
  communicate would wait for its time slice to end: 4 ms at each collective.
  """
  for thread in pathlib.Path("/proc/self/task").iterdir():
    with contextlib.suppress(ProcessLookupError):
      os.sched_setaffinity(int(thread.name), cores)


def loopback_bytes(path: pathlib.Path = pathlib.Path("/proc/net/dev")) -> int:
  """What the loopback interface has carried since the machine started."""
  for line in path.read_text(encoding="utf-8").splitlines():
    name, _, counts = line.partition(":")
    if name.strip() == "lo":
      return int(counts.split()[0])
  raise DnasError(f"{path}: no loopback interface")


if __name__ == "__main__":
  main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
