# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Several seeds at once, a search that stops early, and settings that do not go together."""

import json
import shutil
import types
from typing import Any

import numpy as np
import pytest

from dnas import config as configs
from dnas import log, projected, report, schema, search, watch
from dnas.errors import DnasError
from dnas.settings import settings_of, stages_of
from dnas.space.space import SearchSpace

SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1"), nodes=1),
  "search.network": dict(name="detector", channels=(4,), stem_channels=4),
  "search.steps": 4,
  "search.warmup_steps": 1,
  "search.batch_size": 8,
  "search.watch.every_steps": 0,
  "data.threads": 1,
}


def small(root, **overrides):
  changes = {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}}
  return configs.load(root / "configs" / "digits.py", changes)


def test_seeds_at_once_equal_one_after_another(root, tmp_path):
  first = search.search(small(root, seeds=2, seed=3), tmp_path / "both")
  together = log.read(tmp_path / "both" / "metrics.jsonl")
  assert [len(record["seeds/weight_loss"]) for record in together] == [2] * 4
  for n, seed in enumerate((3, 4)):
    genotype = search.search(small(root, seed=seed), tmp_path / str(seed))
    text = (tmp_path / "both" / "seeds" / str(seed) / "genotype.json").read_text()
    assert SearchSpace.from_json(text) == genotype
    assert seed != 3 or genotype == first
    for record, alone in zip(
      together, log.read(tmp_path / str(seed) / "metrics.jsonl"), strict=True
    ):
      for name in ("weight_loss", "alpha_loss", "alpha_grad_norm", "entropy/cell"):
        assert (name in alone) == (f"seeds/{name}" in record)
        if name in alone:
          np.testing.assert_allclose(record[f"seeds/{name}"][n], alone[name], rtol=1e-3, atol=1e-6)
  assert together[0]["seeds/weight_loss"][0] != together[0]["seeds/weight_loss"][1]
  np.testing.assert_allclose(
    together[2]["weight_loss"], np.mean(together[2]["seeds/weight_loss"]), rtol=1e-6
  )


def test_a_search_stops_with_the_genotype_of_an_earlier_step(
  root, tmp_path, user_folder, monkeypatch
):
  (user_folder / "my_lab.py").write_text(
    "def second(history, back):\n  return len(history) - 1 - back if len(history) == 2 else None\n"
  )
  config = small(
    root,
    search__steps=9,
    search__watch__every_steps=1,
    search__watch__hessian_steps=1,
    search__stop=dict(name="my_lab.second", back=1),
  )
  genotype = search.search(config, tmp_path / "run")
  watch = tmp_path / "run" / "watch"
  assert sorted(path.stem for path in watch.iterdir()) == ["00000001", "00000002", "00000003"]
  # The first was seen in the warm-up, when alpha stood still, and is no part of the history.
  second = json.loads((watch / "00000002.json").read_text())
  assert SearchSpace.from_dict(second["genotype"]) == genotype
  assert np.isfinite(second["hessian/dominant"])
  stopped = json.loads((tmp_path / "run" / "stopped.json").read_text())
  assert stopped == {"at": 3, "taken_from": 2, "by": {"name": "my_lab.second", "back": 1}}
  assert json.loads((tmp_path / "run" / "genotype.json").read_text()) == second["genotype"]
  pictures = {path.name for path in report.draw(tmp_path / "run")}
  assert {"search.svg", "search.png"} <= pictures
  assert "hessian/dominant" in (tmp_path / "run" / "search.svg").read_text()
  shutil.copytree(tmp_path / "run", tmp_path / "on")
  on = configs.changed(config, {"search.stop": None})  # What stopped it is no reason any more.
  search.search(on, tmp_path / "on", resume="force")
  assert log.read(tmp_path / "on" / "metrics.jsonl")[-1]["step"] == 9
  monkeypatch.setattr(log.Log, "write", lambda *arguments: pytest.fail("stepped again"))
  assert search.search(config, tmp_path / "run") == genotype


def test_the_projection_of_another_alpha_is_none_of_this(tmp_path, monkeypatch):
  monkeypatch.setattr(projected, "projector", lambda settings, made: None)
  (tmp_path / "alpha.json").write_text('{"fingerprint": "of before"}')
  state: Any = types.SimpleNamespace(alpha={"cell": (np.zeros(2),)})
  nothing: Any = None
  with pytest.raises(DnasError, match=f"{tmp_path} is a projection of another alpha"):
    projected.decide(nothing, nothing, nothing, state, {}, tmp_path)


