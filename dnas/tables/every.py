# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""All tables, one after another, within a budget of time; and the list of what there is."""

import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dnas import files, preemption
from dnas.errors import DnasError
from dnas.progress import say

_GRACE_S = 300  # for the step at hand to end and be saved
_UNFINISHED = ".unfinished"
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Table(NamedTuple):
  """One entry of the list.

  Attributes:
    what: the table shows.
    here: its run time on 2 cores, in words.
    data: that it needs.
    make: the function that makes it.
    full: the run time at the scale of the literature, in words.
    minutes: `here` as a number, by which `run` plans; None: not known.
    lacks: folder of its runs -> what it needs beside `data` and is not there, or None.
  """

  what: str
  here: str
  data: str
  make: Callable[..., Any]
  full: str = "the same"
  minutes: float | None = None
  lacks: Callable[[pathlib.Path], str | None] = lambda workdir: None


def listing(tables: Mapping[str, Table]) -> str:
  """What each table shows, how long it takes here and at full scale, and the data it needs."""
  lines = []
  for name, table in tables.items():
    lines += [
      f"{name}: {table.what}",
      f"    here: {table.here}    at full scale: {table.full}",
      f"    data: {table.data}",
    ]
  return "\n".join(lines)


def seconds(text: str) -> float:
  """A budget such as `90s`, `60m` or `1.5h` in seconds.

  Raises:
    DnasError: it is none.
  """
  try:
    value = float(text[:-1]) * _UNITS[text[-1:]]
  except (ValueError, KeyError):
    value = 0.0
  if not 0 < value < float("inf"):
    raise DnasError(f"budget: {text!r} is no time such as 90s, 60m or 1.5h")
  return value


def run(
  tables: Mapping[str, Table],
  out: pathlib.Path,
  budget_s: float,
  command: Callable[[str], Sequence[str]],
  *,
  lacking: Mapping[str, str],
  say: Callable[[str], object] = say,
) -> dict[str, str]:
  """Makes what fits, the quick ones first, those of unknown time last; each in its own process.

  What is there is not made again: `out/NAME/provenance.json`, unless an earlier call of this
  function was stopped while making it. At the end of the budget the table at hand gets SIGTERM,
  which saves what it has; the next call goes on with it.

  Args:
    tables: by name.
    out: the folder above those of the tables.
    budget_s: seconds for all.
    command: name -> the words of the process that makes it.
    lacking: name -> why it cannot be made here.
    say: gets a line for each table.

  Returns:
    What became of each: "there", "made", "stopped", "failed", or why it was not begun.
  """
  end, results = time.monotonic() + budget_s, {}
  hours = lambda name: float("inf") if (m := tables[name].minutes) is None else m / 60
  for name in sorted(tables, key=hours):
    folder, left = out / name, end - time.monotonic()
    mark = folder / _UNFINISHED
    minutes = tables[name].minutes
    if (folder / "provenance.json").is_file() and not mark.exists():
      results[name] = "there"
    elif name in lacking:
      results[name] = f"not begun: {lacking[name]}"
    elif left <= 0 or (minutes is not None and minutes * 60 > left and not mark.exists()):
      results[name] = f"not begun: {max(left, 0) / 60:.0f} minutes are left"
    else:
      files.atomic_write(mark, "removed when the table is complete\n")
      results[name] = _one(command(name), left)
      if results[name] == "made":
        mark.unlink()
    say(f"{name}: {results[name]}")
  return results


def _one(words: Sequence[str], left_s: float) -> str:
  """Runs a process for at most so long; what became of it."""
  with subprocess.Popen(words) as process:
    try:
      code = process.wait(left_s)
    except subprocess.TimeoutExpired:
      process.send_signal(signal.SIGTERM)
      try:
        code = process.wait(_GRACE_S)
      except subprocess.TimeoutExpired:
        process.kill()
        return "stopped"
      if code == -signal.SIGTERM:
        return "stopped"
    except BaseException:
      process.terminate()
      raise
  return {0: "made", preemption.EXIT_CODE: "stopped"}.get(code, f"failed with exit code {code}")
