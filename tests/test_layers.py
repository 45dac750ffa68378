# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The house has floors: an import may only point down, and every file says whose it is."""

import ast
import pathlib

import pytest

# DESIGN.md's list from the top, with the modules that came later: `runs` and `task` (what the verbs
# share), and trees, lock, fields and errors in the lowest row. Those of a row may
# import each other.
FLOORS = (
  ("nas",),
  ("tables",),
  ("experiment",),
  (
    *("estimate", "search", "explore", "train", "finetune", "evaluate", "validate"),
    *("predict", "profile"),
    *("tune", "report", "export", "info"),
  ),
  ("watch", "method", "settings", "detectors", "apart"),
  ("runs", "task", "trained", "hardware", "budgeted", "models"),
  ("strategy",),
  ("nn",),
  ("cost",),
  ("detection",),
  ("data",),
  ("space",),
  (
    "checkpoint",
    "retention",
    "seal",
    "trees",
    "lock",
    "memory",
    "mesh",
    "finite",
    "preemption",
    "process",
    "log",
    "config",
    "fields",
    "errors",
  ),
)
HEIGHT = {name: len(FLOORS) - row for row, names in enumerate(FLOORS) for name in names}
# dnas itself is empty or holds the version; importing it is importing nothing.
HEIGHT["__init__"] = 0


def imported(source: str, package: tuple[str, ...]) -> set[str]:
  """The modules of dnas that a file imports, anywhere in it, as dotted paths without `dnas.`."""
  found = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      base = package[: len(package) + 1 - node.level] if node.level else ()
      path = ".".join([*base, *filter(None, [node.module])])
      # In `from dnas import log` the module is the name; below that the path is enough.
      found |= {f"{path}.{alias.name}" for alias in node.names} if path == "dnas" else {path}
  return {name.removeprefix("dnas.") for name in found if name.startswith("dnas.")}


def floor_of(module: str) -> str:
  return module.split(".")[0]


def faults(folder: pathlib.Path) -> list[str]:
  """What is wrong with the modules in `folder`, one line each."""
  lines = []
  for path in sorted(folder.rglob("*.py")):
    parts = path.relative_to(folder).with_suffix("").parts
    here = parts[0]
    if here not in HEIGHT:
      lines.append(f"{path.relative_to(folder)}: no floor for {here!r} in DESIGN.md and FLOORS")
      continue
    for module in sorted(imported(path.read_text(encoding="utf-8"), ("dnas", *parts[:-1]))):
      there = floor_of(module)
      if there not in HEIGHT:
        lines.append(f"{path.relative_to(folder)} imports dnas.{module}, which no floor has")
      elif here != "__init__" and HEIGHT[there] > HEIGHT[here]:
        lines.append(f"{path.relative_to(folder)} imports dnas.{module}, which is above it")
  return lines


def test_imports_point_down(root):
  assert faults(root / "dnas") == []


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
