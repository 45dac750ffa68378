# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, read-only or gone: real ones, in memory, where this process may mount them.

(`test_runs.py` has the same faults without mounts, by limits on the size of files.)
"""

import os
import pathlib
import subprocess
import sys

import pytest

RUN = """
import dataclasses, os, pathlib, subprocess, sys, time
import jax, jax.numpy as jnp
from dnas import config as configs, data, runs
from dnas.data.pipeline import Pipeline
from dnas.errors import one_line_errors
from dnas.finite import skip_unless_finite

workdir, root, act = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]

@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  w: jax.Array
  step: jax.Array

@jax.jit
def move(state):
  new = State(state.w + 1, state.step + 1)
  return skip_unless_finite(state, new, {"loss": state.w[0]}, "loss")

def step(i, state, batch):
  if i == 5 and act:
    while not (workdir / "checkpoints" / "4").exists():  # It is saved beside the loop.
      time.sleep(0.01)
    time.sleep(1)
    if act == "full":
      file = open(workdir.parent / "filler", "wb", buffering=0)
      try:
        while True:
          file.write(bytes(4096))
      except OSError:
        pass
    elif act == "gone":
      subprocess.run(["umount", "--lazy", str(workdir.parent)], check=True)
  return move(state)

config = configs.load(root + "/configs/digits.py", {"checkpoint.every_steps": 4})
pipeline = Pipeline(source=data.load("digits", "train"), batch_size=4, size=(8, 8), train=True,
                    threads=0)
with one_line_errors(), runs.folder(workdir, config, ("seed",)):
  state = runs.loop(workdir, "run", State(jnp.zeros(2000), jnp.int32(0)), step,
                    {"train": pipeline}, config, steps=40, lowers="loss")
  print("end", float(state.w[0]))
"""


@pytest.fixture
def disk(tmp_path):
  """A file system of 2 MiB in memory. It skips where mounting is not allowed."""
  folder = tmp_path / "disk"
  folder.mkdir()
  done = subprocess.run(
    ["mount", "-t", "tmpfs", "-o", "size=2m", "dnas-test", str(folder)],
    capture_output=True,
    check=False,
  )
  if done.returncode:
    pytest.skip("this process may not mount a file system")
  yield folder
  while folder.is_mount():
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(root: pathlib.Path, workdir: pathlib.Path, act: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-c", RUN, str(workdir), str(root), act],
    capture_output=True,
    text=True,
    check=False,
    timeout=600,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
  )


@pytest.mark.slow
@pytest.mark.parametrize("act", ["full", "gone"])
def test_a_disk_that_fails_is_one_line_and_costs_nothing_that_was_saved(root, disk, act):
  done = run(root, disk / "run", act)
  assert done.returncode == 2, done.stderr
  last = done.stderr.splitlines()[-1]
  assert last.startswith("error: "), done.stderr  # Orbax' thread may say more before it.
  words = {"full": "No space left", "gone": "cannot|deleted|No such"}[act]
  assert any(word in last for word in words.split("|")), last
  if act == "full":
    (disk / "filler").unlink()
  again = run(root, disk / "run", "")
  assert again.returncode == 0, again.stderr
  assert "end 40.0" in again.stdout
  assert ("resumed at step 4 of 40" in again.stdout) == (act != "gone")


@pytest.mark.slow
def test_a_read_only_disk_is_one_line(root, disk):
  # (While files are open for writing the kernel refuses to make a disk read-only.)
  subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
  done = run(root, disk / "run", "")
  assert done.returncode == 2, done.stderr
  assert "Read-only" in done.stderr.splitlines()[-1]
  assert "Traceback" not in done.stderr
