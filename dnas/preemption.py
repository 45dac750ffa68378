# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, the notice that a machine is about to be taken away: save, and say "start me again".

    with heeded():                      # a script, around everything
      with deferred() as noticed:       # a loop that can save
        for step in ...:
          if noticed():
            save()
            raise Preempted(f"stopped at step {step}")

The process ends with `EXIT_CODE`, by which a scheduler knows that the same command line goes on.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

EXIT_CODE = 75
"""EX_TEMPFAIL of BSD's sysexits.h: a passing failure, try again."""

GRACE_S = 8.0
"""What a step and a checkpoint may take after the notice. Schedulers kill after 10 s and more."""

_noticed = threading.Event()
_waiting = 0  # Loops that look at `_noticed` themselves.


class Preempted(SystemExit):
  """The process was asked to end. No `Exception`, so that nothing takes it for a broken file."""

  def __init__(self, message: str):
    super().__init__(EXIT_CODE)
    self.message = message

  def __str__(self) -> str:
    return self.message


@contextlib.contextmanager
def heeded(grace_s: float = GRACE_S) -> Iterator[None]:
  """Makes SIGTERM end the process with `EXIT_CODE`: at once, or where a loop has saved.

  The main thread hears of a signal when it comes back from compiled code, and compiling can take
  minutes. So a thread hears of it too, and after `grace_s` ends the process as it stands: files
  are written and then renamed, and what the last checkpoint holds is there. Main thread only.
  """
  done = threading.Event()
  reader, writer = os.pipe()
  os.set_blocking(writer, False)

  def notice(*_: object) -> None:
    _noticed.set()
    if not _waiting:
      raise Preempted("stopped by SIGTERM")

  def watch() -> None:
    while data := os.read(reader, 1):
      if data[0] == signal.SIGTERM and not done.wait(grace_s):
        _say(f"SIGTERM: not done after {grace_s:g} s; ending with the last checkpoint")
        os._exit(EXIT_CODE)
    os.close(reader)

  handler = signal.signal(signal.SIGTERM, notice)
  wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  threading.Thread(target=watch, name="sigterm", daemon=True).start()
  try:
    yield
  except Preempted as stop:
    _say(f"{stop}; start the same command line again to go on")
    raise
  finally:
    done.set()
    _noticed.clear()
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGTERM, handler)
    os.close(writer)  # Ends the thread.


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
  """Gives a function that tells whether the notice has come; the caller then saves and raises.

  Without `heeded` around it there is never a notice.
  """
  global _waiting
  _waiting += 1
  try:
    yield _noticed.is_set
  finally:
    _waiting -= 1


def _say(message: str) -> None:
  print(message, file=sys.stderr, flush=True)
