# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The methods' configs as they are put on the planted problems."""

import csv
import pathlib

import jax
import pytest

from dnas import config as configs
from dnas.settings import settings_of, stages_of
from dnas.strategy import landscape
from dnas.tables import planted as tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "configs" / "methods").glob("*.py"))


def settings(root, name):
  return settings_of(configs.load(root / "configs" / "methods" / f"{name}.py").search)


def put_on(root, name, where=landscape.HARMONICS):
  return tables.put_on(settings(root, name), where, 30)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_put_on_them_with_what_it_composes(root, name):
  put, given = put_on(root, name), settings(root, name)
  assert [stage.steps for stage in put.stages] == [30] * max(len(given.stages), 1)
  assert put.settings.warmup_steps == 10
  # Nothing but the schedule differs from the config (of the last stage, where there are several).
  ours = {"steps", "warmup_steps", "weight_optimizer", "alpha_optimizer"}
  last = stages_of(given)[-1].settings
  assert {k for k in last if put.settings[k] != last[k]} <= ours
  rates = {"lr"}
  assert {
    k for k in last.weight_optimizer if put.settings.weight_optimizer[k] != last.weight_optimizer[k]
  } <= rates


def test_stages_prune_and_grow_deeper_or_wider(root):
  grown = put_on(root, "p_darts").stages
  assert [stage.landscape.places for stage in grown] == [1, 2, 3]
  assert [stage.keep for stage in grown] == [3, 2, None]
  assert all(stage.inherit is None for stage in grown)
  wider = put_on(root, "drnas").stages
  shapes = [stage.problem.init(jax.random.key(0))[0][0][0]["ops"][0].shape for stage in wider]
  assert shapes == [(2, 2), (4, 4)]
  assert wider[1].inherit is not None


def test_the_committed_table_has_every_method_and_the_first_problem_is_found(root):
  text = (root / "paper_results" / "planted" / "table.csv").read_text()
  rows = list(csv.DictReader(text.splitlines()))
  assert {row["method"] for row in rows} == set(NAMES)
  assert all(float(row["harmonics success"]) >= 0.95 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts_es", "darts_pt"])
def test_a_choice_from_the_trajectory_and_by_perturbation(root, name):
  result = tables.find(settings(root, name), landscape.HARMONICS, 60, range(4))
  assert result.edge_successes >= 3
