# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a run writes for people: metrics.jsonl and TensorBoard scalars; what it says of them."""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import rich.console

from dnas.errors import DnasError
from dnas.files import atomic_write, bounded
from dnas.progress import Count, bar

_MAX_BYTES = 1 << 30  # A line has a few hundred bytes: millions of steps.
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class LogError(DnasError):
  """A metrics file cannot be read, or cannot be written any more."""


class Log:
  """Records of a run, step by step.

      with Log(workdir, total_steps=1000, description="search") as log:
        for step in range(1, 1001):
          ...
          log.write(step, {"loss": loss}, text="normal: skip_connect, sep_conv_3x3, ...")

  `workdir/metrics.jsonl` gets one object a step, `{"step": 3, "loss": 0.5}`. It holds no times, so
  that equal runs write equal files. Values that are still being computed on a device are kept as
  they are and read some records later, so that logging each step does not make the device wait.
  Before a checkpoint call `flush()`: then the records of all steps that it covers are in the file.
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    total_steps: int,
    *,
    description: str = "",
    start_step: int = 0,
    every_steps: int = 1,
    lag: int = 16,
    active: bool = True,
    tensorboard: bool = True,
    console: rich.console.Console | None = None,
    plain_every_s: float = 10.0,
  ):
    """Opens the files; records after `start_step` (of a run that died later) are dropped.

    Args:
      workdir: the folder of metrics.jsonl and tensorboard/.
      total_steps: where the progress bar ends.
      description: the word in front of the bar.
      start_step: the step restored from a checkpoint; 0 starts the file anew.
      every_steps: of the steps written, these multiples and the last one are kept.
      lag: how many records may wait for their values.
      active: False on all processes of a run but the first: then nothing is written or shown.
      tensorboard: whether to write TensorBoard scalars.
      console: where to show progress; default: stdout.
      plain_every_s: seconds between progress lines where the console is no terminal.
    """
    self._path = pathlib.Path(workdir) / "metrics.jsonl"
    self._total, self._every, self._lag, self._active = total_steps, every_steps, lag, active
    self._waiting: list[tuple[int, dict[str, Any], str]] = []
    self._last_step = start_step or -1
    self._writer = self._file = self._live = None
    if not active:
      return
    self._console = console or rich.console.Console()
    kept = [] if start_step == 0 else [r for r in read(self._path) if r["step"] <= start_step]
    atomic_write(self._path, "".join(line(record) for record in kept))
    self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115  (closed by close)
    if tensorboard:
      from tensorboardX import SummaryWriter  # Here, because it takes 0.3 s to import.

      # TensorBoard hides what an earlier process wrote from this step on.
      self._writer = SummaryWriter(
        str(self._path.parent / "tensorboard"), purge_step=start_step + 1
      )
    self._count = Count(
      description, total_steps, done=start_step, every_s=plain_every_s, say=self.say
    )
    if self._console.is_terminal:
      self._live = bar(self._console)
      self._task = self._live.add_task(
        description, total=total_steps, completed=start_step, losses="", text=""
      )
      self._live.start()

  def write(self, step: int, values: Mapping[str, Any], text: str = "") -> None:
    """Records `values` (numbers, one-element arrays, lists, strings) of a step.

    Args:
      step: greater than in the call before; steps are counted from 1.
      values: by name, `val/accuracy`. Arrays that the next step takes as donated must be copied.
      text: shown behind the progress bar, not recorded.

    Raises:
      LogError: `step` is not greater than the last one, or the file is gone.
      OSError: names the file.
    """
    if step <= self._last_step:
      raise LogError(f"{self._path}: step {step} comes after step {self._last_step}")
    self._last_step = step
    if not self._active or (step % self._every and step != self._total):
      return
    self._waiting.append((step, dict(values), text))
    if len(self._waiting) > self._lag or step == self._total:
      self._drain()

  def flush(self) -> None:
    """Waits for all values and writes them out, for a checkpoint that covers them."""
    self._drain()
    if self._writer:
      self._writer.flush()

  def _drain(self) -> None:
    if self._file is None or not self._waiting:
      return
    waiting, self._waiting = self._waiting, []
    records = [
      ({"step": s, **{k: _number(v) for k, v in values.items()}}, t) for s, values, t in waiting
    ]
    try:
      self._file.write("".join(line(record) for record, _ in records))
      self._file.flush()
    except OSError as error:
      raise OSError(error.errno, f"cannot write: {error.strerror}", str(self._path)) from error
    if not _is_at(self._path, self._file.fileno()):
      raise LogError(f"{self._path} was deleted while the run wrote to it")
    if self._writer:
      for record, _ in records:
        for name, value in record.items():
          # TensorBoard cannot show NaN (`alpha_loss` while alpha is frozen) and complains of it.
          if name != "step" and isinstance(value, (int, float)) and math.isfinite(value):
            self._writer.add_scalar(name, value, record["step"])
    self._show(*records[-1])

  def say(self, message: str) -> None:
    """Prints a line above the progress bar."""
    if self._active:
      (self._live.console if self._live else self._console).print(
        message, markup=False, highlight=False, soft_wrap=True
      )

  def close(self) -> None:
    """Writes what is waiting and ends the progress line. May be called twice."""
    try:
      self.flush()
    finally:
      if self._live:
        self._live.stop()
      if self._writer:
        self._writer.close()
      if self._file:
        self._file.close()
      self._writer = self._file = self._live = None

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()

  def _show(self, record: dict[str, Any], text: str) -> None:
    losses = "  ".join(
      f"{name} {value:.4g}"
      for name, value in record.items()
      if name != "step" and isinstance(value, (int, float)) and not math.isnan(value)
    )
    if self._live:
      self._live.update(self._task, completed=record["step"], losses=losses, text=text)
    else:
      self._count(record["step"], losses, text)


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
  """The records of a metrics.jsonl; [] if there is no such file.

  A last line that was cut off (its process was killed while writing it) is left out.

  Raises:
    LogError: any other line that is no record, with its number.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  records = []
  with open(path, "rb") as file:
    text = bounded(file, path, _MAX_BYTES, LogError).decode("utf-8", errors="replace")
  *lines, _ = text.split("\n")
  for number, line in enumerate(lines, 1):
    try:
      record = json.loads(line)
      if not isinstance(record, dict) or type(record.get("step")) is not int:
        raise ValueError("not an object with an integer 'step'")
    except (ValueError, RecursionError) as error:
      raise LogError(f"{path}, line {number}: {error}: {line[:80]!r}") from error
    records.append({key: _from_word(value) for key, value in record.items()})
  return records


