# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics files survive kills and resumes; the progress line shows what it is given."""

import io
import json
import math
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

from dnas import log
from dnas.progress import say


def quiet() -> rich.console.Console:
  return rich.console.Console(file=io.StringIO())


def test_what_is_said_is_written_at_once(monkeypatch):
  raw = io.BytesIO()
  monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))  # As into a file.
  say({"AP": 0.5})
  assert raw.getvalue() == b"{'AP': 0.5}\n"


def test_records_hold_all_kinds_of_values_exactly(tmp_path):
  values = {
    "loss": jnp.float32(0.1),
    "half": jnp.bfloat16(0.5),
    "double": 0.1 + 0.2,
    "count": jnp.int32(7),
    "one_element": np.array([2.5]),
    "many": jnp.array([0.1, 0.2], jnp.float32),
    "bad": jnp.float32(jnp.nan),
    "worse": -math.inf,
    "cell": "skip_connect",
    "flag": True,
  }
  with log.Log(tmp_path, 1, tensorboard=False, console=quiet()) as run:
    run.write(1, values)
  raw = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
  assert raw["loss"] == 0.1  # The shortest form of this float32.
  (record,) = log.read(tmp_path / "metrics.jsonl")
  assert math.isnan(record.pop("bad"))
  assert record == {
    "step": 1,
    "loss": 0.1,
    "half": 0.5,
    "double": 0.1 + 0.2,
    "count": 7,
    "one_element": 2.5,
    "many": [0.1, 0.2],
    "worse": -math.inf,
    "cell": "skip_connect",
    "flag": True,
  }
  assert np.float32(record["loss"]) == np.float32(0.1)


def test_resume_drops_the_records_after_the_restored_step(tmp_path):
  with log.Log(tmp_path, 6, tensorboard=False, console=quiet()) as run:
    for step in range(1, 6):
      run.write(step, {"loss": step / 10})
  with open(tmp_path / "metrics.jsonl", "a") as file:
    file.write('{"step": 6, "lo')  # Killed in the middle of a line.
  with log.Log(tmp_path, 6, start_step=3, tensorboard=False, console=quiet()) as run:
    for step in range(4, 7):
      run.write(step, {"loss": step / 10})
  resumed = (tmp_path / "metrics.jsonl").read_bytes()
  with log.Log(tmp_path / "whole", 6, tensorboard=False, console=quiet()) as run:
    for step in range(1, 7):
      run.write(step, {"loss": step / 10})
  assert resumed == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_a_killed_process_leaves_whole_records(tmp_path):
  code = (
    "import sys; from dnas import log\n"
    "run = log.Log(sys.argv[1], 10**6, tensorboard=False, lag=0)\n"
    "for step in range(1, 10**6):\n  run.write(step, {'loss': 1.0})\n"
    "  print(step, flush=True) if step == 50 else None"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
  )
  assert process.stdout is not None
  assert process.stdout.readline() == "50\n"
  process.send_signal(signal.SIGKILL)
  process.communicate()
  records = log.read(tmp_path / "metrics.jsonl")
  assert len(records) >= 50
  assert [r["step"] for r in records] == list(range(1, len(records) + 1))


def test_values_are_read_late_but_flush_writes_all(tmp_path):
  read = []

  class OnDevice:
    def __array__(self, dtype=None, copy=None):
      read.append(1)
      return np.array(1.5, np.float32)

  with log.Log(tmp_path, 100, lag=4, tensorboard=False, console=quiet()) as run:
    for step in range(1, 5):
      run.write(step, {"loss": OnDevice()})
    assert not read
    run.flush()
    assert [r["loss"] for r in log.read(tmp_path / "metrics.jsonl")] == [1.5] * 4


def test_every_steps_keeps_multiples_and_the_last(tmp_path):
  with log.Log(tmp_path, 7, every_steps=3, tensorboard=False, console=quiet()) as run:
    for step in range(1, 8):
      run.write(step, {})
  assert [r["step"] for r in log.read(tmp_path / "metrics.jsonl")] == [3, 6, 7]


def test_only_the_active_process_writes(tmp_path):
  with log.Log(tmp_path, 1, active=False) as run:
    run.write(1, {"loss": 1.0})
    run.say("hello")
  assert not list(tmp_path.iterdir())


def test_steps_have_to_grow(tmp_path):
  with log.Log(tmp_path, 9, tensorboard=False, console=quiet()) as run:
    run.write(2, {})
    with pytest.raises(log.LogError, match="step 2 comes after step 2"):
      run.write(2, {})


def test_a_deleted_file_is_noticed(tmp_path):
  with log.Log(tmp_path, 9, lag=0, tensorboard=False, console=quiet()) as run:
    run.write(1, {})
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(log.LogError, match=r"metrics\.jsonl was deleted"):
      run.write(2, {})


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"loss": 1}', '{"step": "1"}', "[" * 5000])
def test_a_broken_record_is_named_by_its_line(tmp_path, line):
  (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n')
  with pytest.raises(log.LogError, match=r"metrics\.jsonl, line 2"):
    log.read(tmp_path / "metrics.jsonl")


def test_plain_lines_where_there_is_no_terminal(tmp_path):
  console = quiet()
  with log.Log(
    tmp_path, 3, description="search", tensorboard=False, console=console, plain_every_s=1e9
  ) as run:
    run.say("a [bold] message")
    for step in range(1, 4):
      run.write(step, {"loss": 0.25}, text="normal: skip_connect")
  lines = console.file.getvalue().splitlines()
  assert lines == ["a [bold] message", "search 3/3  loss 0.25  normal: skip_connect  ETA 0:00:00"]


def test_live_line_on_a_terminal(tmp_path):
  console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=120)
  with log.Log(tmp_path, 4, description="search", tensorboard=False, console=console, lag=0) as run:
    run.write(2, {"loss": 0.25}, text="normal: [skip_connect] " + "sep_conv_3x3 " * 30)
    run.say("found one")
  shown = console.file.getvalue()
  for part in ("search", "2/4", "loss 0.25", "normal: [skip_connect]", "…", "found one"):
    assert part in shown


def test_tensorboard_gets_the_scalars_and_hides_replaced_ones(tmp_path):
  from tensorboardX.proto import event_pb2

  with log.Log(tmp_path, 5, start_step=0, console=quiet()) as run:
    run.write(1, {"loss": 0.5, "cell": "none"})
  events = []
  (file,) = (tmp_path / "tensorboard").iterdir()
  data = file.read_bytes()
  while data:  # A record: length (8 bytes), its checksum (4), the event, its checksum (4).
    length = int.from_bytes(data[:8], "little")
    events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
    data = data[16 + length :]
  scalars = {(v.tag, e.step, v.simple_value) for e in events for v in e.summary.value}
  assert scalars == {("loss", 1, 0.5)}
  assert any(e.step == 1 and e.session_log.status for e in events)
