# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Every bit comes back, on any devices, from the newest checkpoint that is sound."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from dnas import mesh as mesh_lib
from dnas import seal, trees
from dnas.checkpoint import Checkpointer
from dnas.lock import LockError, run_lock
from dnas.trees import CheckpointError, fingerprint

# Reading a damaged file ends Orbax' event loop while TensorStore's threads still answer to it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state_of_everything(seed: int = 0):
  """A tree with each kind of leaf that a run may hold."""
  rng = np.random.default_rng(seed)
  values = rng.normal(size=(2, 3)).astype(np.float32)
  values[0, 0] = np.nan
  values[1, 1] = -0.0
  return {
    "params": {
      "kernel": jnp.asarray(values),
      "half": jnp.asarray(values, jnp.bfloat16),
      "float16": jnp.asarray(values, jnp.float16),
      "float8": jnp.asarray(values, jnp.float8_e4m3fn),
      "empty": jnp.zeros((0, 3)),
      "a.dot/and slash": jnp.ones(1),
    },
    "alpha": {"normal": (jnp.asarray(values[0]), jnp.asarray(values[1]))},
    "ints": [jnp.int32(seed), jnp.arange(3, dtype=jnp.uint8), jnp.array([True, False])],
    "layers": {0: jnp.int8(1), 1: jnp.int8(2)},
    "key": jax.random.key(seed),
    "keys": jax.random.split(jax.random.key(seed, impl="rbg"), 3),
    "raw_key": jax.random.PRNGKey(seed),
    "numpy": np.arange(3, dtype=np.float64) / 3,
    "numpy_scalar": np.float32(0.1),
    "half_numpy": np.arange(3, dtype=ml_dtypes.bfloat16),
    "count": 12345678901,
    "temperature": 0.1,
    "done": False,
    "nothing": None,
  }


def small(value: float = 0.0):
  return {"w": jnp.full((64,), value, jnp.float32), "key": jax.random.key(7)}


def checkpointer(path, **options) -> Checkpointer:
  return Checkpointer(path, say=lambda message: None, **options)


def test_every_bit_comes_back(tmp_path):
  state = state_of_everything()
  data_state = {"train": {"next_index": 3, "blob": b"\x00\xff"}, "list": [1, [b"x"]], "none": None}
  with checkpointer(tmp_path) as saving:
    assert saving.restore(state) is None
    assert saving.save(3, state, data_state)
    assert not saving.save(3, state)
  with checkpointer(tmp_path) as reading:
    step, restored, data = reading.restore(state_of_everything(seed=1))
  assert step == 3
  assert data == data_state
  assert jax.tree.structure(restored) == jax.tree.structure(state)
  for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
    assert type(new) is type(old)
    assert getattr(new, "dtype", None) == getattr(old, "dtype", None)
  assert fingerprint(restored) == fingerprint(state)
  assert fingerprint(restored) != fingerprint(state_of_everything(seed=1))
  same = jax.random.uniform(restored["keys"][1]) == jax.random.uniform(state["keys"][1])
  assert bool(same)


def test_restored_arrays_do_not_make_a_step_compile_again(tmp_path):
  traces = []

  @jax.jit
  def step(state):
    traces.append(1)
    return jax.tree.map(lambda x: x * 2, state)

  state = {"w": jnp.ones(3), "n": jnp.int32(2)}
  step(state)
  with checkpointer(tmp_path) as saving:
    saving.save(1, state)
    _, restored, _ = saving.restore(state)
  step(restored)
  assert step._cache_size() == 1
  assert len(traces) == 1


def test_the_state_may_be_donated_right_after_save(tmp_path):
  step = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
  state = {"w": jnp.zeros(500_000)}
  with checkpointer(tmp_path, keep=20) as saving:
    for index in range(1, 6):
      saving.save(index, state)
      for _ in range(3):
        state = step(state)
    for index in range(1, 6):
      _, restored, _ = saving.restore({"w": jnp.zeros(500_000)}, step=index)
      assert set(np.asarray(restored["w"]).tolist()) == {3.0 * (index - 1)}


