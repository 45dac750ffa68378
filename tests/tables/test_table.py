# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tables as files, and the tables of the repository: their Markdown follows from their CSV."""

import json
import math

import pytest

from dnas.tables import table


def test_interval():
  assert table.interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1.0, 4.302653 / math.sqrt(3)))
  mean, *rest = table.interval([5.0])
  assert mean == 5.0
  assert all(map(math.isnan, rest))


def test_files_of_a_table(tmp_path):
  rows = [{"cell": "|a~0|", "AP": 0.123456789, "n": 3}, {"cell": "|b~0|", "AP": 1.0, "n": 4}]
  table.write(tmp_path, "Title\nText.", rows, {"command": "do it"})
  text = (tmp_path / "table.csv").read_text()
  assert text == "cell,AP,n\n|a~0|,0.123457,3\n|b~0|,1,4\n"
  page = (tmp_path / "README.md").read_text()
  assert page.startswith("# Title\n\nText.\n\n| cell | AP | n |\n")
  assert r"| \|a~0\| | 0.1235 | 3 |" in page
  assert json.loads((tmp_path / "provenance.json").read_text())["command"] == "do it"


def test_every_table_of_the_repository_follows_from_its_csv(root):
  for file in sorted((root / "paper_results").glob("*/table.csv")):
    shown = table.markdown(file.read_text(encoding="utf-8"))
    assert shown in (file.parent / "README.md").read_text(encoding="utf-8"), file.parent.name
    assert (file.parent / "provenance.json").is_file(), file.parent.name
