# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run goes on bit for bit, and the lock on its folder.

Orbax writes them, in the background, and takes care that a half-written one never counts. What is
added here: a checksum of each array, so that a damaged checkpoint is found and the one before it is
taken; typed keys; a clear word when the checkpoint is that of another network.

    with run_lock(workdir), Checkpointer(workdir / "checkpoints", every_steps=100) as checkpoints:
      restored = checkpoints.restore(state)
      step, state, data_state = restored or (0, state, {})
      ...
        if checkpoints.should_save(step):
          log.flush()
          checkpoints.save(step, state, {"train": iterator.get_state()})
"""

import base64
import binascii
import contextlib
import gc
import json
import logging
import math
import os
import pathlib
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from dnas.lock import run_lock
from dnas.trees import (
  CheckpointError,
  check_fits,
  crc32,
  fingerprint,
  from_host,
  load_tree,
  named_leaves,
  save_tree,
  stored_dtype,
  to_host,
)

__all__ = ["CheckpointError", "Checkpointer", "fingerprint", "load_tree", "run_lock", "save_tree"]

_VERSION = 1
_CLOCK_EVERY = 8  # With several processes, how many steps pass between looks at the first's clock.


class Checkpointer:
  """Writes and finds the checkpoints of a run. All processes of the run make and call one."""

  def __init__(
    self,
    directory: str | os.PathLike,
    *,
    every_steps: int = 0,
    every_minutes: float | None = None,
    keep: int = 2,
    best_metric: str | None = None,
    best_mode: str = "max",
    say: Callable[[str], object] = lambda message: print(message, file=sys.stderr),
  ):
    """Opens the folder; what a killed process left half-written in it is removed.

    Args:
      directory: one folder for each step goes in here.
      every_steps: `should_save` is true at the multiples. 0: never for this reason.
      every_minutes: it is also true once this long has passed. None or 0: never for this reason.
      keep: how many of the newest stay. Two or more, so that there is one to fall back to.
      best_metric: the name of a metric given to `save`; the best checkpoint by it stays as well.
      best_mode: "max" or "min".
      say: is told when a checkpoint is broken and another is taken.

    Raises:
      CheckpointError: an argument out of range.
      OSError: the folder cannot be made.
    """
    if keep < 1 or every_steps < 0 or (every_minutes or 0) < 0 or best_mode not in ("max", "min"):
      raise CheckpointError(
        f"checkpoint.keep={keep} (1 or more), every_steps={every_steps} and "
        f"every_minutes={every_minutes} (0 or more), best_mode={best_mode!r} ('max' or 'min')"
      )
    self.directory = pathlib.Path(directory).absolute()
    self.directory.mkdir(parents=True, exist_ok=True)
    self._every_steps, self._every_s = every_steps, 60 * (every_minutes or 0)
    self._say, self._best_metric = say, best_metric
    self._sign = 1 if best_mode == "max" else -1
    self._keep, self._merits = keep, {}
    logging.getLogger("absl").addFilter(_is_news)
    options = ocp.CheckpointManagerOptions(preservation_policy=self, cleanup_tmp_directories=True)
    self._manager = ocp.CheckpointManager(self.directory, options=options)
    if best_metric:
      for step in self.steps():
        with contextlib.suppress(Exception):  # A broken one is no candidate; `restore` tells of it.
          self._merits[step] = self._merit(self._meta(step)["metrics"])
    self._saved_at = time.monotonic()

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    """Which finished checkpoints stay: the protocol `PreservationPolicy` of Orbax."""
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    stay = {*sorted(steps)[-self._keep :], self._best(steps)}
    return [step in stay for step in steps]

  def _merit(self, metrics: Mapping[str, float]) -> float:
    merit = self._sign * metrics.get(self._best_metric or "", math.nan)
    return -math.inf if math.isnan(merit) else merit

  def _best(self, steps: Sequence[int]) -> int | None:
    merits = {s: self._merits[s] for s in steps if self._merits.get(s, -math.inf) > -math.inf}
    return max(merits, key=lambda step: (merits[step], step)) if merits else None

  def steps(self) -> list[int]:
    """The steps of the finished checkpoints, oldest first."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """The step of the best finished checkpoint by `best_metric`."""
    return self._best(self.steps())

  def should_save(self, step: int) -> bool:
    """Whether a checkpoint is due after `step`; the same answer in all processes."""
    if self._every_steps and step % self._every_steps == 0:
      return True
    if not self._every_s:
      return False
    due = time.monotonic() - self._saved_at >= self._every_s
    if jax.process_count() == 1:
      return due
    if step % _CLOCK_EVERY:
      return False
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(due)))

  def save(
    self,
    step: int,
    state: Any,
    data_state: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
  ) -> bool:
    """Copies everything, then writes it in the background; `state` may be donated at once.

    Args:
      step: how many steps are done.
      state: a tree of arrays, typed keys and numbers.
      data_state: where the data iterators are, and whatever else is no array: JSON, and bytes.
        With several processes the first one's counts.
      metrics: numbers by name; `best_metric` has to be among them to take part.

    Returns:
      False if there is a checkpoint of this step already.

    Raises:
      CheckpointError: this or the previous writing failed (a full disk, a vanished folder); a leaf
        that cannot be saved; or processes that hold different states, with the first such leaf.
    """
    if step in self._manager.all_steps():
      return False
    arrays: dict[str, Any] = {}
    described = {}
    leaves = named_leaves(state)
    for leaf in leaves.values():
      if isinstance(leaf, jax.Array):
        leaf.copy_to_host_async()
    for name, leaf in leaves.items():
      array, described[name] = to_host(name, leaf)
      if array.size:  # Orbax refuses empty arrays; the description is all there is to them.
        arrays[name] = array
    _check_equal_in_all_processes(described)
    numbers = {name: float(value) for name, value in (metrics or {}).items()}
    body = {"version": _VERSION, "step": step, "leaves": described, "metrics": numbers}
    try:
      text = json.dumps(body | {"data_state": _encode(dict(data_state or {}))})
    except (TypeError, ValueError) as error:
      raise CheckpointError(f"data_state is not made of JSON values and bytes: {error}") from error
    items: dict[str, Any] = {"meta": ocp.args.JsonSave({"body": text, "crc32": _crc32(text)})}
    if arrays:
      items["state"] = ocp.args.StandardSave(arrays)
    if self._best_metric:
      self._merits[step] = self._merit(numbers)
    with self._failing(f"checkpoint of step {step}"):
      self._manager.save(step, args=ocp.args.Composite(**items), force=True)
    self._saved_at = time.monotonic()
    return True

  def restore(self, template: Any, step: int | None = None) -> tuple[int, Any, dict] | None:
    """The newest sound checkpoint, as `(step, state, data_state)`; None if there is none at all.

    A broken one is renamed to `broken-STEP` with a message, and the one before it is taken.

    Args:
      template: a state of the run: structure, shapes, dtypes, and where each leaf has to lie
        (arrays, or `jax.ShapeDtypeStruct` with a sharding). The checkpoint may have been written
        on other devices, or by another number of processes.
      step: this one and no other (`best_step()`).

    Raises:
      CheckpointError: the checkpoint is sound but of another structure, shape or dtype; there are
        checkpoints but none is sound; the `step` asked for is missing or broken.
    """
    self.wait()
    steps = self.steps() if step is None else [step]
    faults = []
    for candidate in reversed(steps):
      found, fault = self._try(candidate, template)
      if found and not _any_process(bool(fault)):
        return candidate, *found
      faults.append(f"step {candidate}: {fault or 'another process cannot read it'}")
      if step is None:
        self._set_aside(candidate)
        self._say(f"checkpoint {self.directory / str(candidate)} is broken and left out: {fault}")
    if faults:
      raise CheckpointError(
        f"no sound checkpoint in {self.directory} ({'; '.join(faults)}). "
        "To start anew, delete the folder or choose another workdir"
      )
    return None

  def wait(self) -> None:
    """Until the last checkpoint is written. Raises CheckpointError if that failed."""
    with self._failing("last checkpoint"):
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits, and ends the threads."""
    with self._failing("last checkpoint"):
      self._manager.close()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()

  def _try(self, step: int, template: Any) -> tuple[tuple[Any, dict] | None, str]:
    """((state, data_state), "") of a step, or (None, what is wrong with it)."""
    found, fault = None, ""
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.disabled, before = True, asyncio_log.disabled
    try:
      found = self._read(step, template)
    except _Misfit as error:
      raise CheckpointError(str(error)) from error
    except Exception as error:  # Damaged files make Orbax raise just about anything.
      fault = " ".join(str(error).split())[:200] or type(error).__name__
    finally:
      if fault:
        gc.collect()  # Of the tasks Orbax left, each logs a page about the same error as it goes.
      asyncio_log.disabled = before
    return found, fault

  def _read(self, step: int, template: Any) -> tuple[Any, dict]:
    """(state, data_state) of a step. Raises _Misfit, or anything at all for a broken one."""
    body = self._meta(step)
    if body["version"] != _VERSION:
      raise _Misfit(f"{self.directory / str(step)}: format {body['version']}, not {_VERSION}")
    described = body["leaves"]
    try:
      check_fits(described, template, str(self.directory / str(step)))
    except CheckpointError as error:
      raise _Misfit(str(error)) from error
    leaves = named_leaves(template)
    arrays = {name: _blank(described[name], leaf) for name, leaf in leaves.items()}
    full = {name: array for name, array in arrays.items() if array.size}
    if full:
      # NumPy arrays of no memory as the template: Orbax then hands the whole array to each process.
      items = ocp.args.Composite(state=ocp.args.StandardRestore(full))
      arrays |= self._manager.restore(step, args=items)["state"]
    for name, array in arrays.items():
      crc = described[name]["crc32"]
      if crc is not None and crc32(array) != crc:
        raise CheckpointError(f"the bits of {name!r} changed")
    state = [from_host(arrays[n], leaf, described[n]["kind"]) for n, leaf in leaves.items()]
    structure = jax.tree.structure(template)
    return jax.tree.unflatten(structure, state), _decode(body["data_state"])

  def _meta(self, step: int) -> dict[str, Any]:
    args = ocp.args.Composite(meta=ocp.args.JsonRestore())
    meta = self._manager.restore(step, args=args)["meta"]
    if _crc32(meta["body"]) != meta["crc32"]:
      raise CheckpointError("the bits of its description changed")
    return json.loads(meta["body"])

  def _set_aside(self, step: int) -> None:
    """Renames a broken checkpoint, so that the run can write this step again."""
    if jax.process_index() == 0:
      target = self.directory / f"broken-{step}"
      while target.exists():
        target = target.with_name(f"{target.name}-again")
      (self.directory / str(step)).rename(target)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices(f"broken-{step}")
    self._manager.reload()

  @contextlib.contextmanager
  def _failing(self, what: str) -> Iterator[None]:
    """Tells of a failed writing, and of what is left."""
    try:
      yield
    except Exception as error:  # From Orbax' threads: OSError, ValueError, RuntimeError ...
      there = sorted(int(p.name) for p in self.directory.glob("*") if p.name.isdigit())
      left = f"the newest there is is that of step {there[-1]}" if there else "there is none yet"
      reason = " ".join(str(error).split())[:300]
      raise CheckpointError(
        f"cannot write the {what} in {self.directory}: {reason}; {left}"
      ) from error


