# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A black-box search that keeps its history in a file, and goes on from it.

    strategy = black_box.evolution(space, population=20)
    genotype, best = history.search(space, strategy, evaluator, workdir, budget=100)

`history.jsonl` has a line a query; `read` gives them. Queries at rung 0, the only one of most
strategies, have no field `rung` there.
"""

import concurrent.futures
import functools
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dnas import files, log
from dnas.errors import check_count
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, shared
from dnas.strategy.ask_tell import Evaluator, Metrics, PlainChoices, Query, Strategy, StrategyError

SCHEMA = "dnas.history/1"


def search(
  space: SearchSpace,
  strategy: Strategy,
  evaluator: Evaluator,
  workdir: pathlib.Path,
  **settings: Any,
) -> tuple[SearchSpace, Query]:
  """argmax of score over `budget` candidates; leaves `history.jsonl` and `genotype.json`.

  Args:
    space, strategy, evaluator: as for `run`.
    workdir: the run's folder, which this process holds (`lock.run_lock`).
    settings: further arguments of `run`.

  Returns:
    The genotype, and the query that it is of.

  Raises:
    StrategyError, LogError, OSError: as `run`.
  """
  best = ask_tell.best(run(space, strategy, evaluator, workdir / "history.jsonl", **settings))
  genotype = space.decide(best.choices)
  files.atomic_write(workdir / "genotype.json", genotype.to_json())
  return genotype, best


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
  Query i is evaluated with the key `fold_in(key(seed), i)`.

  Args:
    space: to be searched.
    strategy: over this space.
    evaluator: (genotype, key) -> metrics, with the rung besides where the strategy has several;
      see `ask_tell`. For processes it must be picklable.
    path: the history file, JSON lines.
    budget: number of queries in all; a run that is done can be given a larger one.
    seed: of the strategy and of the keys.
    executor: where evaluations run, a `ProcessPoolExecutor` or a `shared.Executor`; None: here.
    ahead: candidates open at a time, the number of workers as a rule.
    about: whatever else must be the same when the run goes on: the strategy's arguments, say.
    watch: is called with each query, after it is in the file.

  Raises:
    StrategyError: strategy and evaluator have not the same rungs, which is found before anything
      is evaluated; the file belongs to another run, or a result is none; see `ask_tell.explore`.
    LogError: the file is malformed.
    OSError: it cannot be written.
  """
  ask_tell.check_rungs(strategy, evaluator)
  header = {"step": 0, "schema": SCHEMA, "seed": seed, "ahead": ahead, "about": dict(about or {})}
  header["searched"] = {name: str(space.cells[name]) for name in ask_tell.searched(space)}
  queries = _read(path, header)
  root = jax.random.key(seed)

  def submit(choices: PlainChoices, number: int, *rung: int) -> Callable[[], Metrics]:
    call = evaluator, space.decide(choices), jax.random.fold_in(root, number), *rung
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
      given = record["step"], record["asked"], record["choices"], record["metrics"]
      query = Query(*given, record.get("rung", 0))
    except KeyError as error:
      raise StrategyError(f"{path}, line {number + 1}: no field {error}") from None
    check_count(f"{path}, line {number + 1}: rung", query.rung, 0, StrategyError)
    if query.number != number:
      raise StrategyError(f"{path}, line {number + 1}: query {query.number}, expected {number}")
    queries.append(query)
  return queries


def _record(query: Query) -> dict[str, Any]:
  return {
    "step": query.number,
    "asked": query.asked,
    **({"rung": query.rung} if query.rung else {}),
    "choices": query.choices,
    "metrics": query.metrics,
  }
