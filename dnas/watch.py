# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Watching a search: every n-th step is observed and written down, and may end it."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from jax.core import Tracer

from dnas import method, runs
from dnas.config import Config
from dnas.errors import DnasError
from dnas.files import json_of
from dnas.settings import stages_of
from dnas.space.space import SearchSpace
from dnas.strategy import diagnostics, observe
from dnas.strategy.alpha import operations
from dnas.strategy.problem import SearchState
from dnas.strategy.schedule import progress_at


class Stopped(Exception):
  """The search is over early.

  Attributes:
    at: the step at which this was noticed.
    taken_from: the step whose genotype is the result.
    genotype: the result.
  """

  def __init__(self, at: int, taken_from: int, genotype: SearchSpace):
    super().__init__(f"stopped at step {at}, with the genotype of step {taken_from}")
    self.at, self.taken_from, self.genotype = at, taken_from, genotype


def observed(settings: Config) -> list[int]:
  """The steps after which a search is observed, counted through all its stages."""
  found, before = [], 0
  for stage in stages_of(settings):
    every, steps = stage.settings.watch.every_steps, stage.settings.steps
    found += range(before + every, before + steps + 1, every) if every else ()
    before += steps
  return found


class Watch:
  """(step, state, batch) -> what was observed; kept in `watch/STEP.json`, from where it goes on.

  With `config.search.stop` (DARTS-ES) the dominant eigenvalues since the warm-up are given to that
  function, and its index is the observation whose genotype becomes the result.

  Raises:
    Stopped: when called.
  """

  def __init__(self, settings: Config, made: method.Method, folder: pathlib.Path):
    self.settings, self.folder, self.stop = settings, folder / "watch", made.stop
    self.every, self.last = settings.watch.every_steps, settings.watch.genotypes
    self.space = made.problem.space
    self.observe = observe.observer(
      made.problem, made.relaxation, made.decide, hessian_steps=settings.watch.hessian_steps
    )

  def __call__(self, i: int, state: SearchState, batch: Any) -> Mapping[str, Any]:
    """What was observed after step i; {} where nothing is."""
    # The loop traces the step once more when it explains why it was not finite.
    if not self.every or i % self.every or isinstance(state.step, Tracer):
      return {}
    paths = [path for path in sorted(self.folder.glob("*.json")) if int(path.stem) < i]
    seen = [json_of(path) for path in paths]
    genotypes = [SearchSpace.from_dict(record["genotype"]) for record in seen]
    progress = progress_at(i, self.settings.steps, self.settings.warmup_steps)
    before = genotypes[max(len(genotypes) - (self.last - 1), 0) :]
    found = self.observe(state, batch, before, progress)
    record = {
      "genotype": found.genotype.to_dict(),
      "alpha": self._alpha(jax.device_get(state.decided_by)),
      **found.metrics,
    }
    runs.write(self.folder / f"{i:08d}.json", json.dumps(record) + "\n")
    if self.stop is not None:
      history = [abs(record["hessian/dominant"]) for record in [*seen, record]]
      if not math.isfinite(history[-1]):
        raise DnasError(f"config.search.stop: the Hessian's eigenvalue is not finite at step {i}")
      steps = [int(path.stem) for path in paths] + [i]
      index = diagnostics.stopped_at(self.stop, steps, history, self.settings.warmup_steps)
      if index is not None:
        raise Stopped(i, steps[index], [*genotypes, found.genotype][index])
    return found.metrics

  def _alpha(self, alpha: Any) -> dict[str, list[dict[str, Any]]]:
    """The logits by name: cell -> for each edge its nodes and {operation: logit}."""
    cells = self.space.cells
    return {
      name: [
        {"src": edge.src, "dst": edge.dst, "logits": dict(zip(edge.ops, row.tolist(), strict=True))}
        for edge, row in zip(cells[name].edges, rows, strict=True)
      ]
      for name, rows in operations(alpha).items()
    }
