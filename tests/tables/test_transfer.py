# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a method becomes on the one-shot table's search."""

import pytest

from dnas import config as configs
from dnas.fields import plain
from dnas.settings import settings_of
from dnas.tables.transfer import transfer


@pytest.fixture(scope="module")
def loaded(root):
  folder = root / "configs"
  base = configs.load(folder / "nasbench201_cifar10.py")
  return folder, configs.load(folder / "digits.py"), base


def transferred(loaded, name):
  folder, digits, base = loaded
  return transfer(configs.load(folder / "methods" / f"{name}.py"), digits, base)


def test_every_method_keeps_what_it_changes_and_gets_the_length_of_the_table(root, loaded):
  base = loaded[2]
  for path in sorted((root / "configs" / "methods").glob("*.py")):
    config = transferred(loaded, path.stem)
    settings = settings_of(config.search)
    own = settings_of(configs.load(path).search)
    assert config.data == base.data
    stages = [dict(stage) for stage in settings.stages]
    assert sum(stage["steps"] for stage in stages) == (base.search.steps if stages else 0)
    assert settings.steps == base.search.steps
    for name in ("relaxation", "hypergradient", "discretize", "projection", "penalties", "stop"):
      assert plain(settings[name]) == plain(own[name]), (path.stem, name)
    # Who stops by what is seen looks as often as in its own 300 steps.
    often = 150 if settings.stop is None else 10 * 5
    assert settings.watch.every_steps == often
    assert settings.average == (0.0 if settings.projection else base.search.average)
    assert settings.warmup_steps == (450 if path.stem == "pc_darts" else 300)  # of 1500


def test_what_single_methods_become(loaded):
  robust = transferred(loaded, "robust_darts").search
  assert (robust.weight_optimizer.weight_decay, robust.weight_optimizer.lr) == (81e-4, 0.05)
  assert robust.drop_path == 0.2
  assert transferred(loaded, "darts_es").search.watch.hessian_steps == 5
  assert transferred(loaded, "drnas").search.watch.hessian_steps == 0
  assert transferred(loaded, "pc_darts").search.supernet.partial == 4
  first, second = transferred(loaded, "drnas").search.stages
  assert (first["steps"], first["warmup_steps"], second["inherit"]) == (750, 150, True)
  plain = transferred(loaded, "darts_first_order")
  assert configs.to_json(plain) == configs.to_json(loaded[2])
