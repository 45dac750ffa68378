# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations by processes on any machines that share a folder: one asks, any number work.

    history.run(space, strategy, evaluator, path, executor=Executor(folder), ahead=4, ...)   # asks
    work(folder, evaluator)                                                 # in each worker

A task is a file `ID.task`; who creates `ID.claim` has it, and touches that file as long as it
lives. A claim that has not been touched for `patience_s` is a dead worker's, and another takes the
task over: nothing is lost but that evaluation. The result is `ID.result`. The ID follows from
genotype, key and rung, so that a search that is started again finds what was evaluated meanwhile.
"""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import socket
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnas import files
from dnas.errors import DnasError
from dnas.files import json_of
from dnas.lock import beating
from dnas.progress import say
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import Evaluator, Metrics

PATIENCE_S = 60.0
POLL_S = 0.5
_DONE = "done"


class SharedError(DnasError):
  """An evaluation failed on a worker, or a file of the folder is broken."""


class Executor:
  """Puts evaluations into a folder and waits for their results.

  While it waits it says so once a minute, in case nobody works. `about` says what evaluates: a
  result in the folder counts only for the same.
  """

  def __init__(self, folder: pathlib.Path, about: str = "", poll_s: float = POLL_S):
    self.folder, self.about, self.poll_s = folder, about, poll_s
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _DONE).unlink(missing_ok=True)

  def submit(self, evaluator: Evaluator, genotype: SearchSpace, key: Any, *rung: int) -> "Result":
    """Asks for an evaluation, at a rung if one is given; the evaluator is the workers' own."""
    del evaluator
    data = np.asarray(jax.random.key_data(key)).tolist()
    task = {"genotype": genotype.to_dict(), "key": data, **dict(zip(["rung"], rung))}
    task["about"] = hashlib.sha256(self.about.encode()).hexdigest()[:16]
    text = json.dumps(task, sort_keys=True) + "\n"
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    if not (self.folder / f"{name}.task").exists():
      files.atomic_write(self.folder / f"{name}.task", text)
    return Result(self, name)

  def close(self) -> None:
    """Tells the workers that nothing more will come."""
    files.atomic_write(self.folder / _DONE, "")


class Result:
  """The result of one evaluation, once it is there."""

  def __init__(self, executor: Executor, name: str):
    self.executor, self.name = executor, name

  def result(self) -> Metrics:
    """Waits for it. Raises SharedError if the evaluation failed; started again, it is repeated."""
    path, said = self.executor.folder / f"{self.name}.result", time.monotonic()
    while not path.exists():
      if time.monotonic() - said > 60:
        said = time.monotonic()
        say(f"waiting for a worker to evaluate {path.with_suffix('.task')}")
      time.sleep(self.executor.poll_s)
    found = _object(path)
    if "error" in found:
      # The task first: a worker that finds it without its result would take it once more.
      path.with_suffix(".task").unlink(missing_ok=True)
      path.unlink()
      raise SharedError(f"{self.name}, on {found.get('worker')}: {found['error']}")
    return found["metrics"]


def work(
  folder: pathlib.Path,
  evaluator: Evaluator,
  *,
  patience_s: float = PATIENCE_S,
  poll_s: float = POLL_S,
  say: Callable[[str], object] = say,
) -> int:
  """Evaluates what is asked for until there is nothing more to come; returns how many.

  Args:
    folder: of an `Executor`; may come into being later.
    evaluator: (genotype, key) -> metrics, or (genotype, key, rung), as the strategy asks.
    patience_s: a claim that was not touched for so long is taken over. By the clock of the file
      system, so that machines need not agree on the time.
    poll_s: between two looks.
    say: is told of each evaluation.
  """
  count = 0
  while True:
    over, task = (folder / _DONE).exists(), _claim(folder, patience_s)
    if task is None:
      if over:
        return count
      time.sleep(poll_s)
      continue
    with beating(functools.partial(os.utime, task.with_suffix(".claim")), patience_s / 4):
      outcome: dict[str, Any] = {"worker": _me()}
      try:
        outcome["metrics"] = {k: float(v) for k, v in evaluator(*_read(task)).items()}
      except Exception as error:  # Whatever it is, the search that asked has to hear of it.
        outcome["error"] = f"{type(error).__name__}: {error}"
      except BaseException:  # This process has to end: the next one need not wait.
        task.with_suffix(".claim").unlink(missing_ok=True)
        raise
    files.atomic_write(task.with_suffix(".result"), json.dumps(outcome) + "\n")
    task.with_suffix(".claim").unlink(missing_ok=True)
    count += 1
    say(f"{task.stem}: {outcome.get('metrics', outcome.get('error'))}")


def _claim(folder: pathlib.Path, patience_s: float) -> pathlib.Path | None:
  """A task that is now this process's; None if there is none to be had."""
  for task in sorted(folder.glob("*.task")):
    claim = task.with_suffix(".claim")
    if task.with_suffix(".result").exists():
      continue
    with contextlib.suppress(FileNotFoundError):
      if _now(folder) - claim.stat().st_mtime > patience_s:
        # Renamed rather than removed: of several who see that it is stale, one gets it.
        stale = claim.with_suffix(f".{os.getpid()}.{socket.gethostname()}.stale")
        claim.rename(stale)
        stale.unlink()
    try:
      handle = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
      continue
    with os.fdopen(handle, "w", encoding="utf-8") as file:
      file.write(_me())
    # Between the two looks the result may have come, or the task gone because it failed.
    if task.exists() and not task.with_suffix(".result").exists():
      return task
    claim.unlink(missing_ok=True)
  return None


def _now(folder: pathlib.Path) -> float:
  """The time by the clock of the folder's file system."""
  path = folder / f".clock.{os.getpid()}.{socket.gethostname()}"
  path.touch()
  return path.stat().st_mtime


def _read(task: pathlib.Path) -> tuple[Any, ...]:
  """Genotype and key, and the rung if the task has one."""
  found = _object(task)
  key = jax.random.wrap_key_data(jnp.asarray(found["key"], jnp.uint32))
  rung = (found["rung"],) if "rung" in found else ()
  return SearchSpace.from_dict(found["genotype"]), key, *rung


def _object(path: pathlib.Path) -> dict[str, Any]:
  try:
    found = json_of(path)
  except DnasError as error:
    raise SharedError(f"{error}; delete it to have it made again") from error
  if not isinstance(found, dict) or not found.keys() & {"metrics", "error", "genotype"}:
    raise SharedError(f"{path} is neither a task nor a result; delete it to have it made again")
  return found


def _me() -> str:
  return f"process {os.getpid()} on {socket.gethostname()}"
