# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How far something is, for who waits: a live bar on a terminal, lines with an ETA elsewhere."""

import time
from collections.abc import Callable

import rich.console
import rich.progress
import rich.table


def say(text: object) -> None:
  """A line of progress to stdout, written at once: into a file or a pipe, too."""
  print(text, flush=True)


class Count:
  """Progress in lines, for what is counted: "cell 12/100  score 0.5  ETA 0:12:30".

      count = Count("cell", 100)
      for number in range(1, 101):
        ...
        count(number, "score 0.5")

  Says nothing within `every_s` seconds of the line before, but always the last one. What is left is
  taken to last as long as what was done since the start, each.

  Args:
    word: what is counted.
    total: how many there are.
    done: how many of them were there before; None: all before the first that is counted.
    every_s: seconds between lines.
    say: prints a line.
  """

  def __init__(
    self,
    word: str,
    total: int,
    *,
    done: int | None = None,
    every_s: float = 10.0,
    say: Callable[[str], object] = say,
  ):
    self._word, self._total, self._done = word, total, done
    self._every_s, self._say = every_s, say
    self._started = self._shown = time.monotonic()

  def __call__(self, number: int, *parts: str) -> None:
    """`number` of `total` are done; the parts stand between the number and the time left."""
    if self._done is None:
      self._done = number - 1
    now = time.monotonic()
    if now - self._shown < self._every_s and number != self._total:
      return
    self._shown = now
    left_s = int((now - self._started) / max(number - self._done, 1) * (self._total - number))
    eta = f"ETA {left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02}"
    words = (f"{self._word} {number}/{self._total}".strip(), *parts, eta)
    self._say("  ".join(word for word in words if word))


def bar(console: rich.console.Console) -> rich.progress.Progress:
  """A live line: description, bar, step, ETA, the fields `losses` and `text` of its task.

  The text is cut where the terminal ends.
  """
  column = rich.progress.TextColumn
  return rich.progress.Progress(
    column("{task.description}"),
    rich.progress.BarColumn(bar_width=20),
    rich.progress.MofNCompleteColumn(),
    rich.progress.TimeRemainingColumn(),
    column("{task.fields[losses]}", markup=False),
    column(
      "{task.fields[text]}",
      markup=False,
      table_column=rich.table.Column(no_wrap=True, overflow="ellipsis", ratio=1),
    ),
    console=console,
    expand=True,
    refresh_per_second=4,
  )
