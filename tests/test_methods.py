# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Every method of configs/methods searches two tiny steps and derives a genotype."""

import json
import math
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import config as configs
from dnas import log, method, naming, runs, search, train
from dnas import task as tasks
from dnas.data import load
from dnas.errors import DnasError
from dnas.fields import plain
from dnas.settings import settings_of, stages_of
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy.problem import Problem

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "configs" / "methods").glob("*.py"))
# The quickest to compile of their kinds; the others are slow tests.
DEFAULT = {"darts_first_order", "oles", "pc_darts"}

# Those whose Hessian-vector products are compiled here too.
CURVATURE = {"darts_first_order", "darts_es"}

NETWORK = dict(name="detector", channels=(4,), stem_channels=4)
SMALL = {
  "space": dict(name="dense", ops=("none", "skip_connect", "nor_conv_1x1"), nodes=2),
  "search.network": NETWORK,
  "search.steps": 2,
  "search.warmup_steps": 0,
  "search.batch_size": 8,
  "search.watch.every_steps": 2,
  "train.network": None,
  "data.threads": 1,
}

# The fields of config.search in which a method differs from the base, with the functions they name.
DEFINES = {
  "beta_darts": {"penalties": ["beta_decay"]},
  "darts_es": {"stop": ["stop_by_eigenvalue"], "watch": []},
  "darts_finite_difference": {"hypergradient": ["finite_difference"]},
  "darts_first_order": {},
  "darts_minus": {"supernet": []},
  "darts_pt": {"projection": []},
  "darts_second_order": {"hypergradient": ["unrolled"]},
  "drnas": {
    "relaxation": ["dirichlet"],
    "penalties": ["dirichlet_anchor"],
    "alpha_optimizer": ["adam"],
    "stages": [],
    "watch": [],
  },
  "dsnas": {
    "relaxation": ["score_function"],
    "hypergradient": [],
    "weight_share": [],
    "supernet": [],
  },
  "fair_darts": {
    "relaxation": ["sigmoid"],
    "penalties": ["zero_one"],
    "alpha_optimizer": ["adam"],
    "discretize": ["threshold"],
  },
  "fbnet": {"relaxation": ["gumbel_softmax"]},
  "gaea": {"alpha_optimizer": ["exponentiated_gradient"]},
  "gdas": {"relaxation": ["gumbel_softmax", "straight_through"], "supernet": []},
  "idarts": {"hypergradient": ["implicit", "neumann"]},
  "lambda_darts": {"weight_penalty": ["layer_alignment"]},
  "oles": {"freezing": ["gradient_matching"]},
  "p_darts": {"stages": ["nasbench201"] * 3, "discretize": ["limit_skips"]},
  "pc_darts": {"supernet": [], "edge_weights": [], "warmup_steps": []},
  "proxylessnas": {"relaxation": ["two_paths"]},
  "robust_darts": {"weight_optimizer": ["sgd"], "drop_path": []},
  "sdarts_adv": {"perturbation": ["adversarial_perturbation"]},
  "sdarts_rs": {"perturbation": ["random_perturbation"]},
  "snas": {"relaxation": ["gumbel_softmax"], "hypergradient": [], "weight_share": []},
}


def named(value):
  """The functions that a part of a config names, sorted."""
  if isinstance(value, dict):
    inner = [name for part in value.values() for name in named(part)]
    return sorted([value["name"], *inner] if "name" in value else inner)
  return sorted(name for part in value for name in named(part)) if type(value) is tuple else []


