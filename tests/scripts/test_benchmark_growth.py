# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of how a step's cost grows: its points, its floors, and that none is measured twice."""

import sys

import pytest


@pytest.fixture
def growth(root, monkeypatch):
  monkeypatch.syspath_prepend(str(root / "scripts"))
  sys.modules.pop("benchmarks", None)
  from benchmarks import growth

  return growth


FIGURES = {
  **{"step_min_s": 2.0, "temp_mib": 10, "rss_mib": 500, "compile_s": 3.0},
  **{"gmac": 8.0, "kept_mib": 1000.0},
}


def test_a_table_goes_on_where_it_was_stopped(growth, tmp_path):
  asked = []

  def measure(point):
    asked.append(dict(point))
    if len(asked) == 4:
      raise KeyboardInterrupt
    return FIGURES

  with pytest.raises(KeyboardInterrupt):
    growth.make(tmp_path, measure, (40.0, 10.0), "make it")
  assert not (tmp_path / "growth.svg").exists()
  rows = growth.make(tmp_path, measure, (40.0, 10.0), "make it")
  assert asked[:3] + asked[4:] == growth.points()
  assert len(rows) == len(growth.points())
  assert rows[0]["floor_matmul_s"] == 8 / 40
  assert rows[0]["floor_bytes_s"] == pytest.approx(4 * 1.048576 / 10)
  assert "<svg" in (tmp_path / "growth.svg").read_text()
  made = (tmp_path / "provenance.json").read_bytes()
  assert len(growth.make(tmp_path, measure, (40.0, 10.0), "look at it")) == len(rows)
  assert (tmp_path / "provenance.json").read_bytes() == made


def test_points_differ_from_the_base_in_one_thing(growth):
  base, *others = growth.points()
  assert all(sum(point[name] != base[name] for name in base) == 1 for point in others)
  assert len({tuple(point.values()) for point in [base, *others]}) == 1 + len(others)


def test_rates_are_those_of_this_machine(growth):
  matmul, copy = growth.rates(seconds=0.01)
  assert matmul > 0.1
  assert copy > 0.1
