# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a process sets up before it computes: one of many or alone, on any machine.

Several processes are one run when each gets, in its environment,

    JAX_COORDINATOR_ADDRESS=HOST:PORT  JAX_NUM_PROCESSES=4  JAX_PROCESS_ID=0

or `DNAS_DISTRIBUTED=auto` where JAX finds these by itself (Cloud TPU pods, Slurm, Open MPI,
Kubernetes).
"""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator

import jax

from dnas import memory, mesh, preemption
from dnas.cache import keep_programs
from dnas.errors import ConfigError, check_count, one_line_errors

HEARTBEAT_S = 30
"""A process that is silent for so long is dead, and ends the others of its run."""

_BROKEN = re.compile("gloo|nccl|connection|heartbeat|UNAVAILABLE|ABORTED|DEADLINE", re.IGNORECASE)
_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@contextlib.contextmanager
def running(cache: bool = True, keep: bool = True) -> Iterator[None]:
  """Around all that a script computes: joins the other processes, and ends in good order.

  Memory is kept between steps, programs are kept on disk, SIGTERM ends the process with
  `preemption.EXIT_CODE` once all is saved, and errors that a user can mend are one line.

  Args:
    cache: whether to keep compiled programs.
    keep: whether to keep memory between steps.

  Raises:
    SystemExit: with the code of the error.
  """
  with one_line_errors():
    if keep:
      memory.keep()
    memory.collect_rarely()
    join()
    if cache:
      keep_programs()
    if jax.process_count() > 1:
      with _together():
        # They connect while they are together: later one may compile for longer than the others,
        # and on CPUs a first connection (gloo's) is given up after 30 s.
        mesh.meet("joined")
        yield
      return
    with preemption.heeded():
      yield


@contextlib.contextmanager
def _together() -> Iterator[None]:
  """Ends one of several processes (SIGTERM is heard by JAX's own service: `mesh.all_noticed`).

  At its exit JAX waits for the others, and those may be waiting for this one: after an error it
  ends at once, and they hear of that from their broken connections.
  """
  try:
    yield
  except preemption.Preempted as stop:  # All have saved the same step.
    print(f"{stop}; start the same command lines again to go on", file=sys.stderr)
    raise
  except BaseException as error:
    code = _tell(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _tell(error: BaseException) -> int:
  """Says why this process ends; returns its code."""
  if (lost := _lost(error)) is not None:
    print(
      f"error: another process of this run has ended, or cannot be reached ({lost[-200:]}); start "
      "the same command lines again to go on from the last checkpoint",
      file=sys.stderr,
    )
    return preemption.EXIT_CODE
  try:
    with one_line_errors():
      raise error
  except SystemExit as end:
    return end.code if isinstance(end.code, int) else int(end.code is not None)
  except BaseException:
    traceback.print_exc()
    return 1


def _lost(error: BaseException | None) -> str | None:
  """What JAX said of a broken connection, in the error or in what caused it."""
  while error is not None:
    if isinstance(error, jax.errors.JaxRuntimeError) and _BROKEN.search(str(error)):
      return " ".join(str(error).split())
    error = error.__cause__ or error.__context__
  return None


def join() -> None:
  """Joins the other processes of the run, if the environment says that there are any.

  Raises:
    ConfigError: only some of the variables are set, or they do not fit together.
  """
  given = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
  auto = os.environ.get("DNAS_DISTRIBUTED", "")
  if auto not in ("", "auto"):
    raise ConfigError(f"DNAS_DISTRIBUTED={auto!r}: 'auto' or nothing")
  if auto:
    jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_S)
  if auto or not given:
    return
  if missing := [name for name in _VARIABLES if name not in given]:
    raise ConfigError(f"{', '.join(given)} set without {', '.join(missing)}: set all or none")
  address = given["JAX_COORDINATOR_ADDRESS"]
  try:
    count, index = (int(given[name]) for name in _VARIABLES[1:])
  except ValueError as error:
    raise ConfigError(f"JAX_NUM_PROCESSES and JAX_PROCESS_ID are whole numbers: {error}") from error
  if not (address.rpartition(":")[2].isdigit() and 0 <= index < count):
    raise ConfigError(
      f"JAX_COORDINATOR_ADDRESS={address!r} is HOST:PORT; JAX_PROCESS_ID={index} is one of 0 to "
      f"JAX_NUM_PROCESSES - 1 = {count - 1}"
    )
  if count > 1:
    jax.distributed.initialize(address, count, index, heartbeat_timeout_seconds=HEARTBEAT_S)


@contextlib.contextmanager
def workers(count: int, keep: bool = True) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
  """`count` processes to which calls are handed; they end with this one, however it ends.

  After an error within, Ctrl-C among them, they are killed in the middle of what they do.

  What they are given must be picklable. They are spawned, because this process has threads (JAX's),
  which do not survive a fork; so the script that calls this needs an `if __name__ == "__main__"`.

  Args:
    count: how many.
    keep: whether they keep memory between steps.
  """
  check_count("workers", count, 1, ConfigError)
  spawn = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(count, spawn, _begin, (keep,)) as executor:
    try:
      yield executor
    except BaseException:
      begun = list((executor._processes or {}).values())
      executor.shutdown(wait=False, cancel_futures=True)
      for worker in begun:
        worker.kill()
      raise


def _begin(keep: bool) -> None:
  """A worker starts: it will not outlive the process that started it."""
  parent = multiprocessing.parent_process()
  assert parent is not None

  def watch() -> None:
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)

  threading.Thread(target=watch, name="parent", daemon=True).start()
  # Ctrl-C goes to the whole group; the parent decides what it means.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  if keep:
    memory.keep()
  memory.collect_rarely()
  keep_programs()
