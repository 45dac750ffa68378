# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A run's folder and its loop: what searching and training share.

A folder holds `config.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, and what the verb
leaves behind (`genotype.json`, `weights.npz`, `evaluation.json`).
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dnas import config as configs
from dnas import files, log, mesh, preemption
from dnas.checkpoint import Checkpointer
from dnas.config import Config
from dnas.cost.model import idle
from dnas.data.pipeline import Pipeline
from dnas.data.source import Source
from dnas.errors import ConfigError, DnasError, check_count, choose_from
from dnas.finite import Skips, describe, explain, values
from dnas.lock import run_lock
from dnas.progress import say
from dnas.schema import complete, get
from dnas.space.space import SearchSpace

RESUME = ("auto", "force", "never")


def first() -> bool:
  """Whether this process is the one that writes: of several processes of a run, the first."""
  return jax.process_index() == 0


def write(path: pathlib.Path, data: str | bytes) -> None:
  """Writes a file of a run: one process does, and the others go on once it is there.

  Raises:
    OSError: names `path`.
  """
  if first():
    files.atomic_write(path, data)
  mesh.meet(f"wrote {path.name}")


def say_idle(genotype: SearchSpace) -> None:
  """Says of a genotype that was found which of its operations change nothing, if any."""
  for name, cell in genotype.cells.items():
    if first() and (text := idle(cell)):
      say(f"{name}: {text}")


class NotFiniteError(DnasError):
  """A run's loss or gradient was NaN or infinite too often in a row."""


def devices_of(config: Config) -> jax.sharding.Mesh:
  """The mesh that `config.mesh` describes, with the axes `seed` and `data`.

  Raises:
    ConfigError: another axis, or seeds that do not divide over theirs.
    MeshError: the sizes do not fit the devices.
  """
  made = mesh.make(dict(complete("mesh", get(config, "mesh"))))
  if (seeds := get(config, "seeds")) % made.shape["seed"]:
    raise ConfigError(
      f"config.seeds = {seeds} do not divide over config.mesh.seed = {made.shape['seed']} devices"
    )
  return made


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
    ConfigError: the config has changed (the message lists the fields), `resume` is unknown, or a
      field of `config.log` is out of range.
    LockError: another process runs in the folder.
  """
  if resume not in RESUME:
    raise ConfigError(choose_from("resume:", resume, RESUME))
  for name in ("every_steps", "words_every_steps"):
    check_count(f"config.log.{name}", config.log[name], 1, ConfigError)
  with run_lock(workdir, active=first()):
    path = workdir / "config.json"
    if path.exists():
      if resume == "never":
        raise ConfigError(f"{workdir} already holds a run; choose another --workdir")
      before = configs.load(path)
      changes = configs.diff(before, config, only=parts)
      if changes and resume != "force":
        raise ConfigError(
          f"{workdir} holds a run with another config ({'; '.join(changes)}): choose another "
          "--workdir, or --resume=force to go on with the new one"
        )
    mesh.meet("config.json is read")  # Before it is written.
    if first():
      files.remove_left(workdir)
    write(path, configs.to_json(config))
    yield workdir


def pipeline(
  config: Config, source: Source, batch_size: int, *, train: bool, **options: Any
) -> Pipeline:
  """Batches of a split as `config.data` and `config.seed` have them.

  For training they are augmented, and the processes of a run share each batch as its mesh says;
  else each process sees all of the split.

  Args:
    config: of the run.
    source: the split.
    batch_size: over all processes.
    train: see `Pipeline`.
    options: its other arguments; they win over the config.

  Raises:
    DataError: an argument is wrong.
    ConfigError: an augmentation is unknown, or gets a wrong argument.
    MeshError: the processes cannot share a batch on this mesh.
  """
  given = complete("data", config.data)
  fields: dict[str, Any] = dict(
    size=tuple(given.size),
    seed=config.seed,
    threads=given.threads,
    content=given.content,
    interpolation=given.interpolation,
  )
  if train:
    part, parts = mesh.share(devices_of(config)) if jax.process_count() > 1 else (0, 1)
    fields |= {"augment": given.augment, "process_index": part, "process_count": parts}
  return Pipeline(source=source, batch_size=batch_size, train=train, **{**fields, **options})


def loop(
  workdir: pathlib.Path,
  description: str,
  state: Any,
  step: Callable[..., tuple[Any, Mapping[str, jax.Array]]],
  pipelines: Mapping[str, Pipeline],
  config: Config,
  *,
  steps: int,
  lowers: str,
  words: Callable[[Any], str] = lambda state: "",
  stacked: bool = False,
) -> Any:
  """Runs `state, metrics = step(i, state, *batches)`, from the newest checkpoint to the last step.

  Every step is logged; checkpoints hold the state and where each data iterator is, so that a run
  killed at any moment goes on bit for bit. At the end a checkpoint of the last step is there: run
  again, the loop returns at once. At SIGTERM the step at hand is finished and saved.

  Args:
    workdir: where metrics and checkpoints go.
    description: the word before the progress bar.
    state: the initial state, a tree of arrays; a dataclass with a field `step`.
    step: takes the number of the step, counted from 1; jitted inside, and may donate its state.
      Among its metrics is `skipped`: see `finite.skip_unless_finite`.
    pipelines: name -> batches, given to `step` in this order.
    config: fields `checkpoint` and `log`.
    steps: how many in all.
    lowers: the metric that is made small. With `checkpoint.keep_best` the checkpoint stays before
      which its mean, since the checkpoint before that, was smallest.
    words: what to show behind the bar, from the state.
    stacked: whether the state is that of several seeds, [S, ...], to be split over the axis `seed`.

  Returns:
    The last state.

  Raises:
    NotFiniteError: `checkpoint.max_skipped` steps in a row were skipped.
    Preempted: SIGTERM came; all is saved.
  """
  devices = devices_of(config)
  with contextlib.ExitStack() as stack:
    noticed = stack.enter_context(preemption.deferred())
    checkpoints = stack.enter_context(_checkpointer(workdir, config, lowers))
    state = mesh.replicate(state, devices, mesh.over_seeds(devices) if stacked else None)
    start, state, places = checkpoints.restore(state) or (0, state, {})
    if start > steps:
      raise DnasError(
        f"{workdir} holds a checkpoint of step {start}, but the run has {steps} steps"
      )
    if start == steps:
      return state
    skips = Skips(config.checkpoint.max_skipped, **places.get("skipped", {}))
    iterators = _iterators(pipelines, places)
    records = stack.enter_context(_log(workdir, config, description, start, steps))
    shown = ""
    since_saved = []  # Of the metric that the best checkpoint is chosen by.
    for i in range(start + 1, steps + 1):
      batches = [mesh.shard_batch(next(iterator), devices) for iterator in iterators.values()]
      state, metrics = step(i, state, *batches)
      if i % config.log.words_every_steps == 0 or i == steps:
        shown = words(state)
      records.write(i, metrics, text=shown)
      since_saved += [metrics[lowers]] if lowers in metrics else []
      if skips.see(metrics["skipped"]):
        raise _not_finite(description, i, skips, metrics, step, state, batches, checkpoints)
      stop = mesh.all_noticed(noticed)
      if checkpoints.should_save(i) or i == steps or stop:
        records.flush()
        places = {name: iterator.get_state() for name, iterator in iterators.items()}
        merit = {lowers: float(np.mean(jax.device_get(since_saved)))} if since_saved else {}
        checkpoints.save(i, state, places | {"skipped": skips.counts()}, merit)
        since_saved.clear()
      if stop:
        checkpoints.wait()
        raise preemption.Preempted(f"{description}: saved step {i} of {steps} at SIGTERM")
    checkpoints.wait()
    if skips.total:
      records.say(f"{description}: {skips.total} of {steps} steps were not finite and skipped")
  return state


def _checkpointer(workdir: pathlib.Path, config: Config, lowers: str) -> Checkpointer:
  keep = config.checkpoint
  return Checkpointer(
    workdir / "checkpoints",
    every_steps=keep.every_steps,
    every_minutes=keep.every_minutes,
    keep=keep.keep,
    best_metric=lowers if keep.keep_best else None,
    best_mode="min",
  )


def _iterators(pipelines: Mapping[str, Pipeline], places: Mapping[str, Any]) -> dict[str, Any]:
  """Iterators over the pipelines, from where a checkpoint left them."""
  iterators = {name: iter(pipeline) for name, pipeline in pipelines.items()}
  for name in iterators.keys() & places.keys():
    iterators[name].set_state(places[name])
  return iterators


def _log(
  workdir: pathlib.Path, config: Config, description: str, start: int, steps: int
) -> log.Log:
  records = log.Log(
    workdir,
    steps,
    description=description,
    start_step=start,
    every_steps=config.log.every_steps,
    active=first(),
  )
  if start:
    records.say(f"{description}: resumed at step {start} of {steps}")
  return records


def _not_finite(description, i, skips, metrics, step, state, batches, checkpoints):
  """The error of a run that has diverged, with what it died of."""
  again = dataclasses.replace(state, step=state.step - 1)  # So that it draws the same noise.
  why = explain(values(functools.partial(step, i), again, *batches))
  kept = checkpoints.steps()
  return NotFiniteError(
    f"{description}: loss or gradient was NaN or infinite {skips.in_a_row} times in a row "
    f"(checkpoint.max_skipped), the last time at step {i}: {describe(metrics)}; {why}; "
    + (f"the checkpoint of step {kept[-1]} is intact" if kept else "there is no checkpoint yet")
  )