class _Misfit(Exception):
  """A checkpoint that is sound, but not of this run."""


def _blank(description: Mapping[str, Any], leaf: Any) -> np.ndarray:
  """A NumPy array as the described one lies on disk, without memory of its own."""
  data = jax.eval_shape(jax.random.key_data, leaf) if description["dtype"][:4] == "key<" else None
  shape = description["shape"] if data is None else data.shape
  return np.broadcast_to(np.zeros((), stored_dtype(description)), shape)


def _check_equal_in_all_processes(described: Mapping[str, Mapping[str, Any]]) -> None:
  """That the copies of replicated arrays are the same bits in all processes."""
  if jax.process_count() == 1:
    return
  mine = np.array([d["crc32"] or 0 for d in described.values()], np.uint32)
  rows = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, len(mine))
  for name, column in zip(described, rows.T):
    if len(set(column.tolist())) > 1:
      raise CheckpointError(f"the processes of this run hold different values of {name!r}")


def _any_process(value: bool) -> bool:
  if jax.process_count() == 1:
    return value
  return bool(np.any(multihost_utils.process_allgather(np.asarray(value))))


def _is_news(record: logging.LogRecord) -> bool:
  """False for the pages that Orbax logs about an error which it raises too."""
  return record.levelno < logging.ERROR or "orbax" not in record.pathname


def _crc32(text: str) -> int:
  return zlib.crc32(text.encode())


def _encode(value: Any) -> Any:
  """JSON with bytes in it as JSON."""
  if isinstance(value, bytes):
    return {"__bytes__": base64.b64encode(value).decode()}
  if isinstance(value, Mapping):
    return {key: _encode(item) for key, item in value.items()}
  return [_encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def _decode(value: Any) -> Any:
  if isinstance(value, list):
    return [_decode(item) for item in value]
  if not isinstance(value, dict):
    return value
  if value.keys() == {"__bytes__"}:
    try:
      return base64.b64decode(value["__bytes__"], validate=True)
    except binascii.Error as error:
      raise CheckpointError(f"data_state holds bytes that are no base64: {error}") from error
  return {key: _decode(item) for key, item in value.items()}
