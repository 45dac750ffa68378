# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Timing with a clock of our own, and tables that go on where they stopped."""

import dataclasses
import json
import time

import numpy as np
import pytest

from dnas.cost import latency
from dnas.cost.latency import LatencyTable, Protocol
from dnas.errors import DnasError
from dnas.nn import places


class Clock:
  """Seconds that pass only when a program says so."""

  def __init__(self, seed):
    self.now, self.rng = 0.0, np.random.default_rng(seed)

  def __call__(self):
    return self.now

  def program(self, ms):
    """Takes `ms`, twice or ten times as long when somebody else uses the machine."""

    def run():
      self.now += 1e-3 * ms * self.rng.choice([1, 2, 10], p=[0.6, 0.3, 0.1])

    return run


def test_interruptions_do_not_count():
  clock = Clock(0)
  programs = {str(ms): clock.program(ms) for ms in (0.1, 1.0, 7.0)}
  timings = latency.measure(programs, Protocol(rounds=9, calls=5), clock)
  for name, timing in timings.items():
    assert timing.ms == pytest.approx(float(name))
    assert timing.rounds + timing.rejected == 9


def test_processor_time_is_for_one_core(monkeypatch):
  protocol = Protocol(rounds=2, calls=1, clock="cpu")
  here = {**latency.device(), "platform": "cpu"}
  monkeypatch.setattr(latency, "device", lambda: {**here, "cores": 2})
  with pytest.raises(DnasError, match="'cpu' is for one core of a CPU, here are 2 of"):
    latency.measure({"a": lambda: None}, protocol)
  monkeypatch.setattr(latency, "device", lambda: {**here, "cores": 1})
  timings = latency.measure({"sleep": lambda: time.sleep(0.05)}, protocol)
  assert timings["sleep"].ms < 25  # who sleeps uses no processor


def test_outliers_are_left_out():
  timing = latency.robust([1.0, 1.1, 0.9, 1.05, 0.95, 9.0, 0.1])
  assert timing.ms == pytest.approx(1.0)
  assert timing.rejected == 2
  assert latency.robust([2.0, 2.0, 2.0, 5.0]) == latency.Timing(2.0, 0.0, 3, 1)
  limit = 3 * 1.4826
  assert latency.robust([0.0, -1.0, 1.0, -1.0, 1.0, -limit, limit]).rejected == 0


QUICK = Protocol(rounds=2, calls=1, copies=2)


def test_a_table_goes_on_where_it_stopped(tmp_path):
  path, made = tmp_path / "latency.json", []

  def program(name, fails=False):
    def build():
      if fails:
        raise KeyboardInterrupt
      made.append(name)
      return lambda: sum(range(20_000))

    return build

  names = [f"op{i}" for i in range(5)]
  with pytest.raises(KeyboardInterrupt):
    LatencyTable(path, QUICK).add({n: program(n, n == "op3") for n in names}, group=2)
  assert list(LatencyTable(path).entries) == ["op0", "op1"]
  table = LatencyTable(path, QUICK)
  before = table.ms("op0")
  table.add({n: program(n) for n in names}, copies=2, group=2)
  assert made == ["op0", "op1", "op2", "op2", "op3", "op4"]
  read = LatencyTable(path)
  assert (read.protocol, list(read.entries), read.ms("op0")) == (QUICK, names, before)
  assert read.entries["op4"].ms >= 0
  record = json.loads(path.read_text())
  assert {"platform", "kind", "cores", "jax", "jaxlib"} == set(record["device"])
  assert "T" in record["date"]
  with pytest.raises(DnasError, match="'op9' was not measured"):
    read.ms("op9")