def test_a_template_may_be_abstract_and_on_another_sharding(tmp_path):
  state = {"w": jnp.arange(8.0), "key": jax.random.key(1), "np": np.ones(2)}
  mesh = mesh_lib.make()
  like = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=mesh_lib.replicated(mesh))
  template = {"w": like(state["w"]), "key": like(state["key"]), "np": np.zeros(2)}
  with checkpointer(tmp_path) as saving:
    saving.save(1, state)
    _, restored, _ = saving.restore(template)
  assert restored["w"].sharding == mesh_lib.replicated(mesh)
  assert restored["key"].sharding.is_fully_replicated
  assert fingerprint(restored) == fingerprint(state)


def test_keep_the_newest_and_the_best(tmp_path):
  with checkpointer(tmp_path, keep=2, best_metric="accuracy") as saving:
    for step, accuracy in enumerate([0.1, 0.9, float("nan"), 0.3, 0.2], start=1):
      saving.save(step, small(step), metrics={"accuracy": accuracy, "loss": 1.0})
    saving.save(6, small(6))
    saving.wait()
    assert saving.steps() == [2, 5, 6]
    assert saving.best_step() == 2
  with checkpointer(tmp_path, keep=2, best_metric="accuracy") as saving:  # After a restart, too.
    saving.save(7, small(7), metrics={"accuracy": 0.8})
    saving.wait()
    assert saving.steps() == [2, 6, 7]
    step, state, _ = saving.restore(small(), step=saving.best_step())
  assert (step, float(state["w"][0])) == (2, 2.0)
  with checkpointer(tmp_path / "min", keep=1, best_metric="loss", best_mode="min") as saving:
    for step, loss in enumerate([3.0, 1.0, 2.0], start=1):
      saving.save(step, small(step), metrics={"loss": loss})
    saving.wait()
    assert saving.steps() == [2, 3]


def test_should_save_by_steps_and_by_minutes(tmp_path, monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  with checkpointer(tmp_path, every_steps=4) as saving:
    assert [step for step in range(1, 10) if saving.should_save(step)] == [4, 8]
  saving = checkpointer(tmp_path, every_minutes=0.5)
  assert not saving.should_save(1)
  now[0] += 31
  assert saving.should_save(2)
  saving.save(2, small())
  assert not saving.should_save(3)
  saving.close()


@pytest.mark.parametrize(
  "options", [{"keep": 0}, {"every_steps": -1}, {"every_minutes": -1}, {"best_mode": "most"}]
)
def test_options_out_of_range(tmp_path, options):
  with pytest.raises(CheckpointError, match="1 or more"):
    Checkpointer(tmp_path, **options)


# What does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
  ("template", "message"),
  [
    ({"w": jnp.zeros(4)}, r"'w' is float32\[3\] in it, float32\[4\] in the run"),
    ({"w": jnp.zeros(3, jnp.bfloat16)}, r"float32\[3\] in it, bfloat16\[3\] in the run"),
    ({"v": jnp.zeros(3)}, "'v' is not in it; 'w' is not in the run"),
    ({"w": jnp.zeros(3), "key": jax.random.key(0)}, "'key' is not in it"),
    ({"w": 1.0}, r"float32\[3\] in it, float\[\] in the run"),
  ],
)
def test_a_checkpoint_of_another_network_is_refused_and_stays(tmp_path, template, message):
  with checkpointer(tmp_path) as saving:
    saving.save(1, {"w": jnp.zeros(3)})
    with pytest.raises(CheckpointError, match=f"does not fit the run: .*{message}"):
      saving.restore(template)
    assert saving.steps() == [1]


def test_keys_of_another_kind_do_not_fit(tmp_path):
  with checkpointer(tmp_path) as saving:
    saving.save(1, {"key": jax.random.key(0)})
    with pytest.raises(CheckpointError, match=r"key<fry>\[\] in it, key<rbg>\[\] in the run"):
      saving.restore({"key": jax.random.key(0, impl="rbg")})


