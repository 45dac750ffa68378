# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The house has floors: an import may only point down, and every file says whose it is."""

import ast
import re

import pytest

import dnas
from dnas.tables import house
from dnas.tables.house import faults


def test_imports_point_down(root):
  assert faults(root / "dnas") == []


def test_the_picture_shows_the_imports(root):
  drawn = (root / "paper_results" / "quality" / "house.svg").read_text(encoding="utf-8")
  lead = house.arrows(root / "dnas")
  redraw = "the picture is old: run `python scripts/house.py`"
  names = sorted(name for floor in house.FLOORS for name in floor)
  assert sorted(re.findall(r'id="box:(\w+)"', drawn)) == names, redraw  # Each once.
  found = set(re.findall(r'id="arrow:(\w+):(\w+)"', drawn))
  assert found == {(a, b) for a, bs in lead.items() for b in bs}, redraw


def test_every_box_is_within_the_picture(root):
  (axes,) = house.draw(root / "dnas").axes
  boxes = {p.get_gid(): p.get_path().get_extents() for p in axes.patches if p.get_gid()}
  left, right = axes.get_xlim()
  bottom, top = axes.get_ylim()
  for name, box in boxes.items():
    if name.startswith("box:"):
      assert left <= box.x0, name
      assert box.x1 <= right, name
      assert bottom <= box.y0, name
      assert box.y1 <= top, name


def test_every_floor_has_what_stands_on_it(root):
  """No name of FLOORS is left of a module that is gone."""
  there = {
    p.stem for p in (root / "dnas").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()
  }
  assert there == {*house.HEIGHT}


def test_the_contents_name_every_part_from_the_top():
  names = re.findall(r"^  (\w+)  +\S", dnas.__doc__ or "", flags=re.MULTILINE)
  assert set(names) == {name for floor in house.FLOORS for name in floor}
  heights = [house.HEIGHT[name] for name in names]
  assert heights == sorted(heights, reverse=True)


def test_arrows_that_follow_are_left_out(tmp_path):
  """nn -> space follows from nn -> cost -> space; all stand on the lowest floor."""
  for name, source in {
    "nn/ops.py": "from dnas.space import cells\nfrom dnas.cost import count\nfrom dnas import log",
    "nn/mixed.py": "from dnas.nn import ops",
    "cost/count.py": "from dnas import space",
    "nas.py": "import dnas.nn.ops\nfrom dnas.data import source",
  }.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(source)
  lead = {a: bs for a, bs in house.arrows(tmp_path).items() if bs}
  assert lead == {"nas": {"nn", "data"}, "nn": {"cost"}, "cost": {"space"}}


def test_the_space_needs_the_standard_library_only(root):
  import sys

  allowed = sys.stdlib_module_names | {"dnas"}
  below = [root / "dnas" / name for name in ("errors.py", "files.py")]
  for path in [*below, *(root / "dnas" / "space").glob("*.py")]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
      names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
      if isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module or ""]
      for name in names:
        assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
        inner = name.split(".")[1] if name.startswith("dnas.") else "space"
        assert inner in ("space", "files", "errors"), name


@pytest.mark.parametrize(
  ("path", "source", "fault"),
  [
    ("space/cells.py", "from dnas.nn import ops", "imports dnas.nn, which is above it"),
    ("space/cells.py", "from dnas import nn", "imports dnas.nn, which is above it"),
    ("space/cells.py", "import dnas.strategy.bilevel", "imports dnas.strategy.bilevel"),
    ("space/cells.py", "from ..nn import ops", "imports dnas.nn, which is above it"),
    ("log.py", "def f():\n  from dnas import experiment", "imports dnas.experiment"),
    ("nn/ops.py", "from dnas import registry", "imports dnas.registry, which no floor has"),
    ("utils.py", "", "no floor for 'utils'"),
    ("helpers/x.py", "", "no floor for 'helpers'"),
  ],
)
def test_the_test_finds_what_it_should(tmp_path, path, source, fault):
  (tmp_path / path).parent.mkdir(exist_ok=True)
  (tmp_path / path).write_text(source)
  (line,) = faults(tmp_path)
  assert fault in line


@pytest.mark.parametrize(
  ("path", "source"),
  [
    ("nn/network.py", "from dnas.space import cells\nfrom dnas.nn import ops\nimport dnas.log"),
    ("nn/network.py", "from . import ops\nfrom .ops import MixedOp\nimport jax"),
    ("train.py", "from dnas import checkpoint, log, mesh"),
  ],
)
def test_the_test_lets_good_imports_pass(tmp_path, path, source):
  (tmp_path / path).parent.mkdir(exist_ok=True)
  (tmp_path / path).write_text(source)
  assert faults(tmp_path) == []


# Files of tests that hold all modules, or all configs, to something.
WHOLE = {"layers", "readme", "doctests", "configs", "methods", "devices", "disks", "untrusted"}
# Of tests/nn: against PyTorch.
TOGETHER = WHOLE | {"conftest", "nn/torch", "scripts/flags"}


def test_tests_mirror_the_package(root):
  """tests/a/test_b.py is of dnas/a/b.py, or of the package a/b or a; test_b_c.py of a part of it.

  Those of tests/scripts are of scripts/.
  """
  there = {"scripts/launch", "export/export"}
  for folder in ("dnas", "scripts"):
    base = root / folder if folder == "dnas" else root
    files = (root / folder).rglob("*.py")
    there |= {str(path.relative_to(base).with_suffix("")) for path in files}
  there |= {name.removesuffix("/__init__") for name in there}
  for path in sorted((root / "tests").rglob("test_*.py")):
    of = path.parent.relative_to(root / "tests") / path.stem.removeprefix("test_")
    parts = of.name.split("_")
    shorter = {str(of.with_name("_".join(parts[:n]))) for n in range(1, len(parts) + 1)}
    assert str(of) in TOGETHER or shorter & there, f"{path.relative_to(root)} is of no module"


def test_every_file_has_its_licence(root):
  header = [
    "# SPDX-FileCopyrightText: 2026 The dnas authors",
    "# SPDX-License-Identifier: Apache-2.0",
  ]
  folders = [root / name for name in ("dnas", "configs", "scripts", "tests", ".ci")]
  files = [
    path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".sh")
  ]
  assert len(files) > 10
  for path in files:
    lines = path.read_text(encoding="utf-8").splitlines()
    first = 1 if lines and lines[0].startswith("#!") else 0
    assert lines[first : first + 2] == header, f"{path.relative_to(root)}: no SPDX header"
