# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled programs are kept between processes, within bounds, and where there is a folder."""

import os
import pathlib
import subprocess
import sys

import jax

from dnas import cache

CACHED = """
import sys, jax, jax.numpy as jnp
from dnas import cache
path = cache.keep_programs()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8))).block_until_ready()
print(path)
"""


def printed(**environment: str) -> str:
  command = [sys.executable, "-W", "error", "-c", CACHED]
  variables = {**os.environ, **environment}
  done = subprocess.run(
    command, env=variables, capture_output=True, text=True, check=False, timeout=120
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_programs_are_kept_between_processes(tmp_path):
  folder = pathlib.Path(printed(DNAS_CACHE=str(tmp_path)).strip())
  assert tmp_path in folder.parents
  kept = {path.name for path in folder.iterdir()}
  assert kept
  printed(DNAS_CACHE=str(tmp_path))
  assert {path.name for path in folder.iterdir()} == kept


def test_the_cache_can_be_switched_off(monkeypatch):
  monkeypatch.setenv("DNAS_XLA_CACHE", "off")
  before = jax.config.jax_compilation_cache_dir
  assert cache.keep_programs() is None
  assert jax.config.jax_compilation_cache_dir == before


def test_a_cache_that_cannot_be_written_does_not_stop_a_run(tmp_path):
  (tmp_path / "file").write_text("")
  assert cache.keep_programs(tmp_path / "file") is None


def test_the_cache_loses_its_oldest_files_first(tmp_path, monkeypatch):
  monkeypatch.setattr(jax.config, "update", lambda name, value: None)
  for age, name in enumerate(["new", "middle", "old"]):
    (tmp_path / name).write_bytes(bytes(100))
    os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
  cache.keep_programs(tmp_path, max_bytes=250)
  assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"new", "middle"}


def test_one_folder_for_all(tmp_path, monkeypatch):
  monkeypatch.setenv("DNAS_CACHE", str(tmp_path))
  assert cache.folder() == tmp_path
  assert cache.folder("~/elsewhere") == pathlib.Path.home() / "elsewhere"
  monkeypatch.delenv("DNAS_CACHE")
  assert cache.folder() == pathlib.Path.home() / ".cache" / "dnas"
