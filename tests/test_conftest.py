# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The suite's time by file."""

import pytest


@pytest.fixture
def times_by_file(request, root):
  plugins = request.config.pluginmanager.get_plugins()
  path = str(root / "tests" / "conftest.py")
  (conftest,) = [plugin for plugin in plugins if getattr(plugin, "__file__", None) == path]
  return conftest.times_by_file


def report(nodeid, when, duration):
  return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=duration)


def test_phases_of_a_file_are_added_and_quick_files_are_one_line(times_by_file):
  reports = [
    report("tests/a.py::test_x[b::c]", "setup", 0.5),
    report("tests/a.py::test_x[b::c]", "call", 2.0),
    report("tests/b.py::test_y", "call", 3.25),
    report("tests/c.py::test_z", "call", 0.5),
    report("tests/d.py::test_z", "call", 0.25),
    "a warning, which has no time",
  ]
  assert times_by_file(reports) == [
    "    3.2 s  tests/b.py",
    "    2.5 s  tests/a.py",
    "    0.8 s  2 others",
  ]
