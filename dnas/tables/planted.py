# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which methods find what was planted, and which withstand operations that look better early.

Each method is its config in configs/methods, put on the two problems of `strategy.landscape` with
all that it composes.
"""

import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dnas import config as configs
from dnas import files, method
from dnas.config import Config
from dnas.errors import DnasError
from dnas.settings import settings_of, stages_of
from dnas.space.space import SearchSpace
from dnas.strategy import (
  diagnostics,
  landscape,
  planted,
  projection,
  schedule,
)
from dnas.tables import table
from dnas.tables.once import all_of, once

LR, ALPHA_LR, WATCH_EVERY = 0.1, 0.03, 5
# Of four operations an edge keeps so many after the first stage, and after the second.
KEEP = (3, 2)
# The problem and the length of the search, or of each of its stages.
PROBLEMS = {"harmonics": (landscape.HARMONICS, 150), "collapse": (landscape.COLLAPSE, 300)}


class Planted(NamedTuple):
  """A method on a problem.

  Attributes:
    stages: for `planted.find`.
    last: the last stage as functions.
    settings: of the last stage.
  """

  stages: list[planted.Stage]
  last: method.Method
  settings: Config


def success_rates(
  folder: pathlib.Path, out: pathlib.Path, workdir: pathlib.Path, *, seeds: int, command: str
) -> list[table.Row]:
  """Makes the table when every method is done; a method that is finished is not searched again.

  Args:
    folder: of the methods' configs.
    out: folder of the table.
    workdir: a folder for each method, with its row.
    seeds: how many searches each.
    command: goes into the provenance.

  Raises:
    DnasError: `out` holds a table of more searches.
  """
  path = out / "provenance.json"
  there = files.json_of(path)["seeds"][1] + 1 if path.exists() else 0
  if there > seeds:
    raise DnasError(
      f"{out} holds the table of {there} searches for each method, and {seeds} would replace it: "
      "choose another --out and another --workdir"
    )
  (_, few), (_, many) = PROBLEMS.values()
  title = f"""Planted problems: {seeds} searches for each method
Success: the operation of the one edge that the seed singles out (of 3; 4 operations) is the planted
one, with its 95 % Wilson interval; genotype: all three are. *collapsed*: of the edges whose planted
operation is a harmonic, the share that got the skip connection, which is better early and worse in
the end. The cell stands at {landscape.PLACES} places, its edges have {landscape.WIDTH} channels.
{few} and {many} steps (as many in each stage), a third of them warm-up; learning rates {LR} and
{ALPHA_LR}; all else is the method's config, but that `fair_darts` is judged by the operation of
each edge, without its threshold, which leaves edges out. Methods that prune keep {KEEP[0]}
operations after the first stage and {KEEP[1]} after the second; the stages of `p_darts` have 1, 2
and 3 places."""
  provenance = {"command": command, "seeds": [0, seeds - 1], "problems": list(PROBLEMS)}

  def job(name: str) -> table.Row:
    search = configs.load(folder / f"{name}.py").search
    steps = {problem: steps for problem, (_, steps) in PROBLEMS.items()}
    rates = {"lr": LR, "alpha_lr": ALPHA_LR}
    about = ConfigDict({"search": search, "seeds": seeds, "steps": steps, **rates, "keep": KEEP})
    run = lambda: row(settings_of(search), range(seeds))
    return {"method": name, **once(workdir / name, about, run)}

  names = sorted(path.stem for path in folder.glob("*.py"))
  rows = all_of([functools.partial(job, name) for name in names])
  table.write(out, title, rows, provenance)
  return rows


def row(settings: Config, seeds: range) -> dict[str, Any]:
  """One method on both problems."""
  found: dict[str, Any] = {}
  for problem, (where, steps) in PROBLEMS.items():
    result = find(settings, where, steps, seeds)
    low, high = planted.wilson_interval(result.edge_successes, result.seeds)
    found |= {
      f"{problem} success": result.edge_successes / result.seeds,
      f"{problem} interval": f"{low:.2f} to {high:.2f}",
      f"{problem} genotype": result.genotype_successes / result.seeds,
    }
    if where.skip:
      found["collapsed"] = result.collapsed / result.learners
  return found


def find(settings: Config, where: landscape.Landscape, steps: int, seeds: range) -> planted.Result:
  """Searches a problem by a method, in so many steps a stage."""
  put = put_on(settings, where, steps)
  watched: dict[str, Any] = {}
  choose: planted.Choose | None
  if settings.projection:
    choose = _by_projection(put)
  elif settings.stop is not None:
    watched = {"watch_every": WATCH_EVERY, "relaxation": put.last.relaxation}
    choose = _by_eigenvalue(put, steps)
  elif settings.discretize.name == "threshold":
    # It leaves edges out (a planted operation has the weight 0.8 in the second problem, below the
    # threshold of 0.85); what counts here is the operation of each.
    choose = None
  else:
    choose = lambda end: put.last.genotype(end.state)
  return planted.find(put.stages, seeds, choose=choose, **watched)


def put_on(settings: Config, where: landscape.Landscape, steps: int) -> Planted:
  """A method on a problem, as `search.search` puts it on a task."""
  several = stages_of(settings)
  grows = len({stage.settings.network.to_json() for stage in several}) > 1
  stages, made, now = [], None, settings
  for n, stage in enumerate(several):
    now = settings_of(stage.settings, **_schedule(stage.settings, steps))
    supernet = method.supernet_of(now)
    drops = schedule.Drops(now.drop_path, now.skip_dropout)  # pyright: ignore[reportArgumentType]
    here = where.at_places(n + 1) if grows else where
    made = method.compose(now, landscape.problem_of(here, supernet, drops))
    inherit = lambda params, supernet=supernet: landscape.widened(params, supernet)
    one = planted.Stage(
      here,
      made.problem,
      made.machine,
      steps,
      steps // 3,
      made.levels,
      KEEP[n] if stage.keep is not None else None,
      inherit if stage.inherit else None,
    )
    stages.append(one)
  assert made is not None
  return Planted(stages, made, now)


def _schedule(settings: Config, steps: int) -> dict[str, Any]:
  """What belongs to the problem and not to the method."""
  alpha = dict(settings.alpha_optimizer)
  if alpha["name"] == "adam":
    alpha["lr"] = ALPHA_LR
  weights = {**dict(settings.weight_optimizer), "lr": LR}
  return dict(steps=steps, warmup_steps=steps // 3, weight_optimizer=weights, alpha_optimizer=alpha)


def _by_projection(put: Planted) -> planted.Choose:
  settings = put.settings
  # Every search of one table has the same problem: its programs are compiled once.
  made = projection.projector(
    put.last.problem, put.last.relaxation, method.tuning(settings), **dict(settings.projection)
  )
  return lambda end: projection.run(made, end.state, end.draw)


def _by_eigenvalue(put: Planted, steps: int) -> planted.Choose:
  stop = put.last.stop
  assert stop is not None

  def choose(end: planted.Found) -> SearchSpace:
    alphas, eigenvalues = end.trajectory
    seen = [WATCH_EVERY * (n + 1) for n in range(len(eigenvalues))]
    index = diagnostics.stopped_at(stop, seen, np.asarray(eigenvalues).tolist(), steps // 3)
    at = -1 if index is None else index
    logits = {name: [edge[at] for edge in edges] for name, edges in alphas.items()}
    return put.last.decide(end.problem.space, logits)

  return choose
