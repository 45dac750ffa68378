# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Short training: a candidate's result after fewer steps, on less data, smaller or narrower."""

import functools
import itertools
import pathlib
import tempfile
import time
from typing import Any

import jax

from dnas import config as configs
from dnas import data, runs, train
from dnas.config import Config
from dnas.data.part import part_of
from dnas.errors import DnasError, check_count
from dnas.evaluate import predictions
from dnas.method import optimizer_of, task_of
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.schema import complete, get
from dnas.settings import check_accumulate
from dnas.space.space import SearchSpace


class ShortTraining:
  """An `Evaluator`: a genotype trained as `train.make` does, measured on held-out training data.

  "score" is the task's headline number; `seconds` is the time for all of it, compiling included.

  Args:
    config: fields as in `configs/digits.py`, of the full training; `data.train_split` alone is
      looked at.
    steps: length of the training; the schedule of the learning rate is that long too, its warm-up
      the same share of it as in the config.
    share: of the training split that is trained on, in (0, 1); the rest is held out.
    size: resolution, (height, width) in px; None: the config's.
    channels: `config.train.network.channels`; None: the config's.
    images: how many of the held-out images are measured at most.

  Raises:
    DnasError: an argument is out of range, or the config or the data are wrong.
  """

  def __init__(
    self,
    config: Config,
    *,
    steps: int,
    share: float,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    images: int,
  ):
    check_count("short_training: steps", steps, 1)
    check_count("short_training: images", images, 1)
    changes: dict[str, Any] = {"train.steps": steps}
    optimizer = config.train.optimizer  # A bare name has no warm-up.
    if not isinstance(optimizer, str) and (warmup := optimizer.get("warmup_steps", 0)):
      changes["train.optimizer.warmup_steps"] = warmup * steps // config.train.steps
    if size is not None:
      changes["data.size"] = tuple(size)
    if channels is not None:
      if get(config, "train.network") is None:
        raise DnasError("short_training: channels need config.train.network, which is None")
      changes["train.network.channels"] = channels
    self.config = config = configs.changed(config, changes)
    self.source = data.labelled(config.data.spec, config.data.train_split)
    self.task = task_of(config, self.source)
    settings = complete("train", config.train)  # A wrong one is found now.
    check_accumulate("config.train", settings.accumulate, settings.steps)
    optimizer_of(settings.optimizer, settings.steps, settings.accumulate, "config.train.optimizer")
    part = functools.partial(runs.pipeline, config, self.source, fraction=share)
    self.training = part(config.train.batch_size, train=True, part="weights")
    batch_size = min(config.evaluate.batch_size, images)
    held_out = part(batch_size, train=False, part="alpha", threads=0)
    self.held_out: Any = list(itertools.islice(held_out, max(images // batch_size, 1)))
    self.truth = part_of(self.source, held_out.indices[: len(self.held_out) * batch_size])

  def __call__(self, genotype: SearchSpace, key: jax.Array) -> dict[str, float]:
    """Trains and measures one genotype; the key draws its initial weights and its noise."""
    if not genotype.is_genotype:
      raise DnasError(f"genotype: still holds choices in the cells {genotype.searched}")
    start = time.perf_counter()
    genotype = train.derived(self.config, self.task, genotype)
    init, step = train.make(self.config.train, self.task, genotype)
    state = init(key)
    for batch in itertools.islice(self.training, self.config.train.steps):
      state, _ = step(state, batch)
    static, _, _ = functional.split(self.task.build(genotype, Rngs(None)))
    results = predictions(self.task, (static, *state.averaged), self.held_out)
    with tempfile.TemporaryDirectory() as folder:
      measured = self.task.measure(self.truth, results, pathlib.Path(folder))
    # A detector's classes come in a dict of their own.
    numbers = {k: float(value) for k, value in measured.items() if not isinstance(value, dict)}
    seconds = time.perf_counter() - start
    return {"score": numbers[self.task.headline], **numbers, "seconds": seconds}
