# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search in a file: killed at any byte it goes on alike, and alone what belongs to it goes on."""

import concurrent.futures
import itertools
import json
import math
import multiprocessing
import time

import jax
import pytest

from dnas.estimate import tabular
from dnas.log import LogError
from dnas.space import cells
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box, history
from dnas.strategy.ask_tell import StrategyError

SPACE = cells.nasbench201()
BUDGET = 8


def evaluate(genotype, key):
  """A score that depends on the genotype and on the key, as a training would."""
  (ops,) = SPACE.choices(genotype).values()
  noise = float(jax.random.uniform(key)) if key is not None else 0.0
  return {"score": sum(op == "nor_conv_3x3" for op in ops) + noise, "loss": math.inf}


def run(path, evaluator=evaluate, **arguments):
  strategy = black_box.evolution(SPACE, population=3)
  given = {"budget": BUDGET, "seed": 5, "about": {"name": "evolution"}, **arguments}
  return history.run(SPACE, strategy, evaluator, path, **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A finished run: its file and its queries."""
  path = tmp_path_factory.mktemp("run") / "history.jsonl"
  return path, run(path)


def test_the_file_holds_what_was_found(whole):
  path, queries = whole
  assert history.read(path) == queries
  assert len(queries) == BUDGET
  header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
  assert header["seed"] == 5
  assert [row["step"] for row in rows] == list(range(1, BUDGET + 1))
  assert rows[0]["metrics"]["loss"] == "Infinity"  # JSON has no word of its own for it
  scores = [query.metrics["score"] for query in queries]
  assert len(set(scores)) == BUDGET  # each with a key of its own


def test_goes_on_from_a_file_cut_at_any_byte(whole, tmp_path):
  path, queries = whole
  data, calls = path.read_bytes(), []

  def counting(genotype, key):
    calls.append(genotype)
    return evaluate(genotype, key)

  for end in sorted({*range(0, len(data), 97), len(data) - 1, len(data)}):
    cut = tmp_path / "history.jsonl"
    cut.write_bytes(data[:end])
    calls.clear()
    assert run(cut, counting) == queries
    assert cut.read_bytes() == data
    done = max(data[:end].count(b"\n") - 1, 0)
    assert len(calls) == BUDGET - done


def test_each_query_is_in_the_file_before_the_next_one(tmp_path):
  path, lengths = tmp_path / "h" / "history.jsonl", []
  run(path, watch=lambda query: lengths.append((query.number, len(history.read(path)))))
  assert lengths == [(i, i) for i in range(1, BUDGET + 1)]


def test_an_evaluator_that_fails_loses_nothing(whole, tmp_path):
  path, count = tmp_path / "history.jsonl", 0

  def failing(genotype, key):
    nonlocal count
    count += 1
    if count == 4:
      raise RuntimeError("killed")
    return evaluate(genotype, key)

  with pytest.raises(RuntimeError, match="killed"):
    run(path, failing)
  assert history.read(path) == whole[1][:3]
  assert run(path) == whole[1]


def test_a_larger_budget_goes_on(whole, tmp_path):
  path = tmp_path / "history.jsonl"
  run(path, budget=5)
  assert run(path) == whole[1]
  with pytest.raises(StrategyError, match="budget: 3 queries, but 8 have been made already"):
    run(path, budget=3)


def slow_first(genotype, key):
  time.sleep(0.05 if genotype.cells["cell"].edges[0].ops == ("none",) else 0.0)
  return evaluate(genotype, key)


def test_many_workers_give_the_history_of_their_number(tmp_path):
  """It depends on how many candidates are open, not on who is quick; and it resumes."""
  with concurrent.futures.ThreadPoolExecutor(3) as executor:
    first = run(tmp_path / "a", slow_first, executor=executor, ahead=3)
    path = tmp_path / "b"
    run(path, executor=executor, ahead=3)
    assert history.read(path) == first
    path.write_bytes(path.read_bytes()[:-200])
    assert run(path, executor=executor, ahead=3) == first
  assert first == run(tmp_path / "c", ahead=3)


def at_rungs(rungs):
  """`evaluate` at several lengths: longer ones say more of the genotype and less of the key."""

  def evaluator(genotype, key, rung):
    found = evaluate(genotype, key)
    return {**found, "score": found["score"] * 2.0**rung, "length": 2.0**rung}

  evaluator.rungs = rungs
  return evaluator


def halve(path, evaluator=None, **arguments):
  strategy = black_box.successive_halving(SPACE, candidates=4, rungs=3)
  return history.run(SPACE, strategy, evaluator or at_rungs(3), path, budget=18, **arguments)


@pytest.mark.parametrize("ahead", [1, 3])
def test_rungs_are_in_the_file_and_a_search_goes_on_at_any_of_them(tmp_path, ahead):
  queries = halve(tmp_path / "whole", ahead=ahead)
  assert [query.metrics["length"] for query in queries] == [2.0**query.rung for query in queries]
  assert {query.rung for query in queries} == {0, 1, 2}
  lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
  assert ["rung" in json.loads(line) for line in lines[1:]] == [q.rung > 0 for q in queries]
  for done in range(len(lines)):
    (tmp_path / "cut").write_text("".join(lines[: done + 1]))
    assert halve(tmp_path / "cut", ahead=ahead) == queries
    assert (tmp_path / "cut").read_text() == "".join(lines)
  with concurrent.futures.ThreadPoolExecutor(ahead) as executor:
    assert halve(tmp_path / "threads", executor=executor, ahead=ahead) == queries


def test_strategy_and_evaluator_with_other_rungs_are_refused_before_anything(tmp_path):
  path = tmp_path / "history.jsonl"
  never = lambda *call: pytest.fail("evaluated")
  with pytest.raises(StrategyError, match=r"asks at 3 rung\(s\), the estimate has 1 length"):
    halve(path, never)
  never.rungs = 4
  with pytest.raises(StrategyError, match=r"asks at 3 rung\(s\), the estimate has 4 length"):
    halve(path, never)
  with pytest.raises(StrategyError, match=r"asks at 1 rung\(s\), the estimate has 4 length"):
    run(path, never)
  assert not path.exists()


def test_search_leaves_a_genotype(tmp_path):
  strategy = black_box.evolution(SPACE, population=3)
  arguments = {"budget": BUDGET, "seed": 5}
  genotype, best = history.search(SPACE, strategy, evaluate, tmp_path, **arguments)
  assert SearchSpace.from_json((tmp_path / "genotype.json").read_text()) == genotype
  assert best == ask_tell.best(history.read(tmp_path / "history.jsonl"))
  assert genotype == SPACE.decide(best.choices)
  assert history.search(SPACE, strategy, evaluate, tmp_path, **arguments) == (genotype, best)
  with pytest.raises(StrategyError, match="belongs to another run: about is"):
    history.search(SPACE, strategy, evaluate, tmp_path, about={"table": "other"}, **arguments)


@pytest.mark.slow  # starts two processes that import jax
def test_processes(tmp_path):
  """Evaluator, genotypes and keys can be sent; the history is that of threads."""
  digits = itertools.product("012", repeat=tabular.MACRO_LAYERS)
  entry = lambda name: {"mean_acc": name.count("2"), "std": 0, "params": 1, "flops": 1}
  entries = {"".join(name): entry(name) for name in digits}
  (tmp_path / "macro.json").write_text(json.dumps(entries))
  table = tabular.nasbench_macro(tmp_path / "macro.json")
  evaluator = tabular.look_up(table, split="test", epochs=50)
  strategy, found = black_box.evolution(table.space), []
  spawn = multiprocessing.get_context("spawn")
  for name, executor in (
    ("threads", concurrent.futures.ThreadPoolExecutor(2)),
    ("processes", concurrent.futures.ProcessPoolExecutor(2, spawn)),
  ):
    with executor:
      found.append(
        history.run(
          table.space, strategy, evaluator, tmp_path / name, budget=6, executor=executor, ahead=2
        )
      )
  assert found[0] == found[1]


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"seed": 6}, "belongs to another run: seed is 5 there, 6 here"),
    ({"ahead": 2}, "belongs to another run: ahead is 1 there, 2 here"),
    ({"about": {"name": "x"}}, "about is {'name': 'evolution'} there, {'name': 'x'} here"),
  ],
)
def test_another_run_is_refused(whole, arguments, message):
  before = whole[0].read_bytes()
  with pytest.raises(StrategyError, match=message):
    run(whole[0], **arguments)
  assert whole[0].read_bytes() == before


def test_another_space_is_refused(whole):
  space, about = cells.dense(("none", "skip_connect"), nodes=3), {"name": "evolution"}
  with pytest.raises(StrategyError, match="belongs to another run: searched is"):
    history.run(
      space, black_box.evolution(space), evaluate, whole[0], budget=9, seed=5, about=about
    )


@pytest.mark.parametrize(
  ("change", "error", "message"),
  [
    (lambda lines: ["{}", *lines[1:]], LogError, "line 1: not an object with an integer 'step'"),
    (lambda lines: lines[1:], StrategyError, "line 1: no dnas.history/1 but None"),
    (lambda lines: [*lines[:2], "xyz", *lines[2:]], LogError, "line 3: .*'xyz'"),
    (lambda lines: [*lines[:2], *lines[3:]], StrategyError, "line 3: query 3, expected 2"),
    (lambda lines: [*lines[:2], '{"step": 2}'], StrategyError, "line 3: no field 'asked'"),
    (
      lambda lines: [*lines[:2], lines[2].replace('"step"', '"rung": "1", "step"')],
      StrategyError,
      "line 3: rung must be a whole number, 0 or more, got '1'",
    ),
  ],
)
def test_malformed_files(whole, tmp_path, change, error, message):
  path = tmp_path / "history.jsonl"
  path.write_text("\n".join(change(whole[0].read_text().splitlines())) + "\n")
  with pytest.raises(error, match=message):
    run(path)


def test_a_history_that_the_strategy_would_not_have_written(whole, tmp_path):
  lines = whole[0].read_text().splitlines()
  record = json.loads(lines[2])
  record["choices"]["cell"].reverse()
  path = tmp_path / "history.jsonl"
  path.write_text("\n".join([*lines[:2], json.dumps(record)]) + "\n")
  with pytest.raises(StrategyError, match=r"query 2: the history has .* another strategy, space"):
    run(path)
  assert history.read(tmp_path / "absent") == []
