# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tables as files, and the tables of the repository: their Markdown follows from their CSV."""

import json
import math
import re
import subprocess

import numpy as np
import pytest

from dnas.tables import table


def test_interval():
  assert table.interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1.0, 4.302653 / math.sqrt(3)))
  mean, *rest = table.interval([5.0])
  assert mean == 5.0
  assert all(map(math.isnan, rest))


def test_differences_that_are_equal_but_for_rounding_are_not_tested():
  b = [0.7, 0.8, 0.3]
  for offset in (1e-5, 0.001, 0.1):
    mean, half, p = table.paired([x + offset for x in b], b)
    assert (mean, half) == (pytest.approx(offset), pytest.approx(0, abs=1e-12))
    assert math.isnan(p)
  assert table.paired([0.70001, 0.80002, 0.30001], b)[2] == pytest.approx(0.0572, abs=1e-4)


def test_rank_correlations():
  accuracy = np.array([1.0, 2.0, 3.0, 4.0])
  swapped = np.array([1.0, 2.0, 4.0, 3.0])
  for rank, value in ((table.spearman, 1 - 6 * 2 / (4 * 15)), (table.kendall, (5 - 1) / 6)):
    assert (rank(accuracy, accuracy), rank(-accuracy, accuracy)) == pytest.approx((1, -1))
    assert rank(swapped, accuracy) == pytest.approx(value)
    assert math.isnan(rank(np.ones(4), accuracy))


@pytest.mark.parametrize("rank", [table.spearman, table.kendall])
def test_bootstrapped(rank):
  accuracy = np.arange(6.0)
  assert table.bootstrapped(rank, accuracy, accuracy) == pytest.approx((1, 0))
  # Some samples draw equal scores alone, which rank nothing.
  value, deviation = table.bootstrapped(rank, np.array([1.0, 1, 1, 1, 1, 2]), accuracy)
  assert value == rank(np.array([1.0, 1, 1, 1, 1, 2]), accuracy)
  assert 0 < deviation < 1


def test_files_of_a_table(tmp_path):
  rows = [{"cell": "|a~0|", "AP": 0.123456789, "n": 3}, {"cell": "|b~0|", "AP": 1.0, "n": 4}]
  table.write(tmp_path, "Title\nText.", rows, {"command": "do it"})
  text = (tmp_path / "table.csv").read_text()
  assert text == "cell,AP,n\n|a~0|,0.123457,3\n|b~0|,1,4\n"
  page = (tmp_path / "README.md").read_text()
  assert page.startswith("# Title\n\nText.\n\n| cell | AP | n |\n")
  assert r"| \|a~0\| | 0.1235 | 3 |" in page
  assert json.loads((tmp_path / "provenance.json").read_text())["command"] == "do it"


def test_the_mark_of_a_commit_is_explained_where_it_stands():
  made = lambda commit: table.made_by({"command": "do it", "commit": commit})
  clean = "Made by `do it` at commit {}: `provenance.json`."
  assert made("abc") == clean.format("abc")
  changed = " The `+`: with changes that were not committed then."
  assert made("abc+") == clean.format("abc+") + changed


def test_the_commit_of_a_table_is_marked_where_code_is_not_committed(tmp_path, monkeypatch):
  module = tmp_path / "dnas" / "tables" / "table.py"
  module.parent.mkdir(parents=True)
  module.write_text("")
  git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
  for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
    subprocess.run([*git, *words], check=True)
  monkeypatch.setattr(table, "__file__", str(module))
  (tmp_path / "paper_results").mkdir()
  (tmp_path / "paper_results" / "table.csv").write_text("a\n1\n")
  assert re.fullmatch("[0-9a-f]{12}", table.origin()["commit"])
  module.write_text("changed = 1\n")
  assert table.origin()["commit"].endswith("+")


def test_every_table_of_the_repository_follows_from_its_csv_and_provenance(root):
  for file in sorted((root / "paper_results").rglob("table.csv")):
    shown = table.markdown(file.read_text(encoding="utf-8"))
    page = (file.parent / "README.md").read_text(encoding="utf-8")
    assert shown in page, file.parent.name
    provenance = json.loads((file.parent / "provenance.json").read_text(encoding="utf-8"))
    assert page.endswith(f"\n\n{table.made_by(provenance)}\n"), file.parent.name
