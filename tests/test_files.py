# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Files are written in one step (how they are read: test_untrusted.py)."""

import os
import time

import pytest

from dnas import files


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path):
  path = tmp_path / "new" / "file.json"
  files.atomic_write(path, "one")
  files.atomic_write(path, b"two")
  assert path.read_bytes() == b"two"
  assert [p.name for p in path.parent.iterdir()] == ["file.json"]
  assert path.stat().st_mode & 0o444  # As readable as any other file, not as a temporary one.


def test_atomic_write_that_fails_keeps_the_old_file_and_names_it(tmp_path, monkeypatch):
  path = tmp_path / "file"
  files.atomic_write(path, "old")

  def full(descriptor):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=r"No space left on device.*file") as info:
    files.atomic_write(path, "new")
  assert info.value.errno == 28
  assert path.read_text() == "old"
  assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_processes_of_one_number_on_two_machines_write_one_file(tmp_path, monkeypatch):
  path, fsync = tmp_path / "file", os.fsync

  def meanwhile(descriptor):
    monkeypatch.setattr(os, "fsync", fsync)
    files.atomic_write(path, "the other's")
    fsync(descriptor)

  monkeypatch.setattr(os, "fsync", meanwhile)
  files.atomic_write(path, "mine")
  assert path.read_text() == "mine"
  assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed_when_it_is_no_other_ones(tmp_path):
  ages_s = {".old.json.1-ab.tmp": 3700, ".young.json.1-ab.tmp": 3500, ".old": 1e9, "old.tmp": 1e9}
  for name, age_s in ages_s.items():
    (tmp_path / name).write_text("half")
    os.utime(tmp_path / name, (time.time() - age_s,) * 2)
  files.remove_left(tmp_path)
  assert {p.name for p in tmp_path.iterdir()} == ages_s.keys() - {".old.json.1-ab.tmp"}


def test_a_file_in_place_of_the_folder_is_an_error_with_the_path(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError, match=r"cannot write.*inner\.json"):
    files.atomic_write(tmp_path / "file" / "inner.json", "x")
