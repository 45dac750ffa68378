# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Events of a trace are summed by kind, against what the compiled program says of them."""

import subprocess
import sys

import pytest


@pytest.fixture
def trace(root, monkeypatch):
  monkeypatch.syspath_prepend(str(root / "scripts"))
  sys.modules.pop("benchmarks", None)
  from benchmarks import trace

  return trace


def test_kinds_are_summed_and_what_is_no_instruction_is_left_out(trace):
  program = """
  %add.1 = f32[2,4]{1,0} add(%a, %b)
  ROOT %add.2 = f32[8]{0} add(%c, %d), metadata={op_name="x"}
  %dot.3 = (f32[2]{0}, s8[]) dot(%a, %b)
"""
  shapes = trace.shapes(program)
  assert shapes == {"add.1": "add f32[2,4]", "add.2": "add f32[8]", "dot.3": "dot (f32[2], s8[])"}
  events = [("add.1", 1.0), ("add.2", 4.0), ("add.1", 2.0), ("dot.3", 3.0), ("python", 99.0)]
  add, dot = trace.summary(events, shapes, steps=2)
  assert add == ("add", 1.5, 3.5, "add.2: add f32[8]", 2.0)
  assert dot == ("dot", 0.5, 1.5, "dot.3: dot (f32[2], s8[])", 1.5)


@pytest.mark.slow
def test_a_step_is_traced(root):
  flags = ["--space", "nasbench201", "--channels", "4", "--batch", "4", "--steps", "1"]
  command = [sys.executable, str(root / "scripts" / "benchmark.py"), "trace", *flags]
  done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
  assert "one step:" in done.stdout
  assert "kind" in done.stdout
