# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The methods' configs as they are put on the planted problems."""

import csv
import pathlib

import jax
import pytest

from dnas import config as configs
from dnas.errors import DnasError
from dnas.settings import settings_of, stages_of
from dnas.strategy import landscape
from dnas.tables import planted as tables
from dnas.tables.once import KEPT, kept

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


@pytest.fixture
def make(tmp_path, monkeypatch):
  """Makes the table with rows that cost nothing; `searched` counts them, `fails_at` ends it."""
  (tmp_path / "configs").mkdir()
  for name in NAMES[:3]:
    text = (ROOT / "configs" / "methods" / f"{name}.py").read_text()
    (tmp_path / "configs" / f"{name}.py").write_text(text)

  def row(settings, seeds):
    if len(make.searched) == make.fails_at:
      raise KeyboardInterrupt
    make.searched.append(len(seeds))
    return {"harmonics success": 0.5}

  def make(seeds, out="table", workdir="runs"):
    folders = tmp_path / "configs", tmp_path / out, tmp_path / workdir
    with kept(*folders[1:]):
      return tables.success_rates(*folders, seeds=seeds, command="c")

  monkeypatch.setattr(tables, "row", row)
  make.searched, make.fails_at = [], None
  return make


def test_cut_short_it_leaves_the_table_alone_and_goes_on_from_the_methods_that_are_done(
  make, tmp_path
):
  make(100, "whole", "other")
  before = (tmp_path / "whole" / "table.csv").read_text()
  (tmp_path / "whole" / KEPT).unlink()
  make.searched, make.fails_at = [], 2
  for out in ("whole", "table"):
    with pytest.raises(KeyboardInterrupt):
      make(100, out)
  assert (tmp_path / "whole" / "table.csv").read_text() == before
  assert not (tmp_path / "table" / "table.csv").exists()
  make.fails_at = None
  assert [row["method"] for row in make(100)] == NAMES[:3]
  assert make.searched == [100] * 3
  assert (tmp_path / "table" / "table.csv").read_text() == before


def test_fewer_seeds_do_not_replace_more(make, tmp_path):
  make(100)
  before = (tmp_path / "table" / "table.csv").read_text()
  with pytest.raises(DnasError, match=r"table of 100 searches .* and 3 would replace it: choose"):
    make(3, workdir="other")
  with pytest.raises(DnasError, match="choose another --out and another --workdir"):
    make(3, "new")
  assert (tmp_path / "table" / "table.csv").read_text() == before
  assert len(make(3, "newer", "new_runs")) == 3
