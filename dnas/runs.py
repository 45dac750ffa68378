# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A run's folder and its loop: what searching and training share.

A folder holds `config.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, and what the verb
leaves behind (`genotype.json`, `weights.npz`, `evaluation.json`).
"""

import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from dnas import config as configs
from dnas import log, mesh
from dnas.checkpoint import Checkpointer, run_lock
from dnas.config import Config
from dnas.data.pipeline import Pipeline
from dnas.errors import ConfigError, DnasError

RESUME = ("auto", "force", "never")


@contextlib.contextmanager
def folder(
  workdir: pathlib.Path, config: Config, parts: Sequence[str], resume: str = "auto"
) -> Iterator[pathlib.Path]:
  """Holds a run's folder; a run already in it must have had the same config.

  Args:
    workdir: the folder, made if need be.
    config: of this run, written to `config.json`.
    parts: the fields of the config that this verb depends on; others may change.
    resume: "auto": go on from what is there. "force": even if the config has changed. "never": a
      folder that already holds a run is an error.

  Raises:
    ConfigError: the config has changed (the message lists the fields), or `resume` is unknown.
    LockError: another process runs in the folder.
  """
  if resume not in RESUME:
    raise ConfigError(f"resume: {resume!r} is none of {', '.join(RESUME)}")
  first = jax.process_index() == 0
  with run_lock(workdir, active=first):
    path = workdir / "config.json"
    if path.exists():
      if resume == "never":
        raise ConfigError(f"{workdir} already holds a run; choose another --workdir")
      before = configs.from_json(path.read_text(encoding="utf-8"), source=str(path))
      belongs = lambda change: re.split(r"[.:]", change)[0] in parts
      changes = [change for change in configs.diff(before, config) if belongs(change)]
      if changes and resume != "force":
        raise ConfigError(
          f"{workdir} holds a run with another config ({'; '.join(changes)}): choose another "
          "--workdir, or --resume=force to go on with the new one"
        )
    if first:
      log.atomic_write(path, configs.to_json(config))
    yield workdir


def loop(
  workdir: pathlib.Path,
  description: str,
  state: Any,
  step: Callable[..., tuple[Any, Mapping[str, jax.Array]]],
  pipelines: Mapping[str, Pipeline],
  config: Config,
  *,
  steps: int,
  words: Callable[[Any], str] = lambda state: "",
) -> Any:
  """Runs `state, metrics = step(i, state, *batches)`, from the newest checkpoint to the last step.

  Every step is logged; checkpoints hold the state and where each data iterator is, so that a run
  killed at any moment goes on bit for bit. At the end a checkpoint of the last step is there: run
  again, the loop returns at once.

  Args:
    workdir: where metrics and checkpoints go.
    description: the word before the progress bar.
    state: the initial state, a tree of arrays.
    step: takes the number of the step, counted from 1; jitted inside, and may donate its state.
    pipelines: name -> batches, given to `step` in this order.
    config: fields `checkpoint` and `log`.
    steps: how many in all.
    words: what to show behind the bar, from the state.

  Returns:
    The last state.
  """
  devices = mesh.make()
  keep = config.checkpoint
  with contextlib.ExitStack() as stack:
    checkpoints = stack.enter_context(
      Checkpointer(
        workdir / "checkpoints",
        every_steps=keep.every_steps,
        every_minutes=keep.every_minutes,
        keep=keep.keep,
      )
    )
    state = mesh.replicate(state, devices)
    restored = checkpoints.restore(state)
    start, data_state = 0, {}
    if restored is not None:
      start, state, data_state = restored
    if start > steps:
      raise DnasError(
        f"{workdir} holds a checkpoint of step {start}, but the run has {steps} steps"
      )
    if start == steps:
      return state
    iterators = {name: iter(pipeline) for name, pipeline in pipelines.items()}
    for name, iterator in iterators.items():
      if name in data_state:
        iterator.set_state(data_state[name])
    records = stack.enter_context(
      log.Log(
        workdir,
        steps,
        description=description,
        start_step=start,
        every_steps=config.log.every_steps,
        active=jax.process_index() == 0,
      )
    )
    if start:
      records.say(f"{description}: resumed at step {start} of {steps}")
    shown = ""
    for i in range(start + 1, steps + 1):
      batches = [mesh.shard_batch(next(iterator), devices) for iterator in iterators.values()]
      state, metrics = step(i, state, *batches)
      if i % config.log.words_every_steps == 0 or i == steps:
        shown = words(state)
      records.write(i, metrics, text=shown)
      if checkpoints.should_save(i) or i == steps:
        records.flush()
        checkpoints.save(i, state, {name: it.get_state() for name, it in iterators.items()})
    checkpoints.wait()
  return state
