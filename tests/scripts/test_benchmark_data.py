# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`scripts/benchmark.py data` measures what it says."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_small_run(root, tmp_path):
  command = [
    sys.executable, str(root / "scripts" / "benchmark.py"), "data", "--data", "digits",
    "--size", "8", "8", "--batch_size", "8", "--seconds", "0.2", "--threads", "1",
    "--step_channels", "1", "--wait_ms", "30", "--json", str(tmp_path / "out" / "x.json"),
  ]  # fmt: skip
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  figures = json.loads((tmp_path / "out" / "x.json").read_text())
  assert len(figures["throughput"]) == 5
  assert all(row["images_per_s"] > 10 for row in figures["throughput"])
  step = figures["step_ms"]
  assert 30 <= step["step that waits 30 ms: alone"] < 60
  assert step["step that waits 30 ms: and loading, no threads"] >= 30
  assert "images/s" in done.stdout


def test_bad_data(root):
  command = [sys.executable, str(root / "scripts" / "benchmark.py"), "data", "--data", "digit"]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 2
  assert done.stderr.startswith("error: unknown data set 'digit'; did you mean 'digits'?")
  assert len(done.stderr.splitlines()) == 1
