# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searching a benchmark from the command line: it resumes, and errors are one line."""

import importlib.util
import itertools
import json

import pytest

from dnas.estimate.tabular import NASBENCH201_COLUMNS
from dnas.space import cells
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, history


@pytest.fixture(scope="module")
def main(root):
  spec = importlib.util.spec_from_file_location("explore", root / "scripts" / "explore.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.main


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
  """A benchmark in which the digit 2 is good, and how to name it."""
  path = tmp_path_factory.mktemp("table") / "macro.json"
  names = map("".join, itertools.product("012", repeat=8))
  entry = lambda name: {"mean_acc": 10.0 * name.count("2"), "std": 0, "params": 1, "flops": 1}
  path.write_text(json.dumps({name: entry(name) for name in names}))
  return ["--table", str(path), "--split", "test", "--epochs", "50"]


def test_finds_resumes_and_says_what_it_found(main, flags, tmp_path, capsys):
  strategy = ["--strategy", '{"name": "local_search", "move": "first"}']
  given = [*flags, *strategy, "--workdir", str(tmp_path)]
  main([*given, "--budget", "5"])
  first = (tmp_path / "history.jsonl").read_text()
  main([*given, "--budget", "60"])
  assert (tmp_path / "history.jsonl").read_text().startswith(first)
  genotype = SearchSpace.from_json((tmp_path / "genotype.json").read_text())
  assert all(edge.ops == ("mb6_k5",) for edge in genotype.cells["chain"].edges)
  assert "cifar10 test 50 epochs: 80.00 %" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["config.json", "tuning.json"])
def test_a_run_of_another_kind_is_left_alone(main, flags, tmp_path, capsys, name):
  (tmp_path / name).write_text("{}")
  (tmp_path / "genotype.json").write_text("{}")
  with pytest.raises(SystemExit):
    main([*flags, "--workdir", str(tmp_path)])
  assert f"{tmp_path} holds a run of another kind ({name})" in capsys.readouterr().err
  assert {path.name for path in tmp_path.iterdir()} == {name, "genotype.json"}
  assert (tmp_path / "genotype.json").read_text() == "{}"


def test_several_lengths_are_rungs(main, root, tmp_path, capsys):
  """NAS-Bench-201's columns, with accuracies that the longer training turns round."""
  rows = [",".join(["arch_index", "arch_str", *NASBENCH201_COLUMNS.values()])]
  for index, ops in enumerate(itertools.product(cells.NASBENCH201_OPS, repeat=6)):
    a, b, c, d, e, f = ops
    good = ops.count("nor_conv_3x3")
    scores = [str(good if epochs == 12 else 90 - good) for _, _, epochs in NASBENCH201_COLUMNS]
    rows.append(",".join([str(index), f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|", *scores]))
  (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
  strategy = '{"name": "successive_halving", "candidates": 6, "rungs": 2}'
  given = ["--table", str(tmp_path / "table.csv"), "--split", "test", "--strategy", strategy]
  given += ["--budget", "9", "--workdir", str(tmp_path / "run")]
  main([*given, "--epochs", "12", "200"])
  queries = history.read(tmp_path / "run" / "history.jsonl")
  assert [query.metrics["epochs"] for query in queries] == [12.0] * 6 + [200.0] * 3
  # The incumbents that are printed end with the best at the higher rung.
  said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("query ")]
  best = ask_tell.best(queries)
  assert said[-1] == f"query {best.number}: {best.metrics['score']:.3f}"
  assert best.rung == 1
  with pytest.raises(SystemExit):
    main([*given, "--epochs", "12"])
  assert "asks at 2 rung(s), the estimate has 1 length(s)" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (["--table", "absent.json"], "absent.json is missing"),
    (["--strategy", "evolutoin"], "did you mean 'evolution'"),
    (["--strategy", "{name"], "is neither a name nor a dict"),
    (["--epochs", "50", "50"], "epochs: must be 2 or more rising numbers above 0, got [50]"),
    (["--dataset", "mnist"], "no mnist test 50 epochs. There are: cifar10 test 50 epochs"),
    (["--budget", "0"], "--budget: must be a whole number, 1 or more, got '0'"),
  ],
)
def test_errors_are_one_line(main, flags, tmp_path, capsys, changes, message):
  with pytest.raises(SystemExit) as exit_:
    main([*flags, "--workdir", str(tmp_path / "run"), *changes])
  assert exit_.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: ")
  assert message in line


@pytest.mark.slow
def test_the_front_of_score_and_cost(main, flags, tmp_path, capsys):
  """Costs are the benchmark's own columns, or a device's."""
  path = tmp_path / "macro.json"
  names = map("".join, itertools.product("012", repeat=8))
  entry = lambda name: {
    "mean_acc": 10.0 * name.count("2") + 5.0 * name.count("1"),
    "std": 0,
    "params": 1.0 + 3 * name.count("2") + name.count("1"),
    "flops": 1,
  }
  path.write_text(json.dumps({name: entry(name) for name in names}))
  given = [*flags, "--table", str(path), "--cost", "params"]
  given += ["--strategy", '{"name": "nsga2", "population": 8}', "--budget", "60"]
  main([*given, "--workdir", str(tmp_path / "run")])
  lines = (tmp_path / "run" / "front.csv").read_text().splitlines()
  assert lines[0] == "query,score,params"
  rows = [line.split(",") for line in lines[1:]]
  assert len(rows) >= 3
  scores, costs = ([float(row[i]) for row in rows] for i in (1, 2))
  assert scores == sorted(set(scores))
  assert costs == sorted(set(costs))
  assert {f"{row[0]}.json" for row in rows} == {
    p.name for p in (tmp_path / "run" / "front").iterdir()
  }
  assert (tmp_path / "run" / "front.svg").stat().st_size > 1000
  assert f"front: score {scores[0]:.4g}, params" in capsys.readouterr().out
  reward = ["--reward", '{"name": "weighted_product", "target": 9.0, "alpha": 0.0, "beta": -4.0}']
  given = [*flags, "--table", str(path), "--cost", "params", *reward, "--budget", "80"]
  main([*given, "--workdir", str(tmp_path / "reward")])
  genotype = SearchSpace.from_json((tmp_path / "reward" / "genotype.json").read_text())
  ops = [edge.ops[0] for edge in genotype.cells["chain"].edges]
  assert 1 + 3 * ops.count("mb6_k5") + ops.count("mb3_k3") <= 13
  with pytest.raises(SystemExit):
    main([*flags, *reward, "--workdir", str(tmp_path / "none")])
  assert "--reward is of the score and a cost" in capsys.readouterr().err
