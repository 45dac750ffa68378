# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The loop of a run under everything that can befall it; no network, so that it is fast."""

import dataclasses
import gc
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import config as configs
from dnas import data, log, preemption, runs
from dnas.checkpoint import Checkpointer
from dnas.data.images import ImageError
from dnas.data.pipeline import Pipeline
from dnas.errors import DnasError, one_line_errors
from dnas.finite import skip_unless_finite
from dnas.space import cells

# Failed writing ends Orbax' event loop while TensorStore's threads still answer to it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STEPS = 12


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  w: jax.Array
  step: jax.Array


@jax.jit
def _step(state: State, batch, poison):
  loss = jnp.log(poison) + (batch["image"].astype(jnp.float32).mean() / 255 - state.w) ** 2
  new = State(0.9 * state.w + 0.1 * loss, state.step + 1)
  return skip_unless_finite(state, new, {"loss": loss, "box_loss": 2 * loss}, "loss")


@pytest.fixture(scope="module")
def digits() -> data.Source:
  return data.load("digits", "train")


@pytest.fixture
def run(root, tmp_path, digits):
  """Runs the loop in `tmp_path / name`; `poison` steps give NaN, `during(i)` is called in each."""

  def run(name="run", poison=(), during=lambda i: None, source=None, **checkpoint):
    fields = {"every_steps": 4, "max_skipped": 3, **checkpoint}
    overrides = {f"checkpoint.{key}": str(value) for key, value in fields.items()}
    config = configs.load(root / "configs" / "digits.py", overrides)
    pipeline = Pipeline(
      source=source or digits, batch_size=4, size=(8, 8), train=True, seed=1, threads=1
    )

    def step(i, state, batch):
      during(i)
      return _step(state, batch, jnp.float32(-1 if i in poison else 1))

    with runs.folder(tmp_path / name, config, runs_parts) as workdir:
      return runs.loop(
        workdir,
        "run",
        State(jnp.float32(0), jnp.int32(0)),
        step,
        {"train": pipeline},
        config,
        steps=STEPS,
        lowers="loss",
      )

  runs_parts = ("seed", "data", "checkpoint", "log")
  yield run
  gc.collect()  # What a failed writing left behind complains here, not in another test.


def same(a: State, b: State) -> bool:
  return bool(a.w == b.w) and int(a.step) == int(b.step)


def records(folder: pathlib.Path) -> list[dict]:
  return log.read(folder / "metrics.jsonl")


# Numbers that are not finite ---------------------------------------------------------------------


def test_steps_that_are_not_finite_are_skipped_and_counted(run, tmp_path, capsys):
  state = run(poison=(2, 5, 6, 9))
  assert int(state.step) == STEPS
  assert np.isfinite(float(state.w))
  assert [r["step"] for r in records(tmp_path / "run") if r["skipped"]] == [2, 5, 6, 9]
  assert "run: 4 of 12 steps were not finite and skipped" in capsys.readouterr().out


def test_too_many_in_a_row_end_the_run_and_leave_the_checkpoint(run, tmp_path, capsys):
  message = (
    r"run: loss or gradient was NaN or infinite 3 times in a row \(checkpoint.max_skipped\), the "
    r"last time at step 8: box_loss nan, loss nan; first NaN in log \[\] \(test_runs.py:\d+.*; "
    r"largest finite values: .* in .*; the checkpoint of step 4 is intact"
  )
  with pytest.raises(runs.NotFiniteError, match=message):
    run(poison=range(6, STEPS))
  with pytest.raises(runs.NotFiniteError, match="there is no checkpoint yet"):
    run("other", poison=(1, 2, 3))
  # What caused it gone, the run goes on as one that never saw it.
  assert same(run(), run("sound"))
  text = "metrics.jsonl"
  assert (tmp_path / "run" / text).read_bytes() == (tmp_path / "sound" / text).read_bytes()


