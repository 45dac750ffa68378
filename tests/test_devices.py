# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search computes the same on one device and on eight; batch norm is over the global batch."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import portpicker
import pytest

from dnas import log

CODE = """
import sys
import jax, jax.numpy as jnp, numpy as np
from dnas import config as configs, data, mesh, method
from dnas.method import space_of, task_of
from dnas.search import _pipeline
from dnas.settings import settings_of

config = configs.load(sys.argv[1], [
  '--config.space={"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
  '--config.search.network={"name": "detector", "channels": [4], "stem_channels": 4}',
  "--config.search.batch_size=16", "--config.search.warmup_steps=0", "--config.search.steps=4",
  *sys.argv[2:]])
source = data.load("digits", "train")
task = task_of(config, source)
made = method.make(settings_of(config.search), task, space_of(config))
streams = [iter(_pipeline(config, config.search, source, part, 0)) for part in ("weights", "alpha")]
batches = [[next(stream) for stream in streams] for _ in range(3)]
assert jax.device_count() == 8
ends = []
for devices in (jax.devices()[:1], jax.devices()):
  where = mesh.make(devices=devices)
  state = mesh.replicate(made.machine.init(jax.random.key(0)), where)
  for pair in batches:
    state, metrics = made.machine.step(state, *(mesh.shard_batch(batch, where) for batch in pair))
  assert len(state.step.sharding.device_set) == len(devices)
  assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state.alpha))
  ends.append(jax.device_get((state.params, state.stats, state.alpha, metrics)))
for one, eight in zip(*map(jax.tree.leaves, ends), strict=True):
  np.testing.assert_allclose(one, eight, rtol=2e-3, atol=2e-5)
print("equal")
"""

FIRST = '--config.search.hypergradient={"name": "first_order"}'
SECOND = '--config.search.hypergradient={"name": "unrolled"}'
SINGLE = (
  '--config.search.relaxation={"name": "straight_through",'
  ' "relaxation": {"name": "gumbel_softmax"}}'
)


