# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Finished runs: kept by a table, known again, and shared by processes."""

import functools
import json
import math
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from dnas.errors import ConfigError
from dnas.tables.once import FILE, KEPT, all_of, kept, once

CONFIG = ConfigDict(dict(steps=3, data=dict(spec="digits")))
HOLD = (
  "import sys\nfrom dnas.lock import run_lock\n"
  "with run_lock(sys.argv[1], name='.once'):\n  print('held', flush=True)\n  sys.stdin.read()\n"
)


@pytest.fixture
def run(tmp_path):
  """name -> its result; `calls` has those that were computed."""
  calls = []

  def run(name, workdir="runs", config=CONFIG):
    def make():
      calls.append(name)
      return {"AP": len(name) / 10, "seconds": math.nan}

    return once(tmp_path / workdir / name, config, make)

  run.calls = calls
  return run


def test_a_finished_run_is_not_computed_again(run, capsys):
  first = run("a/0")
  begun, done = capsys.readouterr().out.splitlines()
  assert begun.endswith("a/0: begun")
  assert done.endswith("a/0: done; {'AP': 0.3, 'seconds': nan}")
  assert first["AP"] == 0.3
  assert math.isnan(run("a/0")["seconds"])
  assert run.calls == ["a/0"]
  assert capsys.readouterr().out == ""
  with pytest.raises(ConfigError, match=r"a/0 holds a finished run with another config \(steps: 3"):
    run("a/0", config=ConfigDict(dict(steps=4, data=dict(spec="digits"))))


def test_a_table_goes_on_elsewhere(run, tmp_path):
  out = tmp_path / "table"
  with kept(out, tmp_path / "runs"):
    run("a/0")
  lines = [json.loads(text) for text in (out / KEPT).read_text().splitlines()]
  assert [line["folder"] for line in lines] == ["a/0"]
  assert set(lines[0]) == {"folder", "config", "result", "origin"}
  assert set(lines[0]["origin"]) == {"commit", "hardware"}
  with kept(out, tmp_path / "elsewhere"):
    assert run("a/0", "elsewhere")["AP"] == 0.3
    run("b/10", "elsewhere")
  assert run.calls == ["a/0", "b/10"]
  folders = [json.loads(text)["folder"] for text in (out / KEPT).read_text().splitlines()]
  assert folders == ["a/0", "b/10"]


def test_the_provenance_says_where_the_runs_were_computed(run, tmp_path):
  """Not only where the process ran that wrote the table."""
  out = tmp_path / "table"
  with kept(out, tmp_path / "runs"):
    run("a/0")
  line = json.loads((out / KEPT).read_text())
  line |= {"folder": "b", "origin": {"commit": "abc", "hardware": "an abacus"}}
  with (out / KEPT).open("a") as file:
    file.write(json.dumps(line) + "\n")
  with kept(out, tmp_path / "runs"):
    (out / "provenance.json").write_text('{"command": "make"}')
  written = json.loads((out / "provenance.json").read_text())
  assert written["command"] == "make"
  assert written["runs_made_at"]["abc, an abacus"] == 1
  assert sum(written["runs_made_at"].values()) == 2

  def cut_short():
    with kept(out, tmp_path / "runs"):
      run("c/0")
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    cut_short()
  assert json.loads((out / "provenance.json").read_text()) == written  # of the table that is there
  assert "c/0" in (out / KEPT).read_text()


def test_another_config_needs_another_table_and_another_folder(run, tmp_path):
  """As the message says: the table's own folder would put the finished run back."""
  changed = ConfigDict(dict(steps=4, data=dict(spec="digits")))
  with kept(tmp_path / "table", tmp_path / "runs"):
    run("a/0")
  with (
    kept(tmp_path / "table", tmp_path / "other"),
    pytest.raises(ConfigError, match="choose another --out and another --workdir"),
  ):
    run("a/0", "other", changed)
  with kept(tmp_path / "new", tmp_path / "new_runs"):
    run("a/0", "new_runs", changed)
  assert run.calls == ["a/0", "a/0"]


def test_what_was_finished_is_kept_when_a_later_run_fails(run, tmp_path):
  def fail():
    with kept(tmp_path / "table", tmp_path / "runs"):
      run("a/0")
      raise KeyError

  with pytest.raises(KeyError):
    fail()
  assert (tmp_path / "table" / KEPT).exists()


def test_what_is_finished_is_kept_at_once(run, tmp_path):
  """A process that is killed cleans up nothing."""
  kept_lines = lambda: (tmp_path / "table" / KEPT).read_text().splitlines()
  with kept(tmp_path / "table", tmp_path / "runs"):
    run("a/0")
    assert len(kept_lines()) == 1
    run("a/1")
    assert len(kept_lines()) == 2
  run("a/2")
  assert len(kept_lines()) == 2


@pytest.mark.parametrize("line", ["{", "[]", '{"config": {}}'])
def test_a_broken_line_is_named(tmp_path, line):
  (tmp_path / KEPT).write_text(f'{{"folder": "a", "config": {{}}, "result": {{}}}}\n{line}\n')

  def use():
    with kept(tmp_path, tmp_path / "runs"):
      pass

  with pytest.raises(ConfigError, match=rf"{KEPT}, line 2: is no record of a run; remove it"):
    use()


def test_no_runs_no_file(tmp_path):
  with kept(tmp_path / "table", tmp_path / "runs"):
    pass
  assert not (tmp_path / "table").exists()


def test_a_run_that_another_process_has_at_hand_comes_last(run, tmp_path):
  held = tmp_path / "runs" / "held"
  with subprocess.Popen(
    [sys.executable, "-c", HOLD, held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
  ) as other:
    other.stdout.readline()

    def free():
      """The other process finishes its run once ours is done."""
      result = run("free")
      record = {"config": CONFIG.to_dict(), "result": {"AP": 0.9}}
      (held / FILE).write_text(json.dumps(record))
      other.stdin.close()
      return result

    seen = []
    found = all_of(
      [functools.partial(run, "held"), free], lambda so_far: seen.append(len(so_far)), 0.01
    )
  assert seen == [1, 2]
  assert [result["AP"] for result in found] == [0.9, 0.4]
  assert run.calls == ["free"]
