# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What the README shows works: its Python runs, its commands name files that exist."""

import re
import shlex
import subprocess

import pytest

from dnas import config as configs
from dnas import search
from dnas.tables import catalogue


@pytest.fixture(scope="module")
def readme(root):
  return (root / "README.md").read_text(encoding="utf-8")


def blocks(readme: str, language: str) -> list[str]:
  return re.findall(rf"```{language}\n(.*?)```", readme, flags=re.DOTALL)


def commands(readme: str) -> list[list[str]]:
  """The commands of all shell blocks, continued lines joined and comments left out."""
  text = "\n".join(blocks(readme, "bash")).replace("\\\n", " ")
  return [shlex.split(line, comments=True) for line in text.splitlines() if line.strip()]


def test_commands_name_what_exists(readme, root):
  for words in commands(readme):
    for word in words:
      if word.startswith(("scripts/", "configs/")):
        assert (root / word).is_file(), word


def test_every_field_that_is_set_can_be_set(readme, root):
  """In the commands each with its own config, in the text with one that has such a field."""
  text = re.sub(r"```.*?```", "", readme, flags=re.DOTALL)
  inline = re.findall(r"`([^`]*--config\.[^`]*=[^`]+)`", text)
  runs = [shlex.split(text) for text in inline] + commands(readme)
  loaded = []
  for words in runs:
    fields = [word for word in words if re.match(r"--config\.[\w.]+=.", word)]
    black_box = any("elsewhere" in field for field in fields)
    default = "configs/strategies/random_search.py" if black_box else "configs/quickstart.py"
    file = words[words.index("--config") + 1] if "--config" in words else default
    if fields and (root / file).is_file():
      configs.load(root / file, fields)
      loaded += fields
  assert {"--config.search.steps=600", '--config.cost={"latency_ms": 5.0}'} <= set(loaded)
  assert len(loaded) >= 6


def test_what_needs_data_that_are_not_here_is_marked(readme, root):
  rows = [line for line in readme.splitlines() if re.match(r"\| `[\w/*]+\.py", line)]
  for path in (root / "configs").glob("*.py"):
    (row,) = [row for row in rows if f"`{path.name}`" in row]
    marked = f"`{path.name}` †" in row or "all †" in row
    assert marked == configs.load(path).data.spec.startswith(("coco:", "tfds:")), path.name
  for name, table in catalogue.tables(root).items():
    if (found := re.search(rf"\(paper_results/{name}\)( †)?[:,]", readme)) and name != "export":
      assert bool(found[1]) == (table.data not in ("none", "embedded")), name


def test_own_operation_and_relaxation(readme, root, user_folder, monkeypatch):
  """The lab's file is saved as the README shows it, and its command line searches with it."""
  source = next(block for block in blocks(readme, "python") if block.startswith("# my_lab.py"))
  (user_folder / "my_lab.py").write_text(source)
  monkeypatch.chdir(user_folder)
  words = next(words for words in commands(readme) if "my_lab" in str(words))
  small = [
    "--config.search.network={'name': 'detector', 'channels': (4,), 'stem_channels': 4}",
    "--config.search.steps=3",
    "--config.search.warmup_steps=1",
    "--config.search.batch_size=8",
  ]
  arguments = [str(root / w) if w.startswith("configs/") else w for w in [*words[2:], *small]]
  config, workdir, _ = configs.command_line("", arguments)
  genotype = search.search(config, workdir)
  ops = {edge.ops[0] for edge in genotype.cells["cell"].edges}
  assert ops <= {"skip_connect", "my_lab.gelu_conv_3x3"}


def test_python_blocks_run(readme, capsys):
  ran = [block for block in blocks(readme, "python") if not block.startswith("# my_lab.py")]
  for block in ran:
    exec(compile(block, "README.md", "exec"), {})
  printed = capsys.readouterr().out
  assert "15625" in printed
  assert "['sep_conv_3x3', 0]" in printed


def test_the_example_without_dnas_is_the_script(readme, root):
  script = (root / "scripts" / "examples" / "onnx_detect.py").read_text(encoding="utf-8")
  (shown,) = [block for block in blocks(readme, "py") if "onnxruntime" in block]
  assert script.endswith(f'"""\n\n{shown}')


def test_no_machine_paths(root):
  """Nothing in the tree says where on which machine it was written, or where packages came from."""
  files = subprocess.run(
    ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
  ).stdout.split()
  bad = re.compile(r"/work/|/root/|/home/|pypi\.org|registry\.npmjs|file:///")
  for name in files:
    path = root / name
    if path.suffix in {".py", ".md", ".sh", ".cfg", ".toml", ".json", ".csv", ".txt", ".yml"}:
      if path == root / "tests" / "test_readme.py":
        continue
      found = bad.search(path.read_text(encoding="utf-8"))
      assert not found, f"{name}: {found and found.group()}"
