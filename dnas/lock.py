# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One run, one folder: the lock that keeps a second process out, and signs of life for others."""

import contextlib
import fcntl
import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from dnas.errors import DnasError

_T = TypeVar("_T")

_held: set[pathlib.Path] = set()


class LockError(DnasError):
  """A folder belongs to another run."""


def patiently(work: Callable[[], _T], say: Callable[[LockError], object], wait_s: float) -> _T:
  """work(), tried again every `wait_s` while it raises LockError, which `say` is told once."""
  told = False
  while True:
    try:
      return work()
    except LockError as error:
      if not told:
        say(error)
      told = True
      time.sleep(wait_s)


@contextlib.contextmanager
def run_lock(
  workdir: str | os.PathLike, active: bool = True, name: str = ".lock"
) -> Iterator[None]:
  """Holds a run's folder for this process; it ends with the process, however that ends.

  It is a POSIX record lock: worker processes that outlive a killed run do not inherit it.

  Args:
    workdir: made if need be.
    active: False in all processes of a run but the first (`jax.process_index() == 0`): they do
      nothing here.
    name: of the file that is locked; another name is another lock.

  Raises:
    LockError: another process has it; names that process.
    OSError: the folder cannot be written.
  """
  if not active:
    yield
    return
  path = pathlib.Path(workdir).absolute() / name
  if path in _held:
    raise LockError(f"{path.parent} is in use by this very process")
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+", encoding="utf-8") as file:
    try:
      fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
      file.seek(0)
      holder = file.read().strip() or "another process"
      raise LockError(
        f"{path.parent} is in use by {holder}. Wait for it, stop it, or choose another --workdir"
      ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _held.add(path)
    try:
      yield
    finally:
      _held.discard(path)


@contextlib.contextmanager
def beating(beat: Callable[[], object], every_s: float) -> Iterator[None]:
  """Calls `beat` at once and every so often meanwhile, in a thread: so that others see it lives.

  A beat that fails is missed, whatever the reason: the next one makes up for it, and a process that
  cannot tell for long that it lives is rightly taken for dead.
  """
  over = threading.Event()

  def go_on() -> None:
    while not over.wait(every_s):
      with contextlib.suppress(Exception):
        beat()

  with contextlib.suppress(Exception):
    beat()
  thread = threading.Thread(target=go_on, name="beating", daemon=True)
  thread.start()
  try:
    yield
  finally:
    over.set()
    thread.join()
