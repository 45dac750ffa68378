# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A found detector scaled to a family: any genotype, a run's folder, the files and the table."""

import csv
import importlib.util
import random

import pytest

from dnas import config as configs
from dnas import task as tasks
from dnas.errors import DnasError
from dnas.space import cells, genotypes, macro, mbconv, yolo_nas
from dnas.space.space import SearchSpace
from dnas.tables import family

FOUND = macro.detector(
  cells.nasbench201().sample(random.Random(0)), channels=(8, 8), stem_channels=8
)


@pytest.fixture
def run_folder(root, tmp_path):
  """What a run of the quickstart leaves, small."""
  config = configs.load(
    root / "configs" / "quickstart.py",
    {"data.size": (32, 48), "task.strides": (4, 8), "task.neck_channels": 8},
  )
  folder = tmp_path / "run"
  folder.mkdir()
  (folder / "config.json").write_text(configs.to_json(config))
  (folder / "genotype.json").write_text(FOUND.to_json())
  return folder


def test_a_run_keeps_its_task(run_folder):
  genotype, fields, image = family.read(str(run_folder))
  assert genotype == FOUND
  assert image == (32, 48)
  small, large = family.members(genotype, fields, image, {"S": 0, "L": 2})
  assert (small.genotype, small.image, small.fields["neck_channels"]) == (FOUND, (32, 48), 8)
  # 1.15^2 = 1.32: 42 and 63 px to multiples of 8; 1.21 * 8 channels stay 8 by the rule
  assert large.image == (40, 64)
  assert [stage.repeats for stage in large.genotype.stages] == [1, 2, 1, 2]
  assert large.fields["strides"] == small.fields["strides"]
  costs = [tasks.cost(m.task(("a", "b")), m.genotype) for m in (small, large)]
  assert costs[0].macs < costs[1].macs


def test_a_genotype_with_a_config(root, run_folder):
  config = str(root / "configs" / "quickstart.py")
  genotype, fields, image = family.read(str(run_folder / "genotype.json"), config)
  assert genotype == FOUND
  assert (image, fields.neck_channels, tuple(fields.strides)) == ((96, 96), 32, (4, 8, 16))
  with pytest.raises(DnasError, match="a run has its own config"):
    family.read(str(run_folder), config)
  with pytest.raises(DnasError, match="of a classifier"):
    family.read(str(run_folder / "genotype.json"), str(root / "configs" / "digits.py"))


@pytest.mark.parametrize(
  "genotype",
  [
    pytest.param(genotypes.published("DARTS_V2"), marks=pytest.mark.slow),
    cells.nasbench201().sample(random.Random(3)),
    pytest.param(mbconv.efficientnet_b0(), marks=pytest.mark.slow),
    pytest.param(yolo_nas.genotype("yolo_nas_s"), marks=pytest.mark.slow),
  ],
)
def test_any_genotype_has_a_family(genotype, tmp_path):
  (tmp_path / "found.json").write_text(genotype.to_json())
  found, fields, image = family.read(str(tmp_path / "found.json"))
  members = family.members(found, fields, image, {"S": 0, "M": 1})
  params = [tasks.cost(m.task(("a",)), m.genotype).params for m in members]
  assert params[0] < params[1]
  assert members[1].image == (736, 736)


def test_classes_are_those_of_the_run(run_folder):
  (run_folder / "classes.json").write_text('["cat", "dog"]')
  assert family.classes_of(str(run_folder)) == ("cat", "dog")
  assert len(family.classes_of(str(run_folder / "genotype.json"))) == 80


@pytest.fixture
def script(root):
  spec = importlib.util.spec_from_file_location("scale_script", root / "scripts" / "scale.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize(
  ("genotype", "name"),
  [
    ("DARTS_V2", "DARTS_V2"),
    ("found/mine.json", "mine"),
    *((f"runs/first{end}", "first") for end in ("", "/genotype.json", "/train/genotype.json")),
    ("genotype.json", "first"),
    ("|nor_conv_3x3~0|+|none~0|skip_connect~1|", "nor_conv_3x3_0_none_0_skip_connect_1"),
  ],
)
def test_families_do_not_overwrite_each_other(script, genotype, name, tmp_path, monkeypatch):
  (tmp_path / "first").mkdir()
  monkeypatch.chdir(tmp_path / "first")
  assert script.name_of(genotype) == name


def test_what_is_passed_to_the_table(script, monkeypatch):
  passed = {}
  make = lambda what, out, **options: passed.update(options, out=out) or []
  monkeypatch.setattr(family, "make", make)
  script.main(["runs/first"])
  assert (passed["classes"], str(passed["out"])) == (None, "families/first")


@pytest.mark.parametrize(("phi", "shown"), [("0,99", "0,99"), ("one", "one"), ("nan", "nan")])
def test_wrong_coefficients(script, phi, shown, capsys):
  with pytest.raises(SystemExit):
    script.main(["DARTS_V2", "--phi", phi])
  assert f"--phi: takes numbers from -4 to 10 with commas between, got {shown!r}" in (
    " ".join(capsys.readouterr().err.split())
  )


@pytest.mark.slow
def test_the_script(script, run_folder, tmp_path, capsys):
  out = tmp_path / "family"
  flags = ["--classes", "2", "--phi", "0,2", "--rounds", "2", "--out", str(out)]
  script.main([str(run_folder), *flags])
  rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
  assert [row["size"] for row in rows] == ["S", "M"]
  assert all(float(row["latency ms"]) > 0 for row in rows)
  assert SearchSpace.from_json((out / "S.json").read_text()) == FOUND
  told = (out / "README.md").read_text()
  assert f"--genotype {out}/M.json --workdir runs/M" in told
  assert "--config.task.neck_channels=NECK" in told
  assert "genotypes and table are in" in capsys.readouterr().out
  with pytest.raises(SystemExit):
    script.main([str(run_folder), "--phi", "11"])
  assert "--phi" in capsys.readouterr().err


def test_errors(root, tmp_path):
  with pytest.raises(DnasError, match="a run's folder holds genotype"):
    family.read(str(tmp_path))
  digits = configs.load(root / "configs" / "digits.py")
  (tmp_path / "config.json").write_text(configs.to_json(digits))
  (tmp_path / "genotype.json").write_text(FOUND.to_json())
  with pytest.raises(DnasError, match="of a classifier"):
    family.read(str(tmp_path))
  (tmp_path / "space.json").write_text(mbconv.fbnet().to_json())
  with pytest.raises(DnasError, match="still holds choices in"):
    family.read(str(tmp_path / "space.json"))
