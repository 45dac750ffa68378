# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The genotype that a search decides for in steps of its own: `config.search.projection`."""

import json
import pathlib
from collections.abc import Mapping

from dnas import method, runs, trees
from dnas.config import Config
from dnas.data.pipeline import Pipeline
from dnas.errors import DnasError
from dnas.files import json_of
from dnas.space.space import SearchSpace
from dnas.strategy import projection
from dnas.strategy.problem import SearchState


def projector(settings: Config, made: method.Method) -> projection.Projection:
  """The projection that `config.search.projection` describes, of what was searched.

  Raises:
    DnasError: an argument is unknown or out of range.
  """
  tune = method.tuning(settings)
  return projection.projector(made.problem, made.relaxation, tune, **dict(settings.projection))


def decide(
  config: Config,
  settings: Config,
  made: method.Method,
  state: SearchState,
  pipelines: Mapping[str, Pipeline],
  folder: pathlib.Path,
) -> SearchSpace:
  """Projects the searched state, from the newest checkpoint in `folder` on.

  Args:
    config: of the run.
    settings: of the search.
    made: what was searched, and how.
    state: at the end of the search.
    pipelines: by part, in the order of `made.levels`.
    folder: gets checkpoints, metrics and `alpha.json`: what of.

  Raises:
    DnasError: the folder holds the projection of another alpha.
  """
  project = projector(settings, made)
  of, about = trees.fingerprint(state.alpha), folder / "alpha.json"
  if about.exists() and json_of(about)["fingerprint"] != of:
    raise DnasError(
      f"{folder} is a projection of another alpha: the search went on since. Delete the folder to "
      "have this one projected"
    )
  runs.write(about, json.dumps({"fingerprint": of}) + "\n")
  last = runs.loop(
    folder,
    "projection",
    project.init(state),
    project.step,
    pipelines,
    config,
    steps=project.steps,
    lowers="alpha_loss",
  )
  return project.genotype(last)
