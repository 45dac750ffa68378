# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of RobustDARTS' spaces: with runs replaced, and from end to end on digits."""

import csv
import json

import pytest

from dnas.errors import DnasError
from dnas.space import cells
from dnas.tables import robustness, table

SMALL = {
  "data.spec": "digits",
  "data.train_split": "train",
  "data.size": (8, 8),
  "data.threads": 1,
  "space.nodes": 1,
  "search.network.channels": 2,
  "search.steps": 2,
  "search.batch_size": 4,
  "search.watch.every_steps": 1,
  "train.steps": 2,
  "train.batch_size": 4,
}


@pytest.fixture
def pretended(monkeypatch):
  """Searches whose eigenvalues rise and which end in skips alone; a skip costs 10 %."""
  calls = []

  def search(config, folder):
    assert config.data.train_split == "train[:500]"
    space = robustness.space_of(config)
    op = "noise" if config.space.name == "robust_s4" else "skip_connect"
    calls.append((config.space.name, folder.name, config.seed))
    skips = 0 if folder.name == "robust_darts" else len(space.cells["normal"].edges)
    (folder / "watch").mkdir(parents=True)
    for step in range(1, 13):
      choice = chosen(space, op if step > 4 and skips else "sep_conv_3x3")
      record = {
        "genotype": choice.to_dict(),
        "hessian/dominant": -(2.0 ** min(step, 9)),
        "gap/loss": step / 4,
      }
      (folder / "watch" / f"{step:08d}.json").write_text(json.dumps(record))
    return choice

  def chosen(space, op):
    choices = {
      name: [op if i < 4 else None for i, _ in enumerate(cell.edges)]
      for name, cell in space.cells.items()
    }
    return space.decide(choices)

  def train(config, genotype, folder):
    calls.append(("train", folder.name, config.seed))
    assert config.data.train_split == "train[:4000]"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genotype.json").write_text(genotype.to_json())

  def evaluate(config, folder):
    found = robustness.SearchSpace.from_json((folder / "genotype.json").read_text())
    share = robustness.diagnostics.skip_share(found, robustness.SPACES[config.space.name[-2:]])
    return {"accuracy": 0.8 - 0.1 * share + 0.01 * config.seed}

  for function in (search, train, evaluate):
    monkeypatch.setattr(robustness, function.__name__, function)
  return calls


def make(root, tmp_path, **given):
  return robustness.make(root, tmp_path / "out", tmp_path / "runs", command="c", **given)


def test_a_collapse_is_seen_and_what_is_done_is_not_done_again(root, tmp_path, pretended):
  given = dict(seeds=2, spaces=("s4",), methods=("darts_es", "darts_first_order", "robust_darts"))
  rows = make(root, tmp_path, **given)
  found = {(row["space"], row["method"]): row for row in rows}
  early, darts, robust = (found["s4", name] for name in given["methods"])
  assert (darts["share"], robust["share"]) == (100, 0)
  assert darts["by chance"] == pytest.approx(50, abs=2)
  assert darts["accuracy"] == pytest.approx(70.5)
  assert (robust["over DARTS"], robust["over DARTS ±"]) == pytest.approx((10, 0), abs=1e-9)
  # Both seeds stop at step 10 and take step 5: there the mean of five is below 3/4 of that at 10.
  assert (early["stopped"], early["share"]) == (2, 100)
  assert darts["eigenvalue largest"] == 512
  assert (darts["gap"], early["gap"]) == (3, 1.25)
  assert darts["published error"] == 7.2
  # Of each seed two searches; the cells that were trained are three at most.
  searches = [call for call in pretended if call[0] != "train"]
  assert len(searches) == len(set(searches)) == 2 * 2
  assert not any(folder == "darts_es" for _, folder, _ in searches)
  assert len([call for call in pretended if call[0] == "train"]) <= 2 * 3
  pretended.clear()
  assert str(make(root, tmp_path, **given)) == str(rows)  # Written as text: NaN is not itself.
  assert pretended == []
  shown = (tmp_path / "out" / "README.md").read_text()
  assert table.markdown((tmp_path / "out" / "table.csv").read_text()) in shown
  assert "<svg" in (tmp_path / "out" / "curves.svg").read_text()
  with (tmp_path / "out" / "curves.csv").open() as file:
    steps = [int(r["step"]) for r in csv.DictReader(file) if r["method"] == "darts_first_order"]
  assert steps == [*range(1, 13)]
  with pytest.raises(DnasError, match=r"another config \(search.steps: 700 -> 5\)"):
    make(root, tmp_path, **given, overrides={"search.steps": 5})


def test_what_is_asked_for_must_exist(root, tmp_path):
  with pytest.raises(DnasError, match="method: 'dart'"):
    make(root, tmp_path, methods=("darts_first_order", "dart"))
  with pytest.raises(DnasError, match="space: 's5'"):
    make(root, tmp_path, spaces=("s5",))
  with pytest.raises(DnasError, match="darts_first_order must be among them"):
    make(root, tmp_path, methods=("darts_minus",))


def test_smaller_cells_of_the_spaces():
  for n, make_space in enumerate(
    (cells.robust_s1, cells.robust_s2, cells.robust_s3, cells.robust_s4)
  ):
    whole, small = make_space(), make_space(nodes=2)
    for name, cell in small.cells.items():
      assert cell.edges == whole.cells[name].edges[:5], (n, name)
      assert (cell.output, cell.keep) == ((2, 3), 2)
  with pytest.raises(cells.SpaceError, match="this cell has 20 edges, got candidates for 14"):
    cells.robust_s1(nodes=5)


@pytest.mark.slow
def test_a_space_from_end_to_end_on_digits(root, tmp_path):
  """S4, so that networks with noise are measured, too."""
  given = dict(seeds=1, spaces=("s4",), methods=("darts_first_order", "darts_es"))
  rows = make(root, tmp_path, **given, overrides=SMALL, trained={"data.train_split": "validation"})
  assert [row["method"] for row in rows] == ["darts_first_order", "darts_es", "random"]
  assert all(0 <= row["accuracy"] <= 100 and 0 <= row["share"] <= 100 for row in rows)
  assert rows[0]["eigenvalue largest"] > 0
  runs = json.loads((tmp_path / "out" / "runs.json").read_text())
  assert {run["method"] for run in runs} == {"darts_first_order", "darts_es", "random"}
