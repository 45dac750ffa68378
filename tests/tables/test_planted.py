# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The methods' configs as they are put on the planted problems."""

import csv
import inspect

import pytest

from dnas import config as configs
from dnas import method
from dnas.strategy import bilevel, planted
from dnas.tables import planted as tables


def settings(root, name):
  return method.settings_of(configs.load(root / "configs" / "methods" / f"{name}.py").search)


def test_every_method_is_put_on_them_with_what_it_composes(root):
  valid = {
    *inspect.signature(planted.run).parameters,
    *inspect.signature(bilevel.bilevel).parameters,
  }
  found = {}
  for path in (root / "configs" / "methods").glob("*.py"):
    found[path.stem] = tables.arguments(settings(root, path.stem), 30)
    assert set(found[path.stem]) <= valid
    assert found[path.stem]["warmup_steps"] == 10
  assert found["p_darts"]["keep"] == [3, 2]
  assert not found["p_darts"]["inherit"]
  assert found["drnas"]["keep"] == [3]
  assert found["drnas"]["inherit"]
  assert found["gdas"]["single_path"]
  assert found["darts_minus"]["auxiliary_skip"]
  assert found["pc_darts"]["edge_weights"]
  assert found["oles"]["freezing"] is not None
  assert found["sdarts_rs"]["perturbation"] is not None
  assert len(found["beta_darts"]["penalties"]) == 1
  assert {n for n, given in found.items() if "choose" in given} == {
    "darts_pt",
    "darts_es",
    "p_darts",
  }


def test_the_committed_table_has_every_method_and_the_first_problem_is_found(root):
  text = (root / "paper_results" / "planted" / "table.csv").read_text()
  rows = list(csv.DictReader(text.splitlines()))
  names = {path.stem for path in (root / "configs" / "methods").glob("*.py")}
  assert {row["method"] for row in rows} == names - set(tables.NOT_APPLICABLE)
  assert all(float(row["harmonics success"]) >= 0.95 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts_es", "darts_pt"])
def test_a_choice_from_the_trajectory_and_by_perturbation(root, name):
  result = planted.run(
    tables.configs.bind(settings(root, name).relaxation, tables.relaxation),
    tables.configs.bind(settings(root, name).hypergradient, tables.hypergradient),
    range(4),
    **tables.arguments(settings(root, name), 60),
  )
  assert result.edge_successes >= 3
