# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run goes on bit for bit.

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

import contextlib
import gc
import logging
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from dnas import mesh, seal, trees
from dnas.retention import Retention
from dnas.trees import CheckpointError

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
    self._say, self._retention = say, Retention(keep, best_metric, best_mode)
    logging.getLogger("absl").addFilter(_is_news)
    options = ocp.CheckpointManagerOptions(
      preservation_policy=self._retention, cleanup_tmp_directories=True
    )
    self._manager = ocp.CheckpointManager(self.directory, options=options)
    if best_metric:
      for step in self.steps():
        with contextlib.suppress(Exception):  # A broken one is no candidate; `restore` tells of it.
          self._retention.note(step, self._meta(step)["metrics"])
    self._saved_at = time.monotonic()

  def steps(self) -> list[int]:
    """The steps of the finished checkpoints, oldest first."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """The step of the best finished checkpoint by `best_metric`."""
    return self._retention.best(self.steps())

  def should_save(self, step: int) -> bool:
    """Whether a checkpoint is due after `step`; the same answer in all processes."""
    if self._every_steps and step % self._every_steps == 0:
      return True
    if not self._every_s:
      return False
    if jax.process_count() > 1 and step % _CLOCK_EVERY:
      return False
    return bool(mesh.of_first(time.monotonic() - self._saved_at >= self._every_s))

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
    leaves = trees.named_leaves(state)
    for leaf in leaves.values():
      if isinstance(leaf, jax.Array):
        leaf.copy_to_host_async()
    for name, leaf in leaves.items():
      array, described[name] = trees.to_host(name, leaf)
      if array.size:  # Orbax refuses empty arrays; the description is all there is to them.
        arrays[name] = array
    _check_equal_in_all_processes(described)
    numbers = {name: float(value) for name, value in (metrics or {}).items()}
    body = {"version": _VERSION, "step": step, "leaves": described, "metrics": numbers}
    body["data_state"] = seal.encode(dict(data_state or {}))
    items: dict[str, Any] = {"meta": ocp.args.JsonSave(seal.seal(body))}
    if arrays:
      items["state"] = ocp.args.StandardSave(arrays)
    self._retention.note(step, numbers)
    with self._failing(f"checkpoint of step {step}"):
      self._manager.save(step, args=ocp.args.Composite(**items), force=True)
    self._saved_at = time.monotonic()
    return True

  def restore(self, template: Any, step: int | None = None) -> tuple[int, Any, dict] | None:
    """The newest sound checkpoint, as `(step, state, data_state)`; None if there is none at all.

    A broken one is renamed to `broken-STEP` with a message, once one before it has been read.

    Args:
      template: a state of the run: structure, shapes, dtypes, and where each leaf has to lie
        (arrays, or `jax.ShapeDtypeStruct` with a sharding). The checkpoint may have been written
        on other devices, or by another number of processes.
      step: this one and no other (`best_step()`).

    Raises:
      CheckpointError: the checkpoint is sound but of another structure, shape or dtype; there are
        checkpoints, or `broken-STEP`, but none is sound; the `step` asked for is missing or broken.
    """
    self.wait()
    faults = {}
    for candidate in reversed(self.steps() if step is None else [step]):
      found, fault = self._try(candidate, template)
      # All processes ask, those that cannot read it too: else the others wait for them.
      broken = mesh.of_any(bool(fault))
      if found and not broken:
        for left, fault in faults.items():
          self._set_aside(left, fault)
        return candidate, *found
      faults[candidate] = fault or "another process cannot read it"
    words = [f"step {candidate}: {fault}" for candidate, fault in faults.items()]
    words = words or sorted(path.name for path in self.directory.glob("broken-*"))
    if words:
      raise CheckpointError(
        f"no sound checkpoint in {self.directory} ({'; '.join(words)}). "
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
    except (MemoryError, jax.errors.JaxRuntimeError):  # Of this machine, not of the files.
      raise
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
      trees.check_fits(described, template, str(self.directory / str(step)))
    except CheckpointError as error:
      raise _Misfit(str(error)) from error
    leaves = trees.named_leaves(template)
    arrays = {name: trees.stored(described[name], leaf) for name, leaf in leaves.items()}
    full = {name: array for name, array in arrays.items() if array.size}
    if full:
      # NumPy arrays of no memory as the template: Orbax then hands the whole array to each process.
      items = ocp.args.Composite(state=ocp.args.StandardRestore(full))
      arrays |= self._manager.restore(step, args=items)["state"]
    for name, array in arrays.items():
      crc = described[name]["crc32"]
      if crc is not None and trees.crc32(array) != crc:
        raise CheckpointError(f"the bits of {name!r} changed")
    state = [trees.from_host(arrays[n], leaf, described[n]["kind"]) for n, leaf in leaves.items()]
    structure = jax.tree.structure(template)
    return jax.tree.unflatten(structure, state), seal.decode(body["data_state"])

  def _meta(self, step: int) -> dict[str, Any]:
    args = ocp.args.Composite(meta=ocp.args.JsonRestore())
    files = (self.directory / str(step) / "meta").rglob("*")
    if sum(file.stat().st_size for file in files) > 2 * seal.MAX_BYTES:  # As JSON within JSON.
      raise CheckpointError("its description is too large")
    return seal.unseal(self._manager.restore(step, args=args)["meta"])

  def _set_aside(self, step: int, fault: str) -> None:
    """Renames a broken checkpoint, so that the run can write this step again, and says so."""
    if jax.process_index() == 0:
      target = self.directory / f"broken-{step}"
      while target.exists():
        target = target.with_name(f"{target.name}-again")
      (self.directory / str(step)).rename(target)
    mesh.meet(f"broken-{step}")
    self._manager.reload()
    self._say(f"checkpoint {self.directory / str(step)} is broken and left out: {fault}")

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


def _check_equal_in_all_processes(described: Mapping[str, Mapping[str, Any]]) -> None:
  """That the copies of replicated arrays are the same bits in all processes."""
  if jax.process_count() == 1:
    return
  mine = np.array([d["crc32"] or 0 for d in described.values()], np.uint32)
  rows = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, len(mine))
  for name, column in zip(described, rows.T):
    if len(set(column.tolist())) > 1:
      raise CheckpointError(f"the processes of this run hold different values of {name!r}")


def _is_news(record: logging.LogRecord) -> bool:
  """False for the pages that Orbax logs about an error which it raises too."""
  return record.levelno < logging.ERROR or "orbax" not in record.pathname
