# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of the process: buffers are kept from step to step, and cycles are rarely looked for."""

import ctypes
import functools
import gc
import sys
from typing import Any

import jax.monitoring

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8

_COMPILED = "/jax/core/compile/backend_compile_duration"  # As JAX names it to its listeners.
_LONG_S = 1.0


@functools.cache  # The listener is set once.
def keep() -> bool:
  """Makes the C library keep freed memory for the next step, rather than hand it to the system.

  XLA allocates what a program needs (temporary buffers, results) anew at every call. glibc serves
  anything above 32 MiB with fresh pages, and each of their 4 KiB costs a page fault and a clearing:
  1.3 ms per MiB where measured, half of a supernet's step. Kept memory costs that once. What a
  process has used at its peak it then holds until its end; only what a compilation of a second and
  more has left goes back to the system, before the program runs: of a NAS-Bench-201 supernet 435 of
  1,121 MiB, in 0.07 s.

  It is for steps of large buffers. A small network, whose many small buffers two threads then take
  from one arena, takes 1.4 times as long (2.6 against 1.8 ms): time none in such a process.

  Returns:
    Whether it could be done: this is a process with glibc (Linux).
  """
  if sys.platform != "linux":
    return False
  try:
    library = ctypes.CDLL("libc.so.6")
    mallopt, trim = library.mallopt, library.malloc_trim
  except (OSError, AttributeError):
    return False  # Another C library: it has its own ways.
  largest = 2**31 - 1
  # One arena: only the main one can keep blocks of more than 64 MiB.
  settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, largest), (_M_ARENA_MAX, 1))
  done = all(mallopt(option, value) == 1 for option, value in settings)

  def listen(event: str, duration_secs: float, **_: Any) -> None:
    if event == _COMPILED and duration_secs >= _LONG_S:
      trim(0)

  jax.monitoring.register_event_duration_secs_listener(listen)
  return done


def collect_rarely() -> None:
  """Makes Python look for garbage in cycles every 50,000 new objects, instead of every 700.

  To trace a supernet makes a million objects, of which most live on; to look through them again and
  again took a quarter of that time. What no cycle holds is freed at once as ever.
  """
  gc.set_threshold(50_000, 20, 20)
