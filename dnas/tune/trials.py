# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Hands the trials of a study out to processes on any machines; that of a dead one to another.

While a process is at a trial it holds the lock of the trial's folder and says in the storage, every
few seconds, that it lives. If it dies, a process on the same machine finds the lock free; one on
another machine finds no sign of life in `LOOKS` looks. Looks are counted rather than seconds: after
a machine was suspended all its clocks are late, but nobody has looked.
"""

import contextlib
import itertools
import pathlib
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from dnas.lock import LockError, beating, run_lock

POLL_S = 5.0
LOOKS = 12
BEAT_POLLS = 3  # How many polls pass between two signs of life.
_WORKER = "worker"  # The trial's attribute: host, claim (one process, one go) and beat.


class Trials:
  """The trials of a study, to this process one at a time."""

  def __init__(
    self,
    optuna: Any,
    study: Any,
    workdir: pathlib.Path,
    count: int,
    say: Callable[[str], object],
  ):
    """Asks for nothing yet.

    Args:
      optuna: the module.
      study: all processes have the same one.
      workdir: gets `trials/NUMBER`; may or may not be shared with other machines.
      count: how many trials there shall be in all.
      say: is told of what is waited for and of what is taken over.
    """
    self._trial, self._study, self._say = optuna.trial, study, say
    self._folder, self._count = workdir / "trials", count
    self._signs: dict[int, tuple[Any, int]] = {}  # The last sign of a trial; looks since it came.
    self._told = False

  def claim(self) -> contextlib.AbstractContextManager[Any] | None:
    """A context with a trial that is this process's meanwhile; None once all are finished."""
    states = self._trial.TrialState
    while True:
      trials = self._study.get_trials(deepcopy=False)[: self._count]
      running = [trial for trial in trials if trial.state == states.RUNNING]
      for trial in running:
        if _worker(trial).get("host") == socket.gethostname() and (held := self._take(trial)):
          return held
      if len(trials) < self._count or any(trial.state == states.WAITING for trial in trials):
        asked = self._study.ask()
        # Several may ask for the last one; what is left over stays for a study of more trials.
        if asked.number < self._count and (held := self._hold(asked)):
          return held
      elif not running:
        return None
      elif held := self._watch(running):
        return held

  def folder(self, trial: Any) -> pathlib.Path:
    """Where what belongs to a trial is kept."""
    return self._folder / f"{trial.number:04d}"

  def _watch(self, running: list[Any]) -> contextlib.AbstractContextManager[Any] | None:
    """Looks for signs of life of other processes once, and waits a while or takes one's trial."""
    if not self._told:
      numbers = ", ".join(str(trial.number) for trial in running)
      self._say(f"waiting for other processes: trial {numbers}")
    self._told = True
    for trial in running:
      sign = _worker(trial)
      before, looks = self._signs.get(trial.number, (sign, -1))
      looks = looks + 1 if sign == before else 0
      self._signs[trial.number] = sign, looks
      if looks >= LOOKS:
        del self._signs[trial.number]
        # Of two machines that see this at once, the one that wrote last has it.
        if held := self._take(trial, settle_s=POLL_S):
          return held
    time.sleep(POLL_S)
    return None

  def _take(self, frozen: Any, settle_s: float = 0.0):
    held = self._hold(self._trial.Trial(self._study, frozen._trial_id), settle_s)
    if held is not None:
      host = _worker(frozen).get("host", "an unknown machine")
      self._say(f"trial {frozen.number}: its process, on {host}, has ended; taken over")
    return held

  def _hold(self, trial: Any, settle_s: float = 0.0):
    """A context with the trial; None if another process is at it, or has finished it."""
    with contextlib.ExitStack() as stack:
      try:
        stack.enter_context(run_lock(self.folder(trial)))
      except LockError:
        return None
      mine, beats = {"host": socket.gethostname(), "claim": uuid.uuid4().hex}, itertools.count()
      say_so = lambda: trial.set_user_attr(_WORKER, {**mine, "beat": next(beats)})
      stack.enter_context(beating(say_so, BEAT_POLLS * POLL_S))
      time.sleep(settle_s)
      now = self._study.get_trials(deepcopy=False)[trial.number]
      running = now.state == self._trial.TrialState.RUNNING
      if running and _worker(now).get("claim") == mine["claim"]:
        return _holding(stack.pop_all(), trial)
    return None


@contextlib.contextmanager
def _holding(held: contextlib.ExitStack, trial: Any) -> Iterator[Any]:
  with held:
    yield trial


def _worker(trial: Any) -> dict[str, Any]:
  return trial.user_attrs.get(_WORKER, {})