STAGE = dict(steps=2, warmup_steps=0)
NARROWER = dict(network=dict(name="detector", channels=(2,), stem_channels=4))
DEEPER = dict(network=dict(name="detector", channels=(4, 8), stem_channels=4))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(search__hypergradient=None), "weight_share must be 1.0 with hypergradient=None"),
    (dict(search__drop_path=1.0), r"drop_path must be in \[0, 1\)"),
    (dict(search__stop=dict(name="stop_by_eigenvalue")), "set watch.every_steps and"),
    (
      dict(search__stop="skip_share", search__watch__every_steps=1),
      "unknown name in dnas.strategy.diagnostics: 'skip_share'",
    ),
    (
      dict(search__relaxation=dict(name="dirichlet"), search__watch__every_steps=1),
      "dirichlet has no second derivative",
    ),
    (dict(search__supernet__partial=3), "supernet.partial = 3: needs edges"),
    (dict(search__penalties=(dict(name="beta"),)), "unknown name in dnas.strategy.regularization"),
    (dict(search__stages=(STAGE, STAGE)), r"stages\[0\]: keep must be set in all stages but"),
    (dict(search__stages=(dict(keep=1, **STAGE),)), r"stages\[0\]: keep must be set in all"),
    (dict(search__stages=(dict(inherit=True, **STAGE),)), "has no stage before it"),
    (dict(search__stages=(dict(step=3),)), "unknown field of config.search: 'step'"),
    (dict(search__stages=(dict(stop="x", keep=2), STAGE)), r"stages\[0\]: cannot set stop"),
    (dict(search__stages=(dict(keep=0, **STAGE), STAGE)), "keep must be a whole number"),
    (dict(search__stages=(dict(keep=1, **STAGE), STAGE)), "it is a genotype already"),
    (
      dict(search__stages=(dict(keep=2, **STAGE), dict(inherit=True, edge_weights=True, **STAGE))),
      r"stages\[1\]: inherits alpha from a stage without edge_weights",
    ),
    (
      dict(search__stages=(dict(keep=2, **STAGE), dict(inherit=True, **NARROWER, **STAGE))),
      r"stages\[1\].inherit: .* has .* for this .*; valid: the same layers, none of them narrower",
    ),
    (
      dict(search__stages=(dict(keep=2, **STAGE), dict(inherit=True, **DEEPER, **STAGE))),
      r"stages\[1\].inherit: its supernet cannot take the weights of the stage before it: ",
    ),
    (dict(search__projection=dict(batchs=4)), "unknown field of config.search.projection"),
    (dict(search__projection=dict(batches=0)), "projection: batches must be a whole number, 1"),
    (
      dict(search__projection={}, search__weight_optimizer=dict(name="sgd")),
      "config.search.weight_optimizer must set lr",
    ),
    (dict(search__discretize=dict(name="top_k_edges", k=9)), "top_k_edges"),
    (dict(search__watch__genotypes=0), "config.search.watch.genotypes must be a whole number"),
    (dict(search__watch__every_steps=-3), "config.search.watch.every_steps must be a whole number"),
    (dict(search__relaxation="dirichlet", search__watch__every_steps=1), "no second derivative"),
    (dict(seeds=0), "config.seeds must be a whole number"),
    (dict(seeds=2, search__watch__every_steps=2), "several searches in one program have no watch"),
    (dict(seeds=2, search__stages=(STAGE,)), "have no stages"),
  ],
)
def test_settings_that_do_not_go_together(root, tmp_path, changes, message):
  with pytest.raises(DnasError, match=message):
    search.search(small(root, **changes), tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_fields_are_known_and_complete(root):
  config = configs.load(root / "configs" / "digits.py")
  given = {key: config.search[key] for key in config.search}
  required, optional = schema.fields_of("search", given)
  assert set(given) == {*required, *optional}  # the base lists them all
  with pytest.raises(DnasError, match=r"unknown field of config\.search: 'penalty'"):
    settings_of(config.search, penalty=())
  with pytest.raises(DnasError, match=r"drop_path must be a number \(in \[0, 1\)\), got '0.1'"):
    settings_of(config.search, drop_path="0.1")
  del given["relaxation"]
  with pytest.raises(DnasError, match=r"config\.search: relaxation must be set"):
    settings_of(given)
  assert settings_of(config.search, warmup_steps=1, steps=5).watch.genotypes == 5
  stages = (dict(steps=4, warmup_steps=1, keep=1), dict(steps=4, warmup_steps=2))
  settings = settings_of(config.search, steps=4, warmup_steps=9, stages=stages)
  assert [stage.settings.warmup_steps for stage in stages_of(settings)] == [1, 2]


@pytest.mark.parametrize(
  ("every", "stages", "steps"),
  [
    (2, (), [2, 4]),
    (3, (), [3]),
    (0, (), []),
    # Two stages of five steps: the last of the first is not observed, but counted.
    (2, (dict(steps=5, keep=1), dict(steps=5)), [2, 4, 7, 9]),
  ],
)
def test_when_a_search_is_observed(root, every, stages, steps):
  config = small(root, search__watch__every_steps=every, search__stages=stages)
  assert watch.observed(settings_of(config.search)) == steps
