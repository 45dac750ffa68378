# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The estimates by name: each function makes an `Evaluator` of a config, for `dnas.explore`.

    config.search.estimate = dict(name="short_training", steps=100, channels=8)

All take (config, space, workdir); those that look at data look at `config.data.train_split` alone.
"""

import functools
import inspect
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from dnas import data, method, runs
from dnas.config import Config
from dnas.errors import DnasError, check_count, choose_from
from dnas.estimate import learning_curve, nats
from dnas.estimate import one_shot as shared
from dnas.estimate import short_training as short
from dnas.estimate import tabular as benchmarks
from dnas.estimate.training_free import TrainingFree
from dnas.lock import patiently, run_lock
from dnas.nn.supernet import Supernet
from dnas.progress import say
from dnas.space import cells
from dnas.space.space import SearchSpace
from dnas.strategy import optimizer
from dnas.strategy.ask_tell import Evaluator

WAIT_S = 2.0  # Between two looks at a supernet that another process trains.
# The fields of `one_shot` that say how well a candidate is looked at, not how the supernet is made.
_OF_A_CANDIDATE = ("calibration", "images")

__all__ = ["at_lengths", "early_stopping", "one_shot", "short_training", "tabular", "zero_cost"]


def short_training(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  steps: int,
  share: float = 0.5,
  size: Sequence[int] | None = None,
  channels: int | None = None,
  images: int = 1000,
) -> Evaluator:
  """`dnas.estimate.short_training.ShortTraining` of `config.train`, with the reductions given."""
  del space, workdir
  pixels = None if size is None else (int(size[0]), int(size[1]))
  return short.ShortTraining(
    config, steps=steps, share=share, size=pixels, channels=channels, images=images
  )


def zero_cost(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  proxies: Sequence[Any] = ("naswot",),
  batch_size: int = 32,
) -> Evaluator:
  """`TrainingFree` on one batch: the score is the first proxy's, initial weights are the seed's."""
  del workdir
  if config.task.name != "classification":
    raise DnasError(f"zero_cost: scores classifiers; config.task is {config.task.name}")
  source = data.labelled(config.data.spec, config.data.train_split)
  images = runs.pipeline(config, source, batch_size, train=True, augment=(), threads=0)
  evaluator = TrainingFree(space, next(iter(images)), len(source.classes), proxies)
  key = jax.random.key(config.seed)
  return lambda genotype, _: evaluator(genotype, key)


def one_shot(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  steps: int,
  lr: float = 0.05,
  weight_decay: float = 3e-4,
  batch_size: int = 64,
  share: float = 0.5,
  calibration: int = 4,
  images: int = 1000,
) -> Evaluator:
  """`OneShot`: a supernet is trained path by path in `workdir/supernet`, where it also resumes.

  Args:
    config, space, workdir: see the module.
    steps: of the supernet's training.
    lr: SGD's, at first.
    weight_decay: SGD's.
    batch_size: of training, calibration and validation.
    share: of the training split that is trained on; the rest is held out.
    calibration: batches of the trained part for each candidate's statistics.
    images: of the held-out part that a candidate is measured on, at most.
  """
  for name, value in {
    "steps": steps,
    "batch_size": batch_size,
    "calibration": calibration,
    "images": images,
  }.items():
    check_count(f"one_shot: {name}", value, 1)
  source = data.labelled(config.data.spec, config.data.train_split)
  problem = method.problem(method.task_of(config, source), space, Supernet(single_path=True))
  part = functools.partial(runs.pipeline, config, source, batch_size, fraction=share)
  training = part(train=True, part="weights")
  there = min(images, len(part(train=False, part="alpha", threads=0).indices))
  # Whole batches only: the last one of a split is filled up with images of nothing.
  size = min(batch_size, there)
  held_out = runs.pipeline(
    config, source, size, fraction=share, train=False, part="alpha", threads=0
  )
  folder = workdir / "supernet"
  opt = optimizer.sgd(steps, lr=lr, weight_decay=weight_decay)
  init, step = shared.make(problem, opt, config.seed)

  def trained() -> shared.State:
    with run_lock(folder):
      kept = {"train": training}
      return runs.loop(folder, "supernet", init(), step, kept, config, steps=steps, lowers="loss")

  # Workers need it, too: one trains it, and from its last checkpoint they all have it.
  waiting = lambda error: say(f"waiting for the supernet: {error}")
  state = patiently(trained, waiting, WAIT_S)
  plain = part(train=True, augment=(), part="weights", threads=0)
  picked = lambda pipeline, count: list(itertools.islice(pipeline, count))
  return shared.OneShot(
    problem,
    state.params,
    state.stats,
    picked(plain, calibration),
    picked(held_out, there // size),
  )


def tabular(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  table: str,
  dataset: str = "cifar10",
  split: str = "valid",
  epochs: int = 12,
  allow_pickle: bool = False,
) -> Evaluator:
  """A look-up in the merged NAS-Bench-201 table (.csv, .csv.gz) or the official NATS-Bench files.

  The latter are pickles, which run whatever code they hold: `allow_pickle` says that they are
  trusted.

  Raises:
    TableError: the benchmark is missing or malformed, or covers another space.
  """
  del config, workdir
  if pathlib.Path(table).name.endswith((".csv", ".csv.gz")):
    benchmark: benchmarks.Queryable = benchmarks.nasbench201(table)
  else:
    benchmark = nats.nats_bench(table, allow_pickle=allow_pickle)
  known = cells.nasbench201().cells["cell"]
  if space.searched != ("cell",) or space.cells["cell"] != known:
    raise benchmarks.TableError(f"{table} has the cells of NAS-Bench-201, not of config.space")
  return benchmarks.look_up(benchmark, dataset, split, epochs)


def early_stopping(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  estimate: Callable[..., Evaluator],
  field: str,
  values: Sequence[int],
  threshold: float,
  margin: float = 0.0,
) -> Evaluator:
  """Another estimate at rising lengths, until its curve says that the last stays below `threshold`.

      dict(name="early_stopping", estimate=dict(name="short_training", share=0.5),
           field="steps", values=(50, 100, 200, 400), threshold=0.9)

  Every length is an evaluation of its own: trainings begin anew, so that each has the schedule of
  its length.

  Args:
    config, space, workdir: see the module.
    estimate: an entry as `config.search.estimate`, without `field`.
    field: of the estimate, its length: "steps" of `short_training`, "epochs" of `tabular`.
    values: three or more, rising; the score stands for the last.
    threshold, margin: see `learning_curve.early_stopping`.
  """
  learning_curve.check_lengths("early_stopping: values", values, 3)
  made = _made("early_stopping", (config, space, workdir), estimate, field, values)
  return learning_curve.early_stopping(made.__getitem__, tuple(values), threshold, margin, field)


def at_lengths(
  config: Config,
  space: SearchSpace,
  workdir: pathlib.Path,
  *,
  estimate: Callable[..., Evaluator],
  field: str,
  values: Sequence[float],
) -> Evaluator:
  """`learning_curve.AtLengths`: another estimate at the length that the strategy asks for.

      dict(name="at_lengths", estimate=dict(name="short_training", share=0.5),
           field="steps", values=(25, 50, 100, 200))

  For strategies with as many rungs, `successive_halving`. As in `early_stopping` every length is
  an evaluation of its own.

  Args:
    config, space, workdir: see the module.
    estimate, field: as in `early_stopping`; of `one_shot`, "images" or "calibration".
    values: two or more, rising, one for each rung of the strategy.
  """
  learning_curve.check_lengths("at_lengths: values", values, 2)
  made = _made("at_lengths", (config, space, workdir), estimate, field, values)
  return learning_curve.AtLengths(field, made)


def rungs_of(entry: functools.partial) -> int:
  """How many rungs an estimate has, by its entry (`naming.resolve`): before anything is made of it.

  Raises:
    CurveError: `values` are no lengths.
  """
  if entry.func is not at_lengths:
    return 1
  learning_curve.check_lengths("at_lengths: values", entry.keywords["values"], 2)
  return len(entry.keywords["values"])


def _made(
  name: str, given: tuple, estimate: Callable[..., Evaluator], field: str, values: Sequence[float]
) -> dict[float, Evaluator]:
  """value -> the estimate with `field` so large; whatever does not fit is found before any is made.

  Args:
    name: of who asks, for messages.
    given: config, space, workdir.
    estimate, field, values: as in `at_lengths`.
  """
  function = getattr(estimate, "func", estimate)
  if field in getattr(estimate, "keywords", {}):
    raise DnasError(f"{name}: values give {field}, so estimate.{field} must not be set")
  if function is at_lengths:
    raise DnasError(f"{name}: estimate has lengths itself (at_lengths); it must have one")
  if function is one_shot and field not in _OF_A_CANDIDATE:
    # All lengths look at the one supernet in the run's folder, whose training this would change.
    raise DnasError(f"{name}: {choose_from('field of one_shot', field, _OF_A_CANDIDATE)}")
  calls = {}
  for value in values:
    try:
      calls[value] = inspect.signature(estimate).bind(*given, **{field: value})
    except TypeError as error:
      raise DnasError(f"{name}: estimate and its field {field!r}: {error}") from None
  return {value: estimate(*call.args, **call.kwargs) for value, call in calls.items()}
