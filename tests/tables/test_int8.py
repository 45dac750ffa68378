# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The table of what 8 bits cost."""

import json

import pytest

from dnas import config as configs
from dnas.errors import DnasError
from dnas.experiment import run
from dnas.tables import int8


def test_where_runs_are(tmp_path):
  with pytest.raises(DnasError, match="no trained run is there"):
    int8.runs_in(tmp_path)
  for name in ("seed1", "seed0", "else"):
    (tmp_path / name / "train").mkdir(parents=True)
  for name in ("seed1", "seed0"):
    (tmp_path / name / "train" / "weights.npz").touch()
  assert [folder.name for folder in int8.runs_in(tmp_path)] == ["seed0", "seed1"]
  assert int8.runs_in(tmp_path / "seed1" / "train") == [tmp_path / "seed1" / "train"]


@pytest.mark.slow
def test_the_table_of_one_run(root, tiny_detector, tmp_path):
  pytest.importorskip("onnxruntime")
  config = configs.load(root / "configs" / "quickstart.py", tiny_detector)
  result = run(config, tmp_path / "run")
  try:
    rows = int8.make(tmp_path / "out", tmp_path / "run", command="test", calibration=4, checked=2)
  except DnasError as error:
    if "pip install" in str(error):
      pytest.skip(str(error))  # The converter's environment needs a network the first time.
    raise
  assert [row["network"] for row in rows] == ["JAX, float32", *int8.FILES]
  assert rows[0]["AP"] == pytest.approx(result["AP"], abs=1e-6)
  assert rows[0]["AP - AP of JAX"] == 0
  single = json.loads((tmp_path / "out" / "runs.json").read_text())["run"]
  assert single["ONNX, float32"]["error"] <= 1e-4
  assert single["ONNX, float32"]["AP"] == pytest.approx(result["AP"], abs=1e-3)
  assert (tmp_path / "out" / "table.csv").is_file()
