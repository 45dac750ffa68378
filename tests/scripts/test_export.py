# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The flags of scripts/export.py."""

import importlib.util

import pytest

from dnas import config as configs
from dnas.export import model


@pytest.fixture
def script(root):
  spec = importlib.util.spec_from_file_location("script_export", root / "scripts" / "export.py")
  assert spec
  assert spec.loader
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_its_outputs_are_those_there_are(script):
  assert script.OUTPUTS == model.OUTPUTS


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ([], "--workdir"),
    (["--outputs=all"], "invalid choice"),
    (["--out=a.tflite", "--measure"], "--measure needs an .onnx"),
    (["--out=a.onnx", "--outputs=raw", "--measure"], "--measure needs"),
    (["--out=a.onnx", "--images=0"], "from 1"),
  ],
)
def test_wrong_flags(script, flags, message, capsys):
  given = ["--workdir=run", *flags] if flags else []
  with pytest.raises(SystemExit):
    script.parse([*given, *(["--out=a.onnx"] if "--out" not in str(flags) else [])])
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--out=a.onx"], "did you mean '.onnx'"),
    (["--out=a.tflite"], "batch: LiteRT"),
    (["--out=a.onnx", "--batch=0"], "batch: 0"),
    (["--out=a.stablehlo", "--int8=weights"], "int8: for ONNX files only"),
  ],
)
def test_flags_are_checked_before_the_run_is_loaded(script, tmp_path, flags, message, capsys):
  with pytest.raises(SystemExit):
    script.main([f"--workdir={tmp_path}", *flags])
  assert message in capsys.readouterr().err


def test_a_folder_without_a_run(script, tmp_path, capsys):
  with pytest.raises(SystemExit):
    script.main([f"--workdir={tmp_path}", "--out=a.onnx"])
  assert "holds no weights.npz" in capsys.readouterr().err


def test_a_classifier_has_no_outputs_to_choose_from(script, root, tmp_path, capsys):
  (tmp_path / "config.json").write_text(configs.to_json(configs.load(root / "configs/digits.py")))
  for name in ("genotype.json", "weights.npz"):
    (tmp_path / name).touch()  # Nothing of them is read.
  with pytest.raises(SystemExit):
    script.main([f"--workdir={tmp_path}", "--out=a.onnx", "--outputs=raw"])
  assert "outputs: 'raw' is for detectors" in capsys.readouterr().err