def test_a_method_differs_from_the_base_in_what_defines_it():
  readme = (ROOT / "README.md").read_text()
  base = plain(configs.load(ROOT / "configs" / "digits.py").search)
  assert set(DEFINES) == set(NAMES)
  for name in NAMES:
    own = plain(configs.load(ROOT / "configs" / "methods" / f"{name}.py").search)
    changed = {field: named(own[field]) for field in own if own[field] != base[field]}
    assert changed == DEFINES[name], name
    # And the README's table names what is there.
    (composes,) = re.findall(rf"^ *\| .* \| `{name}` \| (.*?) \|", readme, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", composes)) <= set(named(own)), name


def test_p_darts_on_the_papers_cells():
  config = configs.load(f"{ROOT}/configs/methods/p_darts.py:darts")
  stages = stages_of(settings_of(config.search))
  assert [stage.settings.network.layers for stage in stages] == [5, 11, 17]
  edges = [edge for cell in method.space_of(config).cells.values() for edge in cell.edges]
  kept = [len(edges[0].ops), *(stage.keep for stage in stages[:-1])]
  assert {len(edge.ops) for edge in edges} == {8}
  assert kept == [8, 5, 3]
  assert plain(stages[-1].settings.discretize) == {"name": "limit_skips", "at_most": 2}


def test_the_threshold_of_fair_darts_is_within_the_reach_of_alpha():
  settings = configs.load(ROOT / "configs" / "methods" / "fair_darts.py").search
  reach = settings.alpha_optimizer.lr * (settings.steps - settings.warmup_steps)  # a rate a step
  value = settings.discretize.value
  assert reach > 1.5 * math.log(value / (1 - value))


def test_a_projection_is_tuned_without_a_warm_up_and_with_a_tenth_of_the_learning_rate():
  settings = settings_of(configs.load(ROOT / "configs" / "methods" / "darts_pt.py").search)
  loss = lambda params, stats, weights, *_: (params["x"] + weights["c"][0][0], (stats, {}))
  space = SearchSpace({"c": Cell(1, (Edge(0, 1, ("a", "b")),), (1,))})
  problem = Problem(space, lambda key: ({"x": jnp.zeros(())}, {}), loss)
  loop = method.tuning(settings)(problem)
  state = loop.init(jax.random.key(0))
  alpha = np.array(state.alpha["c"][0])
  state, _ = loop.step(state, jnp.zeros(1), jnp.zeros(1))
  np.testing.assert_allclose(state.params["x"], -settings.weight_optimizer.lr / 10, rtol=1e-6)
  assert settings.warmup_steps > 0
  np.testing.assert_allclose(state.alpha["c"][0] - alpha, [-3e-3, 3e-3], rtol=1e-2)


def small(name, **overrides):
  """A method's config, tiny."""
  config = configs.load(ROOT / "configs" / "methods" / f"{name}.py")
  changes = {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}}
  settings = config.search
  if name not in CURVATURE:
    changes["search.watch.hessian_steps"] = 0
  if settings.weight_penalty is not None:  # it needs a cell at two places
    changes["search.network"] = {**NETWORK, "repeats": 2}
  if settings.freezing is not None:
    changes["search.freezing"] = {**settings.freezing, "window": 1}
  if settings.projection is not None:
    changes |= {"search.projection.batches": 1, "search.projection.tune_steps": 1}
  if settings.stages:
    tiny = dict(steps=2, warmup_steps=0)
    stages = [{**stage, **tiny} for stage in settings.stages]
    for n, stage in enumerate(stages):
      if "network" in stage:
        stage["network"] = {**NETWORK, "repeats": n + 1}
      if "keep" in stage:
        stage["keep"] = 2
    changes["search.stages"] = tuple(stages)
  return configs.changed(config, changes)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_complete_and_name_what_exists(name):
  config = configs.load(ROOT / "configs" / "methods" / f"{name}.py")
  source = load("digits")
  task, space = method.task_of(config, source), method.space_of(config)
  stages = stages_of(settings_of(config.search))
  for stage in stages:
    method.make(stage.settings, task, naming.bind(stage.settings.network, search.macro, space))
  assert stages[-1].keep is None
  docstring = (ROOT / "configs" / "methods" / f"{name}.py").read_text()
  assert f"configs/methods/{name}.py" in docstring
  assert len(docstring.splitlines()) < 45


