# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A black-box search that keeps its history in a file, and goes on from it.

strategy = black_box.evolution(space, population=20)
queries = history.run(space, strategy, evaluator, path, budget=100)
genotype = space.decide(ask_tell.best(queries).choices)
"""

import concurrent.futures
import functools
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dnas import files, log, naming
from dnas.fields import plain
from dnas.lock import run_lock
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box, shared
from dnas.strategy.ask_tell import Evaluator, Metrics, PlainChoices, Query, Strategy, StrategyError

SCHEMA = "dnas.history/1"


def search(
  space: SearchSpace,
  entry: Any,
  evaluator: Evaluator,
  workdir: pathlib.Path,
  *,
  about: Mapping[str, Any] | None = None,
  **settings: Any,
) -> SearchSpace:
  """argmax of score over `budget` candidates; leaves `history.jsonl` and `genotype.json`.

  Args:
    space: to be searched.
    entry: of a config: the name of a strategy in `black_box`, or a dict with its arguments,
      `dict(name="evolution", population=20)`.
    workdir: the run's folder, for this process alone.
    evaluator: as for `run`.
    about: what the evaluator is, which must be the same when the search goes on.
    settings: further arguments of `run`: budget, seed, executor, ahead, watch.

  Raises:
    ConfigError: the entry names no strategy, or an argument that it does not take.
    LockError: another process searches in `workdir`.
    StrategyError, LogError, OSError: as `run`.
  """
  strategy = naming.bind(entry, black_box, space)
  with run_lock(workdir):
    queries = run(
      space,
      strategy,
      evaluator,
      workdir / "history.jsonl",
      about={"strategy": plain(entry), **(about or {})},
      **settings,
    )
    genotype = space.decide(ask_tell.best(queries).choices)
    files.atomic_write(workdir / "genotype.json", genotype.to_json())
  return genotype


def run(
  space: SearchSpace,
  strategy: Strategy,
  evaluator: Evaluator,
  path: pathlib.Path,
  *,
  budget: int,
  seed: int = 0,
  executor: concurrent.futures.Executor | shared.Executor | None = None,
  ahead: int = 1,
  about: Mapping[str, Any] | None = None,
  watch: Callable[[Query], object] = lambda query: None,
) -> list[Query]:
  """Evaluates `budget` candidates; killed at any moment and called again, it goes on.

  The file gets one line a query once its result is there, and holds all that is needed: the
  strategy is told again what was found out, and nothing is evaluated twice but what was open.
  Query i is evaluated with the key `fold_in(key(seed), i)`. The genotype found is
  `space.decide(ask_tell.best(queries).choices)`.

  Args:
    space: to be searched.
    strategy: over this space.
    evaluator: (genotype, key) -> metrics, see `ask_tell`. For processes it must be picklable.
    path: the history file, JSON lines.
    budget: number of queries in all; a run that is done can be given a larger one.
    seed: of the strategy and of the keys.
    executor: where evaluations run, a `ProcessPoolExecutor` or a `shared.Executor`; None: here.
    ahead: candidates open at a time, the number of workers as a rule.
    about: whatever else must be the same when the run goes on: the strategy's arguments, say.
    watch: is called with each query, after it is in the file.

  Raises:
    StrategyError: the file belongs to another run, or a result is none; see `ask_tell.explore`.
    LogError: the file is malformed.
    OSError: it cannot be written.
  """
  header = {"step": 0, "schema": SCHEMA, "seed": seed, "ahead": ahead, "about": dict(about or {})}
  header["searched"] = {name: str(space.cells[name]) for name in ask_tell.searched(space)}
  queries = _read(path, header)
  root = jax.random.key(seed)

  def submit(choices: PlainChoices, number: int) -> Callable[[], Metrics]:
    call = evaluator, space.decide(choices), jax.random.fold_in(root, number)
    return executor.submit(*call).result if executor else functools.partial(*call)

  files.atomic_write(path, "".join(map(log.line, [header, *map(_record, queries)])))
  with open(path, "a", encoding="utf-8") as file:
    for query in ask_tell.explore(
      strategy, submit, budget=budget, seed=seed, ahead=ahead, told=tuple(queries)
    ):
      file.write(log.line(_record(query)))
      file.flush()
      os.fsync(file.fileno())
      queries.append(query)
      watch(query)
  return queries


def read(path: pathlib.Path) -> list[Query]:
  """The queries of a history file; [] if there is none.

  Raises:
    StrategyError, LogError: it is no history; the message has the line.
  """
  return _read(path, None)


def _read(path: pathlib.Path, expected: Mapping[str, Any] | None) -> list[Query]:
  records = log.read(path)
  if not records:
    return []
  header, *rest = records
  if header.get("schema") != SCHEMA:
    raise StrategyError(f"{path}, line 1: no {SCHEMA} but {header.get('schema')!r}")
  # As JSON, which has neither tuples nor integer keys.
  for field, value in json.loads(json.dumps(expected or {})).items():
    if header.get(field) != value:
      raise StrategyError(
        f"{path} belongs to another run: {field} is {header.get(field)!r} there, {value!r} here. "
        "Choose another file, or remove it"
      )
  queries = []
  for number, record in enumerate(rest, 1):
    try:
      query = Query(record["step"], record["asked"], record["choices"], record["metrics"])
    except KeyError as error:
      raise StrategyError(f"{path}, line {number + 1}: no field {error}") from None
    if query.number != number:
      raise StrategyError(f"{path}, line {number + 1}: query {query.number}, expected {number}")
    queries.append(query)
  return queries


def _record(query: Query) -> dict[str, Any]:
  return {
    "step": query.number,
    "asked": query.asked,
    "choices": query.choices,
    "metrics": query.metrics,
  }
