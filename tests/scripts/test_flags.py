# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A flag that is wrong or would do nothing is an error, in every script, before it computes."""

import importlib.util
import sys

import pytest

RUN = ["--config", "configs/digits.py"]
TABLE = ["--table", "table.json"]
EXPORT = ["--workdir", "run", "--out", "a.onnx"]
LATENCY, ENERGY = ["latency", *RUN, "--out", "a.json"], ["energy", *RUN, "--genotype", "DARTS_V2"]
MODEL = ["--model", "run"]

IGNORED = [
  ("data", ["--data", "digits", "--count", "3"], "--count is of the contact sheet: give --out"),
  ("data", ["--data", "digits", "--seed", "0"], "--seed is of the contact sheet: give --out"),
  ("data", ["--data", "digits", "--headers_only"], "--headers_only is of coco and yolo, not of"),
  ("data", ["--data", "a.yaml", "--data_dir", "d"], "--data_dir is of tfds, not of --data a.yaml"),
  ("data", ["--data", "tfds:a:1.0.0", "--cache", "c"], "--cache is of digit_scenes, not of"),
  ("explore", [*TABLE, "--reward", "{}"], "--reward is of the score and a cost: give --cost"),
  ("explore", [*TABLE, "--devices", "a.csv.gz"], "--devices holds costs, of which --cost names"),
  ("explore", [*TABLE, "--allow_pickle"], "--allow_pickle is for a .pickle of --devices"),
  ("export", [*EXPORT, "--calibration", "64"], "--calibration belongs to --int8 activations"),
  (
    "export",
    [*EXPORT, "--int8", "weights", "--calibration", "9"],
    "--calibration belongs to --int8 activations",
  ),
  ("predict", [*MODEL, "--source", "a.jpg", "--json", "--out", "b"], "and --json draws nothing"),
  ("profile", [*LATENCY, "--genotype", "a"], "--genotype does nothing for latency"),
  ("profile", [*LATENCY, "--seconds", "3"], "--seconds does nothing for latency"),
  (
    "profile",
    [*ENERGY, "--out", "a.json"],
    "--out does nothing for energy, which takes --genotype",
  ),
  ("profile", [*ENERGY, "--seconds", "0"], "--seconds must be above 0, got 0"),
  ("report", ["run", "--port", "8311"], "--port belongs to --serve"),
  ("report", ["run", "--serve", "--out", "a.html"], "--out is of a file, and --serve writes none"),
  ("report", ["run", "--serve", "--port", "70000"], "--port must be 0 (any that is free) to 65535"),
  ("reproduce", ["planted", "--list"], "--list lists all tables: TABLE does nothing there"),
  ("reproduce", ["--seeds", "3"], "without a TABLE the tables are listed: --seeds does nothing"),
  ("reproduce", ["--config.seed=1"], "--config.FIELD=VALUE does nothing there"),
  ("soak", ["--every", "60", "--seed", "0"], "--seed is of moments at random, and --every sets"),
  ("benchmark", ["step", "--rounds", "3"], "--rounds belongs to --against"),
  ("benchmark", ["step", "--derived", "--relaxation", "softmax"], "and --derived has none"),
]


WRONG = [
  ("explore", [*TABLE, "--budget", "0"], "--budget: must be a whole number, 1 or more, got '0'"),
  ("planted", ["--seeds", "-1"], "--seeds: must be a whole number, 1 or more, got '-1'"),
  ("soak", ["--kills", "none"], "--kills: must be a whole number, 1 or more, got 'none'"),
  ("soak", ["--every", "0"], "--every must be above 0, got 0"),
  ("benchmark", ["step", "--steps", "0"], "--steps: must be a whole number, 1 or more, got '0'"),
  ("benchmark", ["data", "--seconds", "0"], "--seconds must be above 0, got 0"),
]
RUNS = {
  "--workdir": [
    *(("run", RUN), ("search", RUN), ("train", RUN), ("evaluate", RUN), ("explore", TABLE)),
    *(("tune", [*RUN, "--space", "a", "--trials", "3"]), ("reproduce", ["planted"])),
    *(("soak", []), ("quality", [])),
  ],
  "--out": [
    *(("predict", [*MODEL, "--source", "a"]), ("val", [*MODEL, "--data", "digits"])),
    *(("scale", ["run"]), ("reproduce", ["planted"]), ("soak", []), ("quality", [])),
  ],
}


@pytest.fixture
def main(root, monkeypatch):
  """Runs a script with flags, as from the command line."""
  monkeypatch.syspath_prepend(root / "scripts")

  def run(name, words):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    spec = importlib.util.spec_from_file_location(f"script_{name}", root / f"scripts/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()

  return run


@pytest.mark.parametrize(("name", "words", "message"), IGNORED + WRONG)
def test_a_wrong_flag_is_one_line(main, name, words, message, capsys):
  with pytest.raises(SystemExit) as ended:
    main(name, words)
  assert ended.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: ")
  assert message in line


@pytest.mark.parametrize(
  ("flag", "name", "words"),
  [(flag, name, words) for flag, scripts in RUNS.items() for name, words in scripts],
)
@pytest.mark.parametrize("inside", ["", "run"])
def test_a_file_where_a_folder_should_be(main, flag, name, words, inside, tmp_path, capsys):
  file = tmp_path / "file"
  file.touch()
  with pytest.raises(SystemExit) as ended:
    main(name, [*words, flag, str(file / inside)])
  assert ended.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: argument {flag}: {file} is a file; valid: a folder")


def test_a_folder_without_a_genotype_to_train(main, root, tmp_path, capsys):
  config = ["--config", str(root / "configs" / "digits.py"), "--workdir", str(tmp_path)]
  for words, message in (
    ([], f"--workdir {tmp_path} holds no genotype.json to train: search first"),
    (["--genotype", "absent.json"], "--genotype: genotype: 'absent.json' is neither a file"),
  ):
    with pytest.raises(SystemExit) as ended:
      main("train", [*config, *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