@pytest.mark.parametrize(
  "name",
  [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_two_steps_and_a_genotype(name, tmp_path, monkeypatch):
  made, make = [], method.make

  def remember(*arguments):
    made.append(make(*arguments))
    return made[-1]

  monkeypatch.setattr(method, "make", remember)
  config = small(name)
  genotype = search.search(config, tmp_path)
  assert genotype.is_genotype
  assert SearchSpace.from_json((tmp_path / "genotype.json").read_text()) == genotype
  task = method.task_of(config, load("digits"))
  assert math.isfinite(tasks.cost(task, train.derived(config, task, genotype)).macs)
  # No step compiles twice.
  assert max(m.machine.step._cache_size() for m in made) == 1
  folders = sorted(tmp_path.glob("stage*")) or [tmp_path]
  for folder in folders:
    records = log.read(folder / "metrics.jsonl")
    assert [record["skipped"] for record in records] == [0, 0]
    assert all(math.isfinite(record["weight_loss"]) for record in records)
    assert all("alpha_loss" in record for record in records)
    seen = json.loads((folder / "watch" / "00000002.json").read_text())
    assert 0 <= seen["skip_share"] <= 1
    assert math.isfinite(seen["gap/loss"])
    assert abs(seen["gap/accuracy"]) <= 1
    assert len(seen["edge_entropy/cell"]) == 3
  if name in CURVATURE:
    assert math.isfinite(records[-1]["hessian/dominant"])
  # Run again, it computes nothing.
  monkeypatch.setattr(log.Log, "write", lambda *arguments: pytest.fail("stepped again"))
  assert search.search(config, tmp_path) == genotype


def test_the_tuning_of_a_projection_is_the_search_at_its_end(monkeypatch):
  """Penalties, perturbation and what else shapes the losses; only warm-up and rate are its own."""
  config = configs.load(
    ROOT / "configs" / "methods" / "darts_pt.py",
    {
      "search.penalties": (dict(name="beta_decay"),),
      "search.perturbation": dict(name="random_perturbation"),
    },
  )
  settings, space = settings_of(config.search), method.space_of(config)
  what = Problem(space, lambda key: ({}, {}), lambda *arguments: (0.0, ({}, {})))
  given = []
  spy = lambda *arguments, **options: given.append((arguments, options))
  monkeypatch.setattr(method.bilevel, "bilevel", spy)
  method.compose(settings, what)
  method.tuning(settings)(what)
  (_, searching), (_, tuning) = given
  names = {"steps", "edge_weights", "penalties", "perturbation", "weight_penalty", "freezing"}
  assert set(tuning) == names
  assert len(tuning["penalties"]) == 1
  assert tuning["perturbation"] is not None
  assert {*names, "warmup_steps", "pricing", "average"} == set(searching)


WRONG = {
  "config.task": {"task": "clas"},
  "config.space": {"space": {"name": "dense", "ops": ["skip_conect"], "nodes": 2}},
  "config.search.network": {"search.network": "cifarr"},
  "config.search.relaxation": {"search.relaxation": "softmaxx"},
  "config.search.hypergradient": {"search.hypergradient": "firstorder"},
  "config.search.weight_optimizer": {"search.weight_optimizer": {"name": "sgd", "lr": -1}},
  "config.search.alpha_optimizer": {"search.alpha_optimizer": {"name": "adam", "l": 1}},
  "config.search.discretize": {"search.discretize": "arg"},
  "config.search.penalties[1]": {"search.penalties": ("beta_decay", "beta")},
  "config.search.perturbation": {"search.perturbation": "adversary"},
  "config.search.freezing": {"search.freezing": {"name": "gradient_matching", "window": 0}},
  "config.search.stop": {
    "search.stop": {"name": "stop_by_eigenvalue", "window": 0},
    "search.watch": {"every_steps": 10, "hessian_steps": 3},
  },
  "config.data.augment[0]": {"data.augment": ("hflipp",)},
}


@pytest.mark.parametrize("field", WRONG)
def test_what_is_wrong_is_told_with_its_field(field):
  config = configs.load(ROOT / "configs" / "digits.py", WRONG[field])
  source = load("digits")

  def check():
    task, space = method.task_of(config, source), method.space_of(config)
    method.make(settings_of(config.search), task, space)
    runs.pipeline(config, source, 16, train=True)

  with pytest.raises(DnasError, match=f"^{re.escape(field)}: "):
    check()
