# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests notice: of the modules that matter most, one line at a time is broken.

It happens in a copy of the tree. A mutant is caught when one of its module's tests fails, or when
they take several times the processor time that they take otherwise (an endless loop).
"""

import contextlib
import datetime
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dnas import files
from dnas.errors import DnasError
from dnas.progress import say
from dnas.tables import mutants, table

# module -> its tests: the file that mirrors it, and neighbours that hold it to something.
MODULES = {
  "dnas/space/cell.py": ("tests/space/test_cell.py", "tests/space/test_cells.py"),
  "dnas/space/space.py": ("tests/space/test_space.py", "tests/space/test_document.py"),
  "dnas/strategy/relaxation.py": ("tests/strategy/test_relaxation.py",),
  "dnas/strategy/hypergradient.py": ("tests/strategy/test_hypergradient.py",),
  "dnas/strategy/bilevel.py": ("tests/strategy/test_bilevel.py", "tests/strategy/test_pricing.py"),
  "dnas/strategy/discretize.py": ("tests/strategy/test_discretize.py",),
  "dnas/nn/ops.py": ("tests/nn/test_ops.py",),
  "dnas/nn/network.py": ("tests/nn/test_network.py",),
  "dnas/detection/assign.py": ("tests/detection/test_assign.py",),
  "dnas/detection/loss.py": ("tests/detection/test_loss.py",),
  "dnas/cost/latency.py": ("tests/cost/test_latency.py",),
}
# Mutants that compute the same, each with the reason why no test can tell.
EQUIVALENT = "tests/equivalent_mutants.json"
_PATIENCE = 4  # times the processor time of the sound module, and `_SPARE_S` more
_SPARE_S = 30
_STUCK_S = 1800  # of a process that waits instead of computing
# What tests import, apart from dnas itself.
_LOADED = ["jax", "flax.nnx", "optax", "scipy.stats", "pytest", "matplotlib.figure", "rich.console"]
Record = dict[str, Any]


class Sound(NamedTuple):
  """The tests of a module that is not broken: from the quickest to the slowest, and their time."""

  tests: list[str]
  cpu_s: float


def make(
  root: pathlib.Path,
  out: pathlib.Path,
  workdir: pathlib.Path,
  *,
  command: str,
  only: Sequence[str] = (),
  count: int = 18,
  seed: int = 0,
  say: Callable[[str], object] = say,
) -> None:
  """Breaks the modules and writes the table.

  What has been found is in `workdir`; called again, it goes on. What was caught counts as caught
  (as long as the mutant is drawn); what survived is tried again where tests of it have changed.

  Args:
    root: of the repository, whose files as they are now are copied.
    out: folder of the table.
    workdir: of the copy and of what has been found.
    command: how this is made, for the provenance.
    only: parts of the names of modules; empty: all.
    count: mutants a module, each on another line.
    seed: of the draw.
    say: gets a line for each mutant.

  Raises:
    DnasError: no module is named so, or the tests of a sound module fail.
  """
  chosen = {m: t for m, t in MODULES.items() if not only or any(part in m for part in only)}
  if not chosen:
    raise DnasError(f"modules: none has {' or '.join(only)} in its name; valid: {[*MODULES]}")
  equivalent = reasons(files.json_of(root / EQUIVALENT))
  state = workdir / "found.json"
  found = {_key(r): r for r in (files.json_of(state) if state.exists() else [])}
  copy = copied(root, workdir / "tree")
  commit, drawn, due = table.origin()["commit"], [], []
  for module, tests in chosen.items():
    source, digest = (root / module).read_text(encoding="utf-8"), _digest(root, tests)
    for mutant in mutants.choose(source, count, seed):
      key, new = (module, *mutant.key), {"module": module, **mutant._asdict(), "tests": digest}
      # What stands in the table are today's lines.
      old = {k: v for k, v in found.get(key, {}).items() if k not in ("line", "span")}
      done = old and (old["outcome"] == "caught" or old["tests"] == digest)
      found[key] = {**new, **old} if done else new
      drawn.append(key)
      if key in equivalent:
        found[key] |= {"outcome": "equivalent", "reason": equivalent[key]}
      elif not done:
        due.append((module, mutant, key))
  begun, sound = time.monotonic(), {}
  for n, (module, mutant, key) in enumerate(due):
    if module not in sound:
      sound[module] = _sound(copy, chosen[module])
      say(f"{module}: {len(sound[module].tests)} tests, {sound[module].cpu_s:.0f} s")
    found[key] |= {**_one(copy, module, mutant, sound[module]), "commit": commit}
    done = [record for record in found.values() if "outcome" in record]
    files.atomic_write(state, json.dumps(done, indent=1) + "\n")
    left_s = (time.monotonic() - begun) / (n + 1) * (len(due) - n - 1)
    say(
      f"[{n + 1}/{len(due)}] {module}:{mutant.line} {mutant.kind}: {found[key]['outcome']} "
      f"{found[key]['by']}; {datetime.timedelta(seconds=round(left_s))} left"
    )
  write(out, [found[key] for key in drawn], {"command": command, "seed": seed, "mutants": count})


def write(out: pathlib.Path, records: Sequence[Record], provenance: Mapping[str, Any]) -> None:
  """Writes the table, its survivors and equivalents in words, and `mutants.json` with all."""
  rows = []
  for module in dict.fromkeys(record["module"] for record in records):
    of = [record for record in records if record["module"] == module]
    rows.append({"module": module.removeprefix("dnas/"), **_counts(of)})
  rows.append({"module": "all", **_counts(records)})
  total = rows[-1]
  text = [
    "Mutants",
    f"One line at a time is broken, and the module's tests are to notice: {total['caught']} of "
    f"{total['mutants'] - total['equivalent']} mutants are caught. Of each module `mutants` lines "
    "are drawn by the seed, and one mutant of each: a comparison changed, + made -, a constant "
    "changed, a condition negated, a return value dropped, a statement deleted and so on; "
    "docstrings, messages and types are left alone. `by_time` of those caught ran without end. "
    "`percent` is of those that are not equivalent: those compute the same, no test can tell. "
    "`mutants.json` has them all, with the test that noticed and the commit at which it ran. "
    "Survivors lead to tests, so that a seed judges the tests once: then take another.",
  ]
  for title, outcome in (("Survivors", "survived"), ("Equivalent mutants", "equivalent")):
    some = [record for record in records if record["outcome"] == outcome]
    lines = [
      f"- `{r['module']}:{r['line']}` {r['kind']}: {_quoted(r['before'])} becomes "
      f"{_quoted(r['after'])}" + (f" ({r['reason']})" if "reason" in r else "")
      for r in some
    ]
    text += [f"{title}:\n\n" + "\n".join(lines)] if lines else []
  table.write(out, "\n\n".join(text).replace("\n\n", "\n", 1), rows, provenance)
  kept = [{k: v for k, v in r.items() if k not in ("span", "tests")} for r in records]
  files.atomic_write(out / "mutants.json", json.dumps(kept, indent=1) + "\n")


def reasons(entries: Sequence[Mapping[str, Any]]) -> dict[tuple, str]:
  """The entries of `EQUIVALENT` as key of the mutant -> why it computes the same."""
  return {_key({"nth": 0, **entry}): entry["reason"] for entry in entries}


def copied(root: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """A copy of the repository's files in `folder`, tracked or not, without what git ignores."""
  words = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
  names = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\0")
  shutil.rmtree(folder, ignore_errors=True)
  for name in filter(None, names):
    if not name.startswith("paper_results/") and (root / name).is_file():
      (folder / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy2(root / name, folder / name)
  return folder


def _counts(records: Sequence[Record]) -> dict[str, Any]:
  count = lambda *outcomes: sum(record["outcome"] in outcomes for record in records)
  real = len(records) - count("equivalent")
  return {
    "mutants": len(records),
    "equivalent": count("equivalent"),
    "caught": count("caught"),
    "by_time": sum(r["outcome"] == "caught" and r["by"] == "time" for r in records),
    "survived": count("survived"),
    "percent": 100.0 * count("caught") / real if real else float("nan"),
  }


def _key(record: Mapping[str, Any]) -> tuple:
  return tuple(record[k] for k in ("module", "text", "kind", "before", "after", "nth"))


def _quoted(source: str) -> str:
  """In one line, short enough to read."""
  line = " ".join(source.split()).replace("`", "'")
  return f"`{line[:77] + '...' if len(line) > 80 else line}`"


def _digest(root: pathlib.Path, names: Sequence[str]) -> str:
  return hashlib.sha256(b"".join((root / name).read_bytes() for name in names)).hexdigest()[:12]


def _sound(copy: pathlib.Path, tests: Sequence[str]) -> Sound:
  """Runs the tests of a module as it is."""
  code, said, cpu_s = _pytest(copy, ["-vv", "--durations=0", *tests], cpu_s=None)
  if code:
    raise DnasError(f"{' '.join(tests)}: they fail before anything is broken: {said[-2000:]}")
  took: dict[str, float] = {}
  for seconds, test in re.findall(r"^([\d.]+)s (?:setup|call|teardown) +(\S.*)$", said, re.M):
    took[test] = took.get(test, 0.0) + float(seconds)
  return Sound(sorted(took, key=lambda test: took[test]), cpu_s)


def _one(copy: pathlib.Path, module: str, mutant: mutants.Mutant, sound: Sound) -> Record:
  """Runs the tests of a broken module, the quick ones first, until one fails."""
  path = copy / module
  source = path.read_text(encoding="utf-8")
  files.atomic_write(path, mutant.apply(source))
  try:
    limit_s = _PATIENCE * sound.cpu_s + _SPARE_S
    code, said, cpu_s = _pytest(copy, ["-x", "-q", *sound.tests], cpu_s=limit_s)
  finally:
    files.atomic_write(path, source)
  failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.M)
  by = failed[1] if failed else "" if code == 0 else said[-300:]
  if code in (-signal.SIGKILL, -signal.SIGXCPU):
    by = "time"
  return {"outcome": "survived" if code == 0 else "caught", "by": by, "cpu_s": round(cpu_s, 1)}


