# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How one of several processes ends: it says why, and tells a lost neighbour from its own fault."""

import subprocess
import sys
import time

import jax
import pytest

from dnas import process
from dnas.errors import ConfigError, DnasError


def test_a_lost_neighbour_means_start_again(capsys):
  lost = jax.errors.JaxRuntimeError("INTERNAL: Gloo all-reduce failed: Connection closed by peer")
  wrapped = DnasError("cannot write")
  wrapped.__cause__ = lost
  for error in (lost, wrapped):
    assert process._tell(error) == 75
    said = capsys.readouterr().err
    assert said.startswith("error: another process of this run has ended, or cannot be reached (")
    assert "Connection closed by peer" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
  ("error", "code", "said"),
  [
    (DnasError("field a"), 2, "error: field a\n"),
    (OSError("disk"), 2, "error: disk\n"),
    (SystemExit(3), 3, ""),
    (SystemExit(None), 0, ""),
  ],
)
def test_its_own_end_keeps_its_code(capsys, error, code, said):
  assert process._tell(error) == code
  assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [KeyError("bug"), jax.errors.JaxRuntimeError("out of memory")])
def test_a_fault_of_the_code_keeps_its_traceback(capsys, error):
  assert process._tell(error) == 1
  assert "Traceback" in capsys.readouterr().err


def test_an_error_ends_the_process_at_once_whatever_waits_at_its_exit():
  code = (
    "import atexit, time\nfrom dnas import process\nfrom dnas.errors import DnasError\n"
    "atexit.register(time.sleep, 1000)\n"
    "with process._together():\n  raise DnasError('field a')\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
  )
  assert (done.returncode, done.stderr) == (2, "error: field a\n")


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (dict(DNAS_DISTRIBUTED="yes"), "DNAS_DISTRIBUTED='yes': 'auto' or nothing"),
    (dict(JAX_PROCESS_ID="0"), "JAX_PROCESS_ID set without JAX_COORDINATOR_ADDRESS, JAX_NUM"),
    (
      dict(JAX_COORDINATOR_ADDRESS="a:1", JAX_NUM_PROCESSES="two", JAX_PROCESS_ID="0"),
      "JAX_NUM_PROCESSES and JAX_PROCESS_ID are whole numbers: .*'two'",
    ),
    (
      dict(JAX_COORDINATOR_ADDRESS="a", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="0"),
      "JAX_COORDINATOR_ADDRESS='a' is HOST:PORT",
    ),
    (
      dict(JAX_COORDINATOR_ADDRESS="a:1", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="2"),
      "JAX_PROCESS_ID=2 is one of 0 to JAX_NUM_PROCESSES - 1 = 1",
    ),
  ],
)
def test_variables_that_do_not_fit_together(monkeypatch, given, message):
  for name in ("DNAS_DISTRIBUTED", *process._VARIABLES):
    monkeypatch.delenv(name, raising=False)
  for name, value in given.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(ConfigError, match=message):
    process.join()


def test_an_error_does_not_wait_for_the_workers():
  def interrupted():
    with process.workers(1) as pool:
      pool.submit(time.sleep, 60)
      raise KeyboardInterrupt

  start = time.monotonic()
  with pytest.raises(KeyboardInterrupt):
    interrupted()
  assert time.monotonic() - start < 30
