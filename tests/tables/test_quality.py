# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The mutation check on a small repository: what is caught, what survives, what is equivalent."""

import csv
import json
import subprocess

import pytest

from dnas.errors import DnasError
from dnas.tables import mutants, quality

SOURCE = """def emptied(values, free=2):
  while values:
    values.pop()
  if free > 9:
    free = 9
  return values
"""
TEST = "from dnas import m\n\ndef test_m():\n  assert m.emptied([1]) == []\n"


@pytest.fixture
def small(tmp_path, monkeypatch):
  """A repository of one module; its tests catch some of the mutants, one of them by time."""
  root = tmp_path / "root"
  for name, text in {
    "dnas/m.py": SOURCE,
    "dnas/__init__.py": "",
    "tests/test_m.py": TEST,
    "tests/equivalent_mutants.json": "[]",
    ".gitignore": "ignored\n",
    "ignored": "",
    "setup.cfg": "[tool:pytest]\n",
  }.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
  subprocess.run(["git", "init", "-q", str(root)], check=True)
  monkeypatch.setattr(quality, "MODULES", {"dnas/m.py": ("tests/test_m.py",)})
  monkeypatch.setattr(quality, "_SPARE_S", 2)
  return root


def make(root, **settings):
  said = []
  out, workdir = root.parent / "out", root.parent / "work"
  quality.make(root, out, workdir, command="check", say=said.append, **settings)
  rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
  return rows, json.loads((out / "mutants.json").read_text()), said


def entry(mutant):
  return {k: v for k, v in mutant.items() if k in ("module", "text", "kind", "before", "after")}


@pytest.mark.slow  # 8 s: a pytest for each mutant, one of which is left to run
def test_the_check(small):
  rows, records, said = make(small, count=99)
  outcome = {record["before"]: (record["outcome"], record["by"]) for record in records}
  assert outcome["values.pop()"] == ("caught", "time")
  assert outcome["return values"] == ("caught", "tests/test_m.py::test_m")
  assert len(said) == len(records) + 1
  survived = [record for record in records if record["outcome"] == "survived"]
  assert {record["line"] for record in survived} >= {4, 5}
  assert int(rows[0]["caught"]) == len(records) - len(survived)
  page = (small.parent / "out" / "README.md").read_text()
  assert "`dnas/m.py:5` constant changed: `9` becomes `10`" in page
  assert (small / "dnas/m.py").read_text() == SOURCE
  assert not (small.parent / "work/tree/ignored").exists()

  # Called again, nothing is left to do; lines that moved are named as they stand now.
  (small / "dnas/m.py").write_text("# More.\n" + SOURCE)
  again, moved, said = make(small, count=99)
  assert (again, said) == (rows, [])
  assert [m["line"] for m in moved] == [m["line"] + 1 for m in records]

  # An equivalent mutant is neither caught nor does it count.
  reason = {**entry(survived[0]), "reason": "nobody reads it"}
  (small / "tests/equivalent_mutants.json").write_text(json.dumps([reason]))
  rows, _, _ = make(small, count=99)
  assert rows[0]["equivalent"] == "1"
  assert int(rows[0]["survived"]) == len(survived) - 1
  assert "(nobody reads it)" in (small.parent / "out" / "README.md").read_text()

  # What survived is tried again with better tests.
  (small / "tests/test_m.py").write_text(TEST + "  assert 0\n")
  with pytest.raises(DnasError, match=r"test_m.py: they fail before anything is broken"):
    make(small, count=99)


def test_an_unknown_module(small):
  with pytest.raises(DnasError, match=r"none has nonsense in its name; valid: \['dnas/m.py'\]"):
    make(small, only=["nonsense"])


def test_the_modules_and_their_tests_exist(root):
  for module, tests in quality.MODULES.items():
    assert len({m.line for m in mutants.mutants((root / module).read_text())}) >= 15
    assert all((root / test).is_file() for test in tests)


def test_equivalent_mutants_exist_and_say_why(root):
  entries = json.loads((root / quality.EQUIVALENT).read_text(encoding="utf-8"))
  there = {
    (module, *mutant.key)
    for module in quality.MODULES
    for mutant in mutants.mutants((root / module).read_text(encoding="utf-8"))
  }
  named = quality.reasons(entries)
  assert set(named) <= there
  assert len(named) == len(entries)
  assert all(len(reason) > 10 for reason in named.values())