def _pytest(
  copy: pathlib.Path, arguments: Sequence[str], cpu_s: float | None
) -> tuple[int, str, float]:
  """(exit code, what was said, processor time in s) of tests in the copy, perhaps limited."""
  spoken = copy.parent / "spoken.txt"
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(_LOADED)
  process = context.Process(target=_child, args=(copy, list(arguments), spoken, cpu_s))
  process.start()
  try:
    process.join(_STUCK_S)
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
  said = spoken.read_text(encoding="utf-8", errors="replace")
  used = re.search(r"^cpu_s=(.*)$", said, re.M)
  return process.exitcode or 0, said, float(used[1]) if used else cpu_s or math.nan


def _child(
  copy: pathlib.Path, arguments: list[str], spoken: pathlib.Path, cpu_s: float | None
) -> None:
  """Runs pytest in the copy; what is loaded already is not loaded once more for each mutant."""
  os.setsid()
  for to in (1, 2):
    os.dup2(os.open(spoken, os.O_WRONLY | os.O_CREAT | os.O_TRUNC * (to == 1) | os.O_APPEND), to)
  if cpu_s:
    # Processor time: a machine that is busy, or a process that was stopped, is no endless loop.
    resource.setrlimit(resource.RLIMIT_CPU, (round(cpu_s), round(cpu_s)))
  for name in [name for name in sys.modules if name.partition(".")[0] == "dnas"]:
    del sys.modules[name]
  os.chdir(copy)
  sys.path.insert(0, str(copy))
  # The sound module's programs are compiled once; of it, and of it only, byte code is kept.
  os.environ |= {"PYTHONPATH": str(copy), "DNAS_TEST_XLA": str(copy.parent / "xla")}
  os.environ |= {"COLUMNS": "300"}
  sys.dont_write_bytecode = cpu_s is not None
  import pytest

  code = pytest.main(["-p", "no:cacheprovider", *arguments])
  used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
  print(f"\ncpu_s={sum(u.ru_utime + u.ru_stime for u in used):.2f}", flush=True)
  os._exit(int(code))