def _is_at(path: pathlib.Path, descriptor: int) -> bool:
  """Whether the open file still has this name: not if it was deleted, or its disk unmounted."""
  try:
    return os.path.samestat(os.stat(path), os.fstat(descriptor))
  except OSError:
    return False


def line(record: Mapping[str, Any]) -> str:
  """One line of JSON. NaN and infinities, which JSON lacks, become the words that `read` knows."""
  words = {key: _to_word(value) for key, value in record.items()}
  return json.dumps(words, allow_nan=False) + "\n"


def _to_word(value: Any) -> Any:
  if isinstance(value, list):
    return [_to_word(item) for item in value]
  if isinstance(value, dict):
    return {key: _to_word(item) for key, item in value.items()}
  if isinstance(value, float) and not math.isfinite(value):
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
  return value


def _from_word(value: Any) -> Any:
  if isinstance(value, list):
    return [_from_word(item) for item in value]
  if isinstance(value, dict):
    return {key: _from_word(item) for key, item in value.items()}
  return _WORDS.get(value, value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
  """An array on any device as a Python number or nested list; float32 in its shortest form."""
  if isinstance(value, (str, bool, int, type(None))) or type(value) is float:
    return value
  array = np.asarray(value)
  if array.size == 1:
    array = array.reshape(())
  if array.dtype.kind in "biu":
    return array.tolist()
  # 0.1, not 0.10000000149011612: the shortest number that names the same float32.
  array = array.astype(np.promote_types(array.dtype, np.float32))
  return np.array([float(str(x)) for x in array.flat], float).reshape(array.shape).tolist()
