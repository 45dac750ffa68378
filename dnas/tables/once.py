# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A table's run that is finished is kept, and never computed again; several processes share runs.

with kept(out, workdir):
  rows = all_of([functools.partial(once, workdir / name, config, run) for name in names])
"""

import collections
import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from dnas import config as configs
from dnas import files
from dnas.config import Config
from dnas.errors import ConfigError
from dnas.fields import plain
from dnas.lock import LockError, run_lock
from dnas.progress import say
from dnas.tables.table import origin

_T = TypeVar("_T")

FILE = "done.json"
"""In the folder of a finished run: its config, its result, and where it was computed."""
KEPT = "done.jsonl"
"""In the folder of a table: FILE of each of its runs, a line each, with the run's `folder`."""

_keep: list[Callable[[], object]] = []  # Of the tables that are being made; see `kept`.


def once(
  folder: pathlib.Path, config: Config, make: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
  """make() the first time, as JSON gives it back; what it gave then ever after.

  Says which run begins, and the numbers of its result.

  Args:
    folder: of the run, gets FILE when `make` has returned.
    config: by which a finished run is known again.
    make: the run; killed within it, it is called again.

  Raises:
    ConfigError: a run is finished there with another config (the message lists the fields).
    LockError: another process is at it.
  """
  path, about = folder / FILE, plain(config)
  if not path.exists():
    with run_lock(folder, name=".once"):
      if not path.exists():
        say(f"{folder}: begun")
        result = dict(make())
        here = origin()
        where = {name: here[name] for name in ("commit", "hardware")}
        record = {"config": about, "result": result, "origin": where}
        files.atomic_write(path, json.dumps(record) + "\n")
        for keep in _keep:  # At once: who is killed later loses none of it.
          keep()
        numbers = {k: v for k, v in result.items() if isinstance(v, int | float)}
        say(f"{folder}: done; {numbers}")
  record = files.json_of(path)
  if changes := configs.diff(record["config"], about):
    raise ConfigError(
      f"{folder} holds a finished run with another config ({'; '.join(changes)}): choose another "
      "--out and another --workdir"
    )
  return record["result"]


def all_of(
  jobs: Sequence[Callable[[], _T]],
  so_far: Callable[[list[_T]], object] = lambda results: None,
  wait_s: float = 5.0,
) -> list[_T]:
  """The result of each job, in their order.

  A job that another process has at hand is left to it, and looked at again when the others are
  done: start the same command several times, and the processes share the runs.

  Args:
    jobs: each calls `once`, or something else that raises LockError.
    so_far: is given the results that are there, in the order of the jobs, after each new one.
    wait_s: between two looks while all that is left is with other processes.
  """
  results: dict[int, _T] = {}
  while len(results) < len(jobs):
    before = len(results)
    for i, job in enumerate(jobs):
      if i not in results:
        with contextlib.suppress(LockError):
          results[i] = job()
          so_far([results[n] for n in sorted(results)])
    if len(results) == before:
      time.sleep(wait_s)
  return [results[i] for i in range(len(jobs))]


@contextlib.contextmanager
def kept(out: pathlib.Path, workdir: pathlib.Path) -> Iterator[None]:
  """Finished runs that `out` knows need not be in `workdir`; those of `workdir` go to `out`.

  They do as soon as `once` has finished them, so that whoever is killed within leaves them there.
  So a table goes on where its folder was copied or cloned to, without the runs' own folders.

  Args:
    out: folder of the table, with KEPT.
    workdir: folder of its runs.
  """
  known = _read(out / KEPT)
  for name, record in known.items():
    if not (path := workdir / name / FILE).exists():
      files.atomic_write(path, json.dumps(record) + "\n")

  def keep() -> dict[str, dict[str, Any]]:
    here = {
      path.parent.relative_to(workdir).as_posix(): files.json_of(path)
      for path in workdir.rglob(FILE)
    }
    known = _read(out / KEPT) | here  # Read anew: another process may have added some.
    if known:
      lines = (json.dumps({"folder": name, **known[name]}) for name in sorted(known))
      files.atomic_write(out / KEPT, "\n".join(lines) + "\n")
    return known

  _keep.append(keep)
  try:
    yield
  finally:
    _keep.remove(keep)
    known = keep()
  _note_origins(out / "provenance.json", known.values())


def _note_origins(path: pathlib.Path, records: Iterable[Mapping[str, Any]]) -> None:
  """Where the runs of a table were computed, into its provenance, which knows the last process."""
  if path.exists():
    made_at = collections.Counter(
      "{commit}, {hardware}".format(**r["origin"]) if "origin" in r else "unknown" for r in records
    )
    known = {**files.json_of(path), "runs_made_at": dict(sorted(made_at.items()))}
    files.atomic_write(path, json.dumps(known, indent=2) + "\n")


def _read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Folder -> record of a run. Raises ConfigError for a line that is none, naming it."""
  if not path.exists():
    return {}
  found = {}
  for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
    try:
      record = json.loads(line)
      found[record.pop("folder")] = record
    except (ValueError, KeyError, TypeError, AttributeError):
      raise ConfigError(f"{path}, line {number}: is no record of a run; remove it") from None
  return found
