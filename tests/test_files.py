# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Files are written in one step (how they are read: test_untrusted.py)."""

import os

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


def test_a_file_in_place_of_the_folder_is_an_error_with_the_path(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError, match=r"cannot write.*inner\.json"):
    files.atomic_write(tmp_path / "file" / "inner.json", "x")