def test_a_slower_hour_does_not_count(tmp_path, monkeypatch):
  """All that is measured in the second hour takes 1.5 times as long, the reference too."""
  hour = iter((1.0, 1.5))

  def measured(programs, protocol):
    slow = next(hour)
    return {name: latency.Timing(slow * run(), slow * 0.1, 5, 0) for name, run in programs.items()}

  monkeypatch.setattr(latency, "measure", measured)
  monkeypatch.setattr(latency, "_nothing", lambda: lambda: 0.2)
  monkeypatch.setattr(latency, "_reference", lambda: lambda: 3.0)
  path = tmp_path / "latency.json"
  LatencyTable(path, QUICK).add({"a": lambda: lambda: 4.2}, copies=2)
  table = LatencyTable(path)
  table.add({"b": lambda: lambda: 4.2}, copies=2)
  assert (table.ms("a"), table.ms("b")) == (pytest.approx(2.0), pytest.approx(2.0))
  assert table.entries["b"].spread_ms == pytest.approx(0.05)
  assert LatencyTable(path).reference_ms == 3.0


def test_the_reference_program_stays_what_it_is():
  """Times in files are scaled by it: another one, and tables that go on are wrong."""
  out = latency._reference()()
  assert out.shape == (1, 32, 32, 32)
  np.testing.assert_allclose(out[0, 2:-2, 2:-2], 1, rtol=1e-5)
  assert np.all(out[0, 0] < 0.6)


def test_the_overhead_has_the_least_relative_error():
  assert latency.overhead([1.0, 2.0, 5.0], [1.5, 2.5, 5.5]) == pytest.approx(0.5)
  assert latency.overhead([2.0, 3.0], [1.0, 2.0]) == 0.0
  assert latency.overhead([0.1, 1.0], [0.0, 1.5]) == pytest.approx(0.5)  # 0: no time but to start
  assert latency.overhead([0.1], [0.0]) == 0.0
  parts, whole = np.array([0.1, 1.0, 4.0]), np.array([0.4, 1.1, 5.0])
  error = lambda o: np.sum(((o + parts) / whole - 1) ** 2)
  found = latency.overhead(parts, whole)
  assert error(found) < min(error(found - 0.01), error(found + 0.01))


def test_tables_of_another_kind_are_refused(tmp_path, monkeypatch):
  path = tmp_path / "latency.json"
  table = LatencyTable(path, QUICK)
  table.add({"a": lambda: lambda: None})
  with pytest.raises(DnasError, match=r"was measured with .*'batch': 1.*not with .*'batch': 4"):
    LatencyTable(path, dataclasses.replace(QUICK, batch=4))
  monkeypatch.setattr(latency, "device", lambda: {"platform": "tpu"})
  other = LatencyTable(path, QUICK)
  assert other.ms("a") == table.ms("a")  # what is there may be read anywhere
  with pytest.raises(DnasError, match=r"was measured on .*this is {'platform': 'tpu'}"):
    other.add({"b": lambda: lambda: None})
  path.write_text(path.read_text().replace('"batch": 1', '"batch": 0'))
  with pytest.raises(
    DnasError, match=r"latency\.json is no latency table: .*latency\.batch must be"
  ):
    LatencyTable(path)
  path.write_text("[]")
  with pytest.raises(DnasError, match="is no latency table"):
    LatencyTable(path)
  path.write_text('{"schema": "other"}')
  with pytest.raises(DnasError, match="schema must be"):
    LatencyTable(path)


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (dict(batch=0), "latency.batch must be"),
    (dict(dtype="int8"), "as yet, got 'int8'"),
    (dict(clock="sun"), "unknown latency.clock: 'sun'"),
  ],
)
def test_protocol_errors(given, message):
  with pytest.raises(DnasError, match=message):
    Protocol(**given)


@pytest.mark.slow
@pytest.mark.parametrize(("c_out", "stride"), [(4, 1), (8, 2)])
def test_an_operation_runs_by_itself(c_out, stride):
  operation = places.Operation("nor_conv_3x3", 4, c_out, 8, 8, stride)
  start = places.program(operation, batch=2, dtype="bfloat16", copies=2)
  out = start()
  assert (out if stride == 1 else out[1]).shape == (2, 8 // stride, 8 // stride, c_out)