def test_the_count_in_a_row_goes_on_after_a_restart(run):
  class Stop(Exception):
    pass

  def stop(i):
    if i == 5:
      raise Stop

  with pytest.raises(Stop):
    run(poison=(3, 4), during=stop)
  with pytest.raises(runs.NotFiniteError, match=r"3 times in a row .* at step 5: "):
    run(poison=(5,))


@pytest.mark.parametrize("field", ["every_steps", "words_every_steps"])
def test_steps_of_a_log_out_of_range(root, tmp_path, field):
  config = configs.load(root / "configs" / "digits.py", {f"log.{field}": 0})
  message = rf"config\.log\.{field} must be a whole number, 1 or more, got 0"
  with (
    pytest.raises(DnasError, match=message),
    runs.folder(tmp_path / "run", config, ("seed",)),
  ):
    pytest.fail("the folder was given out")
  assert not (tmp_path / "run").exists()


# SIGTERM -----------------------------------------------------------------------------------------


def test_sigterm_saves_and_says_start_me_again(run, tmp_path, capsys):
  def notice(i):
    if i == 6:
      os.kill(os.getpid(), signal.SIGTERM)

  with pytest.raises(SystemExit) as ended, one_line_errors(), preemption.heeded():
    run(during=notice)
  assert ended.value.code == preemption.EXIT_CODE == 75
  said = capsys.readouterr().err
  assert "run: saved step 6 of 12 at SIGTERM; start the same command line again to go on" in said
  with Checkpointer(tmp_path / "run" / "checkpoints") as checkpoints:
    assert checkpoints.steps()[-1] == 6
  assert same(run(), run("undisturbed"))
  one, other = (tmp_path / name / "metrics.jsonl" for name in ("run", "undisturbed"))
  assert one.read_bytes() == other.read_bytes()


def test_sigterm_outside_a_loop_ends_at_once(capsys):
  before = signal.getsignal(signal.SIGTERM)

  def work():
    try:
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(1)
    except Exception:
      pytest.fail("the notice was taken for an error")

  with pytest.raises(SystemExit) as ended, preemption.heeded():
    work()
  assert ended.value.code == 75
  assert "stopped by SIGTERM; start the same command line again" in capsys.readouterr().err
  assert signal.getsignal(signal.SIGTERM) == before
  with preemption.heeded(), preemption.deferred() as noticed:
    assert not noticed()


def test_nothing_stays_open():
  count = lambda: len(os.listdir("/proc/self/fd"))
  before = count()
  for _ in range(8):
    with preemption.heeded():
      pass
  limit = time.monotonic() + 10
  while count() >= before + 8 and time.monotonic() < limit:  # A thread closes its own.
    time.sleep(0.01)
  assert count() < before + 8


def test_sigterm_in_compiled_code_that_does_not_return():
  """What the main thread is deep in (a compilation) holds nothing up for longer than the grace."""
  code = (
    "import hashlib, os, signal, threading\nfrom dnas import preemption\n"
    "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
    "with preemption.heeded(grace_s=0.5):\n"
    "  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20
  )
  assert done.returncode == 75, done.stderr
  assert "SIGTERM: not done after 0.5 s; ending with the last checkpoint" in done.stderr


# Disks and files ---------------------------------------------------------------------------------


def at_step(step: int, do):
  return lambda i: do() if i == step else None


@pytest.fixture
def pictures(tmp_path) -> pathlib.Path:
  """A COCO folder of 8 pictures."""
  folder = tmp_path / "pictures"
  folder.mkdir()
  rng = np.random.default_rng(0)
  for i in range(8):
    cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (16, 16, 3), np.uint8))
  images = [{"id": i, "file_name": f"{i}.png", "width": 16, "height": 16} for i in range(8)]
  boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 8, 8]} for i in range(8)]
  boxes = [{**box, "area": 64, "iscrowd": 0} for box in boxes]
  text = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "thing"}]}
  (folder / "all.json").write_text(json.dumps(text))
  return folder


