# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Training a config on a part of its training split, and measuring on the rest while it goes on."""

import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax

from dnas import data, runs, train
from dnas.config import Config
from dnas.data.part import part_of
from dnas.evaluate import predictions
from dnas.method import task_of
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.search import search
from dnas.space.space import SearchSpace


def score(
  config: Config,
  genotype: SearchSpace | None,
  folder: pathlib.Path,
  report: Callable[[int, float], None],
  *,
  share: float,
  every_steps: int,
) -> float:
  """The task's headline number of the averaged weights on held-out images of the training split.

  Killed and started again, it goes on where it was.

  Args:
    config: fields as in `configs/digits.py`.
    genotype: what is trained; None: what a search with this config finds, in `folder/search`, on
      the same part of the split.
    folder: of the run.
    report: gets (step, number) every so many steps before the last; what it raises ends the run.
    share: of the split that is trained on, in (0, 1).
    every_steps: see `report`.

  Raises:
    DnasError: the config or the data are wrong, or the training was not finite.
  """
  settings = config.train
  source = data.labelled(config.data.spec, config.data.train_split)
  task = task_of(config, source)
  part = functools.partial(runs.pipeline, config, source, fraction=share)
  training = part(settings.batch_size, train=True, part="weights")
  if genotype is None:
    genotype = search(config, folder / "search", source=part_of(source, training.indices))
  genotype = train.derived(config, task, genotype)
  held = part(config.evaluate.batch_size, train=False, part="alpha")
  truth = part_of(source, held.indices)
  static, _, _ = functional.split(task.build(genotype, Rngs(None)))

  def measure(state: train.TrainState) -> float:
    results = predictions(task, (static, *state.averaged), held)
    with tempfile.TemporaryDirectory() as aside:  # What people look at is made in the end.
      return float(task.measure(truth, results, pathlib.Path(aside))[task.headline])

  init, step = train.make(settings, task, genotype)

  def step_and_report(i: int, state: train.TrainState, batch: Any):
    state, metrics = step(state, batch)
    if i % every_steps == 0 and i < settings.steps:
      report(i, measure(state))
    return state, metrics

  with runs.folder(folder / "train", config, train.PARTS):
    state = runs.loop(
      folder / "train",
      "trial",
      init(jax.random.key(config.seed)),
      step_and_report,
      {"train": training},
      config,
      steps=settings.steps,
      lowers="loss",
    )
    return measure(state)


def headline(config: Config) -> str:
  """The name of the number that `score` gives."""
  return task_of(config, data.labelled(config.data.spec, config.data.train_split)).headline
