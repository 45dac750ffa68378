# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Freed memory is kept from step to step, and what a compilation has left goes back."""

import json
import subprocess
import sys

import pytest

CODE = """
import ctypes, json, pathlib
import jax
from dnas import memory

def resident():
  lines = pathlib.Path("/proc/self/status").read_text().splitlines()
  return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) >> 10

def use_and_free():
  blocks = [ctypes.create_string_buffer(2**20) for _ in range(300)]
  last = ctypes.create_string_buffer(2**20)  # So that the heap does not end with what is freed.
  return last

found = {"kept": memory.keep()}
start = resident()
held = use_and_free()
found["after"] = resident() - start
memory._LONG_S = 100.0
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
found["after a short compilation"] = resident() - start
memory._LONG_S = 0.0
jax.jit(lambda x: x + 2)(1.0).block_until_ready()
found["after a long one"] = resident() - start
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is for glibc, so for Linux")
def test_memory_is_kept_but_for_what_a_long_compilation_has_left():
  done = subprocess.run(
    [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=200
  )
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)
  assert found["kept"]
  assert found["after"] > 280
  assert found["after a short compilation"] > 280
  assert found["after a long one"] < 100