def test_a_picture_that_breaks_in_the_middle_is_named_and_costs_nothing(run, pictures, tmp_path):
  load = lambda: data.load(f"coco:{pictures}/all.json@{pictures}", None, memory_mib=0)
  whole = (pictures / "3.png").read_bytes()
  cut = at_step(6, lambda: (pictures / "3.png").write_bytes(whole[:40]))
  with pytest.raises(ImageError, match=r"3.png: OpenCV cannot decode its 40 bytes"):
    run(source=load(), during=cut)
  (pictures / "3.png").write_bytes(whole)
  assert same(run(source=load()), run("undisturbed", source=load()))
  text = "metrics.jsonl"
  assert (tmp_path / "run" / text).read_bytes() == (tmp_path / "undisturbed" / text).read_bytes()


def test_a_folder_that_vanishes(run, tmp_path):
  def vanish():
    # Threads that are still writing would make parts of it anew, beside the second run.
    while not (tmp_path / "run" / "checkpoints" / "4").is_dir():
      time.sleep(0.01)
    shutil.rmtree(tmp_path / "run")

  with pytest.raises((DnasError, OSError), match=r"cannot write|was deleted") as caught:
    run(during=at_step(6, vanish))
  assert str(tmp_path / "run") in str(caught.value)
  assert int(run().step) == STEPS


def test_a_folder_that_cannot_be_made(run, tmp_path):
  (tmp_path / "run").write_text("a file")
  with pytest.raises(OSError, match=r"run"):
    run()


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(run, tmp_path, capsys):
  class Stop(Exception):
    pass

  def stop():
    raise Stop

  with pytest.raises(Stop):
    run(during=at_step(11, stop))
  newest = tmp_path / "run" / "checkpoints" / "8"
  blobs = [path for path in newest.rglob("*") if path.is_file() and path.parent.name == "d"]
  for path in blobs:
    path.write_bytes(path.read_bytes()[:-3])
  assert same(run(), run("undisturbed"))
  said = capsys.readouterr()
  assert "checkpoints/8 is broken and left out" in said.err
  assert "run: resumed at step 4 of 12" in said.out
  text = "metrics.jsonl"
  assert (tmp_path / "run" / text).read_bytes() == (tmp_path / "undisturbed" / text).read_bytes()


def test_the_best_checkpoint_stays(run, tmp_path):
  run(every_steps=1, keep=1)
  mean = {r["step"]: r["loss"] for r in records(tmp_path / "run")}
  with Checkpointer(tmp_path / "run" / "checkpoints", best_metric="loss", best_mode="min") as saved:
    assert saved.steps() == sorted({min(mean, key=mean.__getitem__), STEPS})
  run("not", every_steps=1, keep=1, keep_best=False)
  with Checkpointer(tmp_path / "not" / "checkpoints") as saved:
    assert saved.steps() == [STEPS]


def test_a_full_disk(run, tmp_path):
  """No file of this process may grow beyond some kilobytes: writes fail as on a full disk."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  fill = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
  try:
    with pytest.raises((DnasError, OSError), match="cannot write") as caught:
      run(during=at_step(6, fill))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert str(tmp_path / "run") in str(caught.value)
  # Orbax' threads may write the other arrays of that checkpoint still; a process would be gone.
  seen, now = None, sorted((tmp_path / "run").rglob("*"))
  while now != seen:
    time.sleep(0.3)
    seen, now = now, sorted((tmp_path / "run").rglob("*"))
  assert same(run(), run("undisturbed"))
  text = "metrics.jsonl"
  assert (tmp_path / "run" / text).read_bytes() == (tmp_path / "undisturbed" / text).read_bytes()


def test_operations_that_change_nothing_are_said(capsys):
  loose = cells.nasbench201().decide({"cell": ["none", "none", *["nor_conv_1x1"] * 4]})
  runs.say_idle(loose)
  assert capsys.readouterr().out.startswith("cell: 3 of 4 operations lie on no path")
  runs.say_idle(cells.nasbench201().decide({"cell": ["nor_conv_1x1"] * 6}))
  assert capsys.readouterr().out == ""
