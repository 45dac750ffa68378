# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Which methods find what was planted, and which withstand operations that look better early.

Each method is its config in configs/methods, put on the two problems of `strategy.landscape`.
"""

import pathlib
from typing import Any

import numpy as np

from dnas import config as configs
from dnas import method
from dnas.config import Config
from dnas.space.space import SearchSpace
from dnas.strategy import (
  bilevel,
  diagnostics,
  discretize,
  freezing,
  hypergradient,
  landscape,
  optimizer,
  planted,
  projection,
  regularization,
  relaxation,
)
from dnas.tables import table

ALPHA_LR, WATCH_EVERY = 0.03, 5
# The problem and the length of the search. In half of it first-order DARTS collapses on most edges
# of the second one, in twice as much on few: there the operations have learnt in time.
PROBLEMS = {"harmonics": (landscape.HARMONICS, 150), "collapse": (landscape.COLLAPSE, 300)}
# What of a method these problems have no place for.
LEFT_OUT = {
  "darts_minus": "harmonics: has no skip connection",
  "drnas": "partial channels",
  "p_darts": "depth, drop-out on skips; at most 2 of 3 edges may be skips",
  "pc_darts": "partial channels",
  "robust_darts": "drop-path",
}
# One cell at one place: layers cannot disagree.
NOT_APPLICABLE = ("lambda_darts",)


def success_rates(
  folder: pathlib.Path, out: pathlib.Path, *, seeds: int, command: str
) -> list[table.Row]:
  """Makes the table.

  Args:
    folder: of the methods' configs.
    out: folder of the table.
    seeds: how many searches each.
    command: goes into the provenance.
  """
  rows = []
  names = sorted(path.stem for path in folder.glob("*.py"))
  for name in names:
    if name not in NOT_APPLICABLE:
      config = configs.load(folder / f"{name}.py")
      rows.append(row(name, method.settings_of(config.search), range(seeds)))
      print({k: v for k, v in rows[-1].items() if "interval" not in k}, flush=True)
  (_, few), (_, many) = PROBLEMS.values()
  title = f"""Planted problems: {seeds} searches for each method
Success: the operation of the one edge that the seed singles out (of 3; 4 operations) is the planted
one, with its 95 % Wilson interval; genotype: all three are. *collapsed*: of the edges whose planted
operation is a harmonic, the share that got the skip connection, which is better early and worse in
the end. {few} and {many} steps (as many in each stage), a third of them warm-up; learning rates 0.1
and {ALPHA_LR}. Not on the problem, and so left out: see the last column; `lambda_darts` needs a
cell at several places, and is not in the table."""
  provenance = {"command": command, "seeds": [0, seeds - 1], "problems": list(PROBLEMS)}
  table.write(out, title, rows, provenance)
  return rows


def row(name: str, settings: Config, seeds: range) -> dict[str, Any]:
  """One method on both problems."""
  found: dict[str, Any] = {"method": name}
  for problem, (where, steps) in PROBLEMS.items():
    result = planted.run(
      configs.bind(settings.relaxation, relaxation),
      _optional(settings.hypergradient, hypergradient),
      seeds,
      landscape=where,
      **arguments(settings, steps),
    )
    low, high = planted.wilson_interval(result.edge_successes, result.seeds)
    found |= {
      f"{problem} success": result.edge_successes / result.seeds,
      f"{problem} interval": f"{low:.2f} to {high:.2f}",
      f"{problem} genotype": result.genotype_successes / result.seeds,
    }
    if where.skip:
      found["collapsed"] = result.collapsed / result.learners
  return found | {"left out": LEFT_OUT.get(name, "")}


def arguments(settings: Config, steps: int) -> dict[str, Any]:
  """The settings of a method as arguments of `planted.run`, for a search of so many steps."""
  stages = [dict(stage) for stage in settings.stages]
  decay = settings.weight_optimizer.get("weight_decay", 3e-4)
  alpha = dict(settings.alpha_optimizer)
  if alpha["name"] == "adam":
    alpha["lr"] = ALPHA_LR
  supernet = method.supernet_of(settings)
  found: dict[str, Any] = dict(
    steps=steps,
    warmup_steps=steps // 3,
    weight_optimizer=optimizer.sgd(steps, lr=0.1, weight_decay=decay),
    alpha_optimizer=configs.bind(alpha, optimizer, steps=steps),
    auxiliary_skip=supernet.auxiliary_skip,
    single_path=supernet.single_path,
    keep=[3, 2][: len(stages) - 1],
    inherit=any(stage.get("inherit") for stage in stages),
    edge_weights=settings.edge_weights,
    penalties=[configs.bind(spec, regularization) for spec in settings.penalties],
    perturbation=_optional(settings.perturbation, regularization),
    freezing=_optional(settings.freezing, freezing),
  )
  if settings.projection:
    found["choose"] = _by_projection(settings, steps)
  elif settings.stop is not None:
    found |= {"watch_every": WATCH_EVERY, "choose": _by_eigenvalue(settings, steps)}
  elif settings.discretize.name == "limit_skips":
    decide = configs.bind(settings.discretize, discretize)
    found["choose"] = lambda end: decide(end.problem.space, end.alpha)
  # A threshold leaves edges out; what counts here is the operation of each.
  return found


def _optional(spec: Any, module: Any) -> Any:
  return None if spec is None else configs.bind(spec, module)


def _by_projection(settings: Config, steps: int) -> planted.Choose:
  made = {}

  def tune(problem: bilevel.Problem) -> bilevel.Bilevel:
    return bilevel.bilevel(
      problem,
      configs.bind(settings.relaxation, relaxation),
      configs.bind(settings.hypergradient, hypergradient),
      optimizer.sgd(steps, lr=0.01),
      optimizer.adam(lr=ALPHA_LR),
      steps=steps,
    )

  def choose(end: planted.Found) -> SearchSpace:
    # Every search of one table has the same problem: its programs are compiled once.
    if end.problem not in made:
      relax = configs.bind(settings.relaxation, relaxation)
      made[end.problem] = projection.projector(
        end.problem, relax, tune, **dict(settings.projection)
      )
    return projection.run(made[end.problem], end.state, end.draw)

  return choose


def _by_eigenvalue(settings: Config, steps: int) -> planted.Choose:
  stop = configs.resolve(settings.stop, diagnostics, given=1)
  first = steps // 3 // WATCH_EVERY  # Before that alpha stands still.

  def choose(end: planted.Found) -> SearchSpace:
    alphas, eigenvalues = end.trajectory
    index = stop(np.asarray(eigenvalues)[first:].tolist())
    at = -1 if index is None else first + index
    logits = {name: [edge[at] for edge in edges] for name, edges in alphas.items()}
    return discretize.argmax()(end.problem.space, logits)

  return choose
