# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, and one line with exit code 2 for anything wrong."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from dnas.space import cells, genotypes, macro

SMALL = ["--channels", "4", "--layers", "3"]


@pytest.fixture(scope="module")
def script(root):
  spec = importlib.util.spec_from_file_location("info_script", root / "scripts" / "info.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def run(script, capsys, monkeypatch):
  monkeypatch.setattr(sys, "path", list(sys.path))

  def call(*arguments):
    """(exit code, stdout, stderr)"""
    try:
      script.main(list(arguments))
      code = 0
    except SystemExit as exit_:
      code = exit_.code
    return code, *capsys.readouterr()

  return call


def test_published_costs_as_a_command(root, tmp_path):
  """As a stranger runs it, from another folder; parameters with the head, MACs without."""
  command = [sys.executable, str(root / "scripts" / "info.py"), "--genotype", "DARTS_V2"]
  command += ["--network", "cifar", "--channels", "36", "--layers", "20", "--classes", "10"]
  command += ["--auxiliary", "--json"]
  environment = os.environ | {"PYTHONPATH": str(root)}
  result = subprocess.run(
    command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
  )
  found = json.loads(result.stdout)
  assert (found["params"], found["macs"]) == (3_825_768, 528_359_040)
  assert result.stderr == ""


def test_table(run):
  code, out, _ = run("--genotype", "DARTS_V1", *SMALL)
  assert code == 0
  assert "DARTS_V1: genotype" in out
  assert "network: cifar, 4 channels, 3 cells; 10 classes, image 32 x 32 px" in out
  totals = [line.split() for line in out.splitlines() if line.startswith("total")]
  assert len(totals) == 2
  assert totals[0] == totals[1]
  assert "sep_conv_3x3" in out


def test_all_formats_give_the_same(run, tmp_path):
  darts = macro.cifar(genotypes.published("PDARTS"), 4, 3)
  (tmp_path / "own.json").write_text(darts.to_json())
  (tmp_path / "darts.json").write_text(json.dumps(genotypes.to_darts(darts)))
  found = [
    json.loads(run("--genotype", name, "--network", "cifar", *SMALL, "--json")[1])
    for name in ("PDARTS", str(tmp_path / "own.json"), str(tmp_path / "darts.json"))
  ]
  assert found[0] == found[1] == found[2]
  own = json.loads(run("--genotype", str(tmp_path / "own.json"), "--json")[1])
  assert own == found[0], "without --network, the stages in the file"


def test_nasbench201_string_and_file(run, tmp_path):
  text = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
  (tmp_path / "cell.txt").write_text(text + "\n")
  expected = {"params": 559_386, "macs": 78_561_920}
  for name, flags in (
    (text, []),
    (str(tmp_path / "cell.txt"), ["--network", "nasbench201", "--layers", "5"]),
  ):
    found = json.loads(run("--genotype", name, *flags, "--classes", "10", "--json")[1])
    assert {key: found[key] for key in expected} == expected


def test_stages_of_a_file(run, tmp_path):
  """A detector's genotype is in neither published network."""
  space = macro.detector(cells.dense(("nor_conv_1x1",), nodes=1), (4, 6), stem_channels=4)
  (tmp_path / "g.json").write_text(space.to_json())
  code, out, _ = run("--genotype", str(tmp_path / "g.json"), "--image_size", "64")
  assert code == 0
  assert "own stages; 10 classes, image 64 x 64 px" in out
  assert "1 x down, 6 channels, stride 2" in out


def test_supernets(run):
  found = json.loads(run("--space", "nasbench201", "--supernet", "--json")[1])
  assert found["params"] == 395_482
  found = json.loads(
    run("--space", "darts", "--supernet", "--channels", "8", "--layers", "5", "--json")[1]
  )
  assert found["params"] == 394_210


def test_space_alone(run):
  found = json.loads(run("--space", "darts", "--json")[1])
  assert found["size"] == 1_037_664_180**2
  assert "params" not in found
  code, out, _ = run("--space", "robust_s2")
  assert code == 0
  assert "normal  46,080 genotypes" in out


def test_operations_of_ones_own_in_the_present_folder(run, tmp_path, monkeypatch):
  (tmp_path / "my_info_ops.py").write_text(
    "from dnas.nn.layers import Conv\n"
    "def wide(c_in, c_out, stride, *, affine, rngs):\n"
    "  return Conv(c_in, c_out, 5, stride, rngs=rngs)\n"
  )
  monkeypatch.chdir(tmp_path)
  code, out, _ = run("--genotype", "|my_info_ops.wide~0|", "--channels", "4", "--layers", "1")
  assert code == 0
  assert "my_info_ops.wide" in out


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ("", "one of the arguments --genotype --space --model is required"),
    ("--genotype DARTS_V9", "'DARTS_V9' is neither a file nor a published genotype (DARTS_V1, "),
    ("--genotype setup.cfg", "setup.cfg: not JSON"),
    ("--genotype .", "'.' is neither a file nor"),
    ("--genotype |a~0|", "unknown name in dnas.nn.ops: 'a'. Valid: avg_pool_3x3"),
    ("--genotype |os.system~0|", "'os.system' is in Python's standard library"),
    ("--genotype |a~1|", "node 1: must list the inputs [0], got [1]"),
    ("--genotype DARTS_V2 --network mnist", "unknown network 'mnist'. Valid: cifar, imagenet"),
    ("--genotype DARTS_V2 --network nasbench201", "this network needs a cell 'cell', got ['norm"),
    ("--genotype DARTS_V2 --channels 0", "--channels: must be a whole number from 1 to a million"),
    ("--genotype DARTS_V2 --layers x", "--layers: must be a whole number"),
    ("--genotype DARTS_V2 --layers 2", "layers: must be 3 or more"),
    ("--genotype DARTS_V2 --classes 1.5", "--classes: must be a whole number"),
    ("--genotype DARTS_V2 --image_size 99999999999", "--image_size: must be a whole number"),
    ("--genotype DARTS_V2 --channels 70000", "stages[0].channels: must be 1 to 65536, got 70000"),
    ("--genotype DARTS_V2 --supernet", "--supernet needs --space"),
    ("--genotype DARTS_V2 --space darts", "not allowed with argument --genotype"),
    ("--genotype DARTS_V2 --chan 4", "unrecognized arguments: --chan 4"),
    ("--space dartz", "'dartz'; did you mean 'darts'?"),
    ("--space darts --channels 8", "--channels of a space is the supernet's: add --supernet"),
    ("--space darts --supernet --network nasbench201", "this network needs a cell 'cell'"),
  ],
)
def test_wrong_arguments_are_one_line_and_code_2(run, root, monkeypatch, arguments, message):
  monkeypatch.chdir(root)
  code, out, error = run(*arguments.split())
  assert code == 2
  assert out == ""
  assert error.count("\n") == 1
  assert error.startswith("error: ")
  assert message in error


