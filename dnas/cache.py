# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept between runs, in one folder of the user: prepared data, compiled programs."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform

MAX_BYTES = 4 << 30
"""What `keep_programs` keeps at most, unless told otherwise."""


def folder(given: str | os.PathLike | None = None) -> pathlib.Path:
  """The folder: `given`, else $DNAS_CACHE, else ~/.cache/dnas."""
  return pathlib.Path(given or os.environ.get("DNAS_CACHE") or "~/.cache/dnas").expanduser()


def keep_programs(
  given: str | os.PathLike | None = None, max_bytes: int = MAX_BYTES
) -> pathlib.Path | None:
  """Keeps compiled programs on disk, so that a second run of the same program starts at once.

  Call it before the first compilation. Programs that took over 0.3 s to compile are kept, apart
  for each jaxlib and each kind of host processor (a CPU program may use instructions that another
  machine sharing the home folder lacks). At each call the oldest go until `max_bytes` are left.
  (`jax_compilation_cache_max_size` would bound it at each write, but needs a further package and
  takes a lock for each read.)

  Args:
    given: the folder of the programs; None: `xla` in `folder()`. With "off" in the environment
      variable DNAS_XLA_CACHE none are kept.
    max_bytes: the bound on all that lies in the folder.

  Returns:
    The folder in use. None if there is none, or if it cannot be written: a run must not die of
    that.
  """
  if os.environ.get("DNAS_XLA_CACHE") == "off":
    return None
  import jax  # Here, because who reads data needs the folder and not JAX.

  root = (pathlib.Path(given).expanduser() if given else folder() / "xla").absolute()
  host = hashlib.sha256(_host_processor().encode()).hexdigest()[:8]
  path = root / f"jaxlib-{importlib.metadata.version('jaxlib')}-{platform.machine()}-{host}"
  try:
    path.mkdir(parents=True, exist_ok=True)
    _bound(root, max_bytes)
  except OSError:
    return None
  if not os.access(path, os.W_OK):
    return None
  jax.config.update("jax_compilation_cache_dir", str(path))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  return path


def _host_processor() -> str:
  """The instruction set of this machine, as far as the system tells."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
  except OSError:
    return platform.processor()
  return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _bound(root: pathlib.Path, max_bytes: int) -> None:
  """Deletes the oldest files under `root` until the rest is at most `max_bytes`."""
  files = []
  for path in root.rglob("*"):
    try:
      if path.is_file():
        files.append((path.stat().st_mtime, path.stat().st_size, path))
    except FileNotFoundError:
      continue  # Another process deleted it first.
  total = sum(size for _, size, _ in files)
  for _, size, path in sorted(files):
    if total <= max_bytes:
      return
    path.unlink(missing_ok=True)
    total -= size