@pytest.mark.slow  # The default suite has the mesh itself on eight devices: test_mesh.py.
@pytest.mark.parametrize(
  "fields",
  [
    (FIRST,),
    (SECOND,),
    (FIRST, SINGLE),
  ],
  ids=["first_order", "unrolled", "single_path"],
)
def test_a_search_on_one_device_equals_that_on_eight(root, fields):
  done = subprocess.run(
    [sys.executable, "-c", CODE, str(root / "configs" / "digits.py"), *fields],
    env={
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    },
    capture_output=True,
    text=True,
    check=False,
    timeout=200,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout == "equal\n"


SMALL = {
  "space": '{"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
  "search.network": '{"name": "detector", "channels": [4], "stem_channels": 4}',
  "search.batch_size": 16,
  "search.warmup_steps": 2,
  "search.steps": 8,
  "search.accumulate": 2,
  "search.watch.every_steps": 0,
  "train.network": "None",
  "train.steps": 6,
  "train.batch_size": 16,
  "train.accumulate": 2,
  "checkpoint.every_steps": 4,
}


def command(root: pathlib.Path, script: str, workdir: pathlib.Path, **fields) -> list[str]:
  fields = SMALL | {name.replace("__", "."): value for name, value in fields.items()}
  flags = [f"--config.{name}={value}" for name, value in fields.items()]
  path = str(root / "scripts" / script)
  config = f"--config={root / 'configs' / 'digits.py'}"
  return [sys.executable, path, config, f"--workdir={workdir}", *flags]


def start(command: list[str], devices: int = 1, **environment: str) -> subprocess.Popen:
  flags = f"--xla_force_host_platform_device_count={devices}"
  return subprocess.Popen(
    command,
    env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def start_two(command: list[str]) -> list[subprocess.Popen]:
  address = {"JAX_COORDINATOR_ADDRESS": f"localhost:{portpicker.pick_unused_port()}"}
  return [start(command, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID=str(i), **address) for i in range(2)]


def finish(*processes: subprocess.Popen) -> None:
  for process in processes:
    said, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, said[-3000:]


def check_same(one: pathlib.Path, other: pathlib.Path) -> None:
  """Genotypes are equal, and metrics to what sums in another order allow."""
  for path in one.rglob("genotype.json"):
    assert path.read_text() == (other / path.relative_to(one)).read_text()
  for path in one.rglob("metrics.jsonl"):
    for a, b in zip(log.read(path), log.read(other / path.relative_to(one)), strict=True):
      assert a.keys() == b.keys()
      for name, value in a.items():
        np.testing.assert_allclose(b[name], value, rtol=5e-3, atol=5e-4, err_msg=name)


@pytest.mark.slow
def test_seeds_split_over_devices_equal_seeds_on_one(root, tmp_path):
  fields = {"seeds": 4}
  finish(start(command(root, "search.py", tmp_path / "one", **fields)))
  split = {"mesh__seed": 4, "mesh__data": 2}
  finish(start(command(root, "search.py", tmp_path / "eight", **fields, **split), devices=8))
  assert len(list((tmp_path / "one").rglob("seeds/*/genotype.json"))) == 4
  check_same(tmp_path / "one", tmp_path / "eight")


@pytest.mark.slow
def test_a_seed_in_each_of_two_processes_sees_whole_batches(root, tmp_path):
  fields = {"seeds": 2}
  finish(start(command(root, "search.py", tmp_path / "one", **fields)))
  finish(*start_two(command(root, "search.py", tmp_path / "two", **fields, mesh__seed=2)))
  assert len(list((tmp_path / "two").rglob("seeds/*/genotype.json"))) == 2
  check_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_equal_one_and_go_on_where_one_was_killed(root, tmp_path):
  finish(start(command(root, "run.py", tmp_path / "one")))
  finish(*start_two(command(root, "run.py", tmp_path / "two")))
  check_same(tmp_path / "one", tmp_path / "two")
  assert (tmp_path / "two" / "result.json").exists()
  assert not list((tmp_path / "two").rglob("*.tmp"))
  # A checkpoint of two processes is read by one, and the other way round.
  fields = {"search__steps": 2000, "checkpoint__every_steps": 20}
  long = command(root, "search.py", tmp_path / "killed", **fields)
  first, second = start_two(long)
  try:
    saved = tmp_path / "killed" / "checkpoints" / "20"
    limit = time.monotonic() + 1200
    while not saved.exists():
      assert time.monotonic() < limit
      assert first.poll() is None
      time.sleep(0.1)
    second.kill()
    killed_at = time.monotonic()
    said, _ = first.communicate(timeout=90)
    assert time.monotonic() - killed_at < 60
    # JAX's own service says so where the process was not in the middle of a collective.
    assert first.returncode != 0
    assert "another process of this run has ended" in said or "another task died" in said, said
  finally:
    for process in (first, second):
      process.kill()
      process.communicate()
  alone = start(long)
  try:
    for line in alone.stdout or ():
      if "resumed at step" in line:
        break
    else:
      raise AssertionError("did not resume")
  finally:
    alone.kill()
    alone.communicate()


LATE = """
import time
import jax
from dnas import mesh, process

with process.running():
  if jax.process_index():
    time.sleep(33)
  mesh.meet("the first collective of this program")
"""


@pytest.mark.slow
def test_a_process_may_compile_for_longer_than_gloo_waits_for_a_connection():
  finish(*start_two([sys.executable, "-c", LATE]))


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_saves_in_both(root, tmp_path):
  fields = {"search__steps": 20000, "checkpoint__every_steps": 20}
  two = start_two(command(root, "search.py", tmp_path, **fields))
  try:
    while not (tmp_path / "checkpoints" / "20").exists():
      assert [process.poll() for process in two] == [None, None]
      time.sleep(0.1)
    two[1].send_signal(signal.SIGTERM)
    for process in two:
      said, _ = process.communicate(timeout=300)
      assert process.returncode == 75, said
      assert "at SIGTERM; start the same command lines again" in said
  finally:
    for process in two:
      process.kill()
      process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(SECOND,), (FIRST, SINGLE)], ids=["unrolled", "single_path"])
def test_a_search_of_two_processes_equals_that_of_one(root, tmp_path, flags):
  finish(start([*command(root, "search.py", tmp_path / "one"), *flags]))
  finish(*start_two([*command(root, "search.py", tmp_path / "two"), *flags]))
  check_same(tmp_path / "one", tmp_path / "two")