def test_leaves_and_data_states_that_cannot_be_saved(tmp_path):
  with checkpointer(tmp_path) as saving:
    with pytest.raises(CheckpointError, match="'a/name' is a str"):
      saving.save(1, {"a": {"name": "x"}})
    with pytest.raises(CheckpointError, match="same path 'a/b'"):
      saving.save(1, {"a/b": 1, "a": {"b": 2}})
    with pytest.raises(CheckpointError, match="data_state is not made of JSON"):
      saving.save(1, small(), {"x": {1, 2}})
    assert saving.steps() == []


def test_a_state_without_arrays(tmp_path):
  with checkpointer(tmp_path) as saving:
    saving.save(1, {}, {"tried": [1, 2]})
    assert saving.restore({}) == (1, {}, {"tried": [1, 2]})


# Damage -----------------------------------------------------------------------------------------


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
  return sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory):
  path = tmp_path_factory.mktemp("two")
  with checkpointer(path) as saving:
    saving.save(1, small(1.0), {"at": 1}, metrics={"accuracy": 0.5})
    saving.save(2, small(2.0), {"at": 2}, metrics={"accuracy": 0.9})
  return path


def copied(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
  shutil.copytree(source, target)
  return target


@pytest.mark.parametrize("files", ["meta", pytest.param("", marks=pytest.mark.slow)])
def test_any_single_damage_is_survived(two_checkpoints, tmp_path, files):
  """Each file of the newest checkpoint truncated, deleted, and with a bit flipped in turn."""
  rng = random.Random(0)
  outcomes = []
  names = [file.relative_to(two_checkpoints) for file in files_of(two_checkpoints / "2")]
  names = [name for name in names if files in name.parts or not files]
  for number, name in enumerate(names * 3):
    path = copied(two_checkpoints, tmp_path / str(number))
    data = bytearray((path / name).read_bytes())
    if number < len(names):
      (path / name).write_bytes(data[: len(data) // 2])
    elif number < 2 * len(names):
      (path / name).unlink()
    else:
      data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
      (path / name).write_bytes(data)
    said = []
    with Checkpointer(path, best_metric="accuracy", say=said.append) as reading:
      step, state, data_state = reading.restore(small())
      # Some files do not matter to the values; then the newest is as good as ever.
      assert step in (1, 2)
      assert data_state == {"at": step}
      assert fingerprint(state) == fingerprint(small(float(step)))
      assert bool(said) == (step == 1 and (path / "broken-2").exists())
      if said:
        assert "2 is broken and left out" in said[0]
        assert reading.save(2, small(2.5))  # The run gets there again and may write it.
    outcomes.append((str(name), step))
  assert [step for name, step in outcomes if name == "2/meta/metadata"] == [1, 1, 1]
  assert sum(step == 1 for _, step in outcomes) >= (3 if files else 8)


def test_flipped_bits_in_the_arrays_are_found(two_checkpoints, tmp_path):
  path = copied(two_checkpoints, tmp_path / "flip")
  blobs = [file for file in files_of(path / "2") if "/d/" in str(file)]
  largest = max(blobs, key=lambda file: file.stat().st_size)
  data = bytearray(largest.read_bytes())
  for position in range(0, len(data), 7):
    data[position] ^= 0x10
  largest.write_bytes(data)
  with checkpointer(path) as reading:
    assert reading.restore(small())[0] == 1


def test_nothing_sound_is_an_error_and_not_a_fresh_start(two_checkpoints, tmp_path):
  path = copied(two_checkpoints, tmp_path / "bad")
  for step in ("1", "2"):
    for file in files_of(path / step):
      file.write_bytes(b"")
  for _ in range(2):  # Started again, the run finds what it found.
    with checkpointer(path) as reading:
      for _ in range(2):
        with pytest.raises(CheckpointError, match=r"no sound checkpoint .*step 2: .*; step 1: "):
          reading.restore(small())
  assert sorted(p.name for p in path.iterdir() if p.is_dir()) == ["1", "2"]


def test_broken_ones_alone_are_an_error_and_not_a_fresh_start(two_checkpoints, tmp_path):
  path = copied(two_checkpoints, tmp_path / "bad")
  for step in ("1", "2"):
    (path / step).rename(path / f"broken-{step}")
  message = r"no sound checkpoint .* \(broken-1; broken-2\)"
  with checkpointer(path) as reading, pytest.raises(CheckpointError, match=message):
    reading.restore(small())


@pytest.mark.parametrize("error", [MemoryError("5 GB"), jax.errors.JaxRuntimeError("5 GB")])
def test_too_little_memory_is_no_damage(two_checkpoints, tmp_path, monkeypatch, error):
  path = copied(two_checkpoints, tmp_path / "sound")

  def full(*arguments):
    raise error

  with checkpointer(path) as reading:
    monkeypatch.setattr(trees, "from_host", full)
    with pytest.raises(type(error), match="5 GB"):
      reading.restore(small())
    monkeypatch.undo()
    assert reading.restore(small())[0] == 2


def test_a_process_that_cannot_read_one_says_so_to_the_others(
  two_checkpoints, tmp_path, monkeypatch
):
  """All processes answer for each checkpoint: one that did not would leave the others waiting."""
  path = copied(two_checkpoints, tmp_path / "here")
  for file in files_of(path / "2"):
    file.write_bytes(b"")
  asked = []
  monkeypatch.setattr(mesh_lib, "of_any", lambda value: asked.append(value) or value)
  with checkpointer(path) as reading:
    assert reading.restore(small())[0] == 1
  assert asked == [True, False]
  path, said = copied(two_checkpoints, tmp_path / "elsewhere"), []
  answers = iter([True, False])
  monkeypatch.setattr(mesh_lib, "of_any", lambda value: next(answers))
  with Checkpointer(path, say=said.append) as reading:
    assert reading.restore(small())[0] == 1
  assert said[0].endswith("2 is broken and left out: another process cannot read it")


def test_descriptions_have_their_size(two_checkpoints, tmp_path, monkeypatch):
  """More is not written, and of a stranger's not read."""
  path = copied(two_checkpoints, tmp_path / "large")
  monkeypatch.setattr(seal, "MAX_BYTES", 50)
  with checkpointer(path) as saving:
    with pytest.raises(CheckpointError, match=r"data_state is too large: .* of 50"):
      saving.save(3, small())
    with pytest.raises(CheckpointError, match="step 2: its description is too large"):
      saving.restore(small())


def test_a_failed_write_says_what_is_left(tmp_path, monkeypatch):
  from orbax.checkpoint._src.handlers import json_checkpoint_handler

  saving = checkpointer(tmp_path)
  saving.save(1, small())
  saving.wait()

  def full(*args, **kwargs):
    raise OSError(28, "No space left on device")

  name = "_save_fn"
  monkeypatch.setattr(json_checkpoint_handler.JsonCheckpointHandler, name, full)
  message = r"cannot write the .* No space left on device; the newest there is is that of step 1"
  with pytest.raises(CheckpointError, match=message):  # Only here: it fails in the background.
    saving.wait() if saving.save(2, small()) else None
  monkeypatch.undo()
  with checkpointer(tmp_path) as reading:
    assert reading.restore(small())[0] == 1


KILLED = """
import sys, jax.numpy as jnp, numpy as np
from dnas.checkpoint import Checkpointer
with Checkpointer(sys.argv[1], keep=2) as saving:
  found = saving.restore({"w": jnp.zeros(300_000), "n": jnp.int32(0)})
  step, state, data = found or (0, {"w": jnp.zeros(300_000), "n": jnp.int32(0)}, {"n": 0})
  values = set(np.asarray(state["w"]).tolist())
  assert values == {float(step)} and int(state["n"]) == step == data["n"], (values, step, data)
  print("from", step, flush=True)
  for step in range(step + 1, 10**6):
    state = {"w": state["w"] + 1, "n": state["n"] + 1}
    saving.save(step, state, {"n": step})
    print(step, flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing_that_was_finished(tmp_path, kills):
  rng = random.Random(kills)
  reached = 0
  for _ in range(kills):
    process = subprocess.Popen(
      [sys.executable, "-c", KILLED, str(tmp_path)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline().split()
    assert first[:1] == ["from"], process.communicate()[1]
    # A save waits for the one before it, so that all but the last one announced are finished.
    assert int(first[1]) >= reached - 1
    for _ in range(rng.randint(1, 4)):
      reached = int(process.stdout.readline())
    time.sleep(rng.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    rest, errors = process.communicate()
    reached = int((rest.split() or [reached])[-1])
    assert "Traceback" not in errors


# Several devices and processes ------------------------------------------------------------------

TOPOLOGY = """
import sys, jax, jax.numpy as jnp, numpy as np
from dnas import mesh as mesh_lib
from dnas.checkpoint import Checkpointer
from dnas.trees import CheckpointError
from jax.sharding import NamedSharding, PartitionSpec as P
path, mode, port, count, index = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if count > 1:
  jax.distributed.initialize(f"localhost:{port}", count, index)
mesh = mesh_lib.make()
key = jax.random.split(jax.random.key(5), 2)
host = {"w": np.arange(24, dtype=np.float32).reshape(8, 3), "key": key, "h": np.float16(0.1)}
state = mesh_lib.replicate(host, mesh)
state["split"] = mesh_lib.shard_batch(
  np.arange(8 // count, dtype=np.int32) + 8 // count * index, mesh)
with Checkpointer(path, every_steps=2, say=print) as checkpoints:
  if mode == "save":
    checkpoints.save(4, state, {"n": 4})
    if count > 1:
      wrong = {"w": mesh_lib.replicate(np.full(3, index), mesh)}
      try:
        checkpoints.save(5, wrong)
      except CheckpointError as error:
        assert "hold different values of 'w'" in str(error), error
      else:
        raise AssertionError("processes saved different states")
  else:
    template = jax.tree.map(lambda x: x, state)
    split = NamedSharding(mesh, P("data"))
    template["w"] = jax.ShapeDtypeStruct((8, 3), np.float32, sharding=split)
    step, restored, data = checkpoints.restore(template)
    assert (step, data) == (4, {"n": 4})
    assert restored["w"].sharding == split
    assert restored["split"].sharding == state["split"].sharding
    same = jax.jit(lambda a, b: jnp.all(a == b), out_shardings=mesh_lib.replicated(mesh))
    assert same(jax.random.key_data(restored["key"]), jax.random.key_data(state["key"]))
    assert same(restored["w"], state["w"]) and same(restored["split"], state["split"])
    assert float(restored["h"]) == float(np.float16(0.1))
    mean = jax.jit(lambda x: jnp.mean(x))(restored["split"])
    assert float(mean) == 3.5, mean
print("ok")
"""


def topology(path, mode: str, processes: int, devices: int) -> None:
  import portpicker

  port = portpicker.pick_unused_port() if processes > 1 else 0
  environment = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
  }
  running = [
    subprocess.Popen(
      [sys.executable, "-c", TOPOLOGY, str(path), mode, *map(str, (port, processes, index))],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(processes)
  ]
  for process in running:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "ok"


def test_one_device_to_eight_and_back(tmp_path):
  topology(tmp_path / "a", "save", processes=1, devices=1)
  topology(tmp_path / "a", "restore", processes=1, devices=8)
  topology(tmp_path / "b", "save", processes=1, devices=8)
  topology(tmp_path / "b", "restore", processes=1, devices=1)


@pytest.mark.slow
def test_one_process_to_two_and_back(tmp_path):
  topology(tmp_path / "a", "save", processes=2, devices=2)
  topology(tmp_path / "a", "restore", processes=1, devices=1)
  topology(tmp_path / "a", "restore", processes=2, devices=1)
  topology(tmp_path / "b", "save", processes=1, devices=8)
  topology(tmp_path / "b", "restore", processes=2, devices=1)


# The lock ---------------------------------------------------------------------------------------


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
  code = (
    "import sys\nfrom dnas.lock import run_lock\n"
    "with run_lock(sys.argv[1]):\n  print('held', flush=True)\n  sys.stdin.read()\n"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code, str(tmp_path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout is not None
  assert process.stdout.readline() == "held\n"
  with pytest.raises(LockError, match=f"in use by process {process.pid} on "), run_lock(tmp_path):
    pass
  process.send_signal(signal.SIGKILL)
  process.communicate()
  with run_lock(tmp_path), pytest.raises(LockError, match="this very process"), run_lock(tmp_path):
    pass
  with run_lock(tmp_path), run_lock(tmp_path, active=False):
    assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