def test_wrong_files_are_one_line_and_code_2(run, tmp_path):
  text = cells.darts().to_json()
  for content, message in (
    (text, "still holds choices in ['normal', 'reduce']; name it as a space"),
    (text.replace('"src": 0', '"src": true', 1), "cells.normal.edges[0].src: must be 0 or more"),
    ("{", "not JSON"),
  ):
    (tmp_path / "g.json").write_text(content)
    code, _, error = run("--genotype", str(tmp_path / "g.json"))
    assert code == 2
    assert error.count("\n") == 1
    assert f"{tmp_path / 'g.json'}: " in error
    assert message in error


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_counting_starts_no_device(root, space):
  """The command runs beside a training that holds the GPU: it must not even look for one."""
  code = (
    f"import sys; sys.argv = ['info.py', '--space', {space!r}, '--supernet', '--channels', '2'];"
    f"sys.path.insert(0, {str(root)!r});"
    f"exec(open({str(root / 'scripts' / 'info.py')!r}).read());"
    "from jax._src import xla_bridge; print(list(xla_bridge._backends))"
  )
  result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_published_models(run):
  code, out, _ = run("--model", "yolo_nas_s", "--json")
  assert code == 0
  found = json.loads(out)
  assert (found["params_with_placeholders"], found["macs_fused"]) == (19_053_888, 15_898_624_000)
  code, out, _ = run("--model", "yolo_nas_s", "--classes", "3", "--image_size", "64")
  assert code == 0
  assert "3 classes" in out
  assert "64 x 64 px" in out


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--model", "yolo_nas_xs"], "unknown model 'yolo_nas_xs'"),
    (["--model", "yolo_nas_s", "--layers", "3"], "--layers is not for --model"),
    (["--model", "yolo_nas_s", "--image_size", "100"], "multiples of 32 px, got 100 x 100"),
  ],
)
def test_wrong_models(run, flags, message):
  code, _, err = run(*flags)
  assert code == 2
  assert message in err
