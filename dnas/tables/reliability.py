# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Real processes, really killed: a run that died many times against one that never did.

Equal means equal bits: genotypes, metrics of every step, weights, results.
"""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dnas import files, log
from dnas.errors import DnasError
from dnas.progress import say
from dnas.tables import table

COMPARED = ("*.json", "*.jsonl", "*.npz")
WAYS = ("running", "saving", "running", "starting")


@dataclasses.dataclass
class Life:
  """One process of a run.

  Attributes:
    ended: "SIGKILL while running", or "exit 0".
    seconds: from its start to its end.
    until_loop_s: from its start to its first loop; NaN if it saw none.
    logged, saved: steps, of all loops of the run, that are in its metrics and in its checkpoints.
    first_mib, half_mib, last_mib: resident memory when it entered the loop, half-way between that
      and its end, and the last that was seen. A leak is what grows in the second half: in the
      first the programs are compiled.
  """

  ended: str = ""
  seconds: float = 0.0
  until_loop_s: float = float("nan")
  logged: int = 0
  saved: int = 0
  first_mib: float = 0.0
  half_mib: float = 0.0
  last_mib: float = 0.0


def live(
  command: Sequence[str],
  workdir: pathlib.Path,
  way: str | None = None,
  after_s: float = 0.0,
  after_steps: float = 0,
  sig: int = signal.SIGKILL,
  environment: Mapping[str, str] | None = None,
) -> Life:
  """One process of the run in `workdir`, to its own end or to a signal.

  Args:
    command: starts it.
    workdir: where it runs, to be watched. What it says goes to the file `WORKDIR.log`.
    way: the signal comes "starting": `after_s` after the start; "running": so long after it has
      logged `after_steps` steps more than the checkpoints held when it began; "saving": when,
      thereafter, a checkpoint is half written. None: never.
    after_s, after_steps: see there.
    sig: the signal.
    environment: added to this process's own.

  Raises:
    DnasError: it failed by itself; what it said last is in the message.
  """
  life, start = Life(), time.monotonic()
  spoken = workdir.with_name(f"{workdir.name}.log")
  before, enough, begun = _touched(workdir), None, progress(workdir)[1]
  spoken.parent.mkdir(parents=True, exist_ok=True)
  looped, seen = None, []
  with open(spoken, "wb") as output:
    process = subprocess.Popen(
      list(command), stdout=output, stderr=output, env={**os.environ, **(environment or {})}
    )
    try:
      while process.poll() is None:
        now = time.monotonic()
        life.last_mib = _resident_mib(process.pid) or life.last_mib
        if looped is None and _touched(workdir) != before:
          looped, life.first_mib, life.until_loop_s = now, life.last_mib, now - start
        if looped:
          seen.append((now, life.last_mib))
        if enough is None and looped and _logged(workdir) - begun >= after_steps:
          enough = now
        since = now - (start if way == "starting" else enough or now + 1)
        due = way is not None and since >= after_s
        if due and not life.ended and (way != "saving" or _saving(workdir)):
          process.send_signal(sig)
          life.ended = f"{signal.Signals(sig).name} while {way}"
        # A checkpoint is written within milliseconds: one has to look more often.
        time.sleep(0.0002 if due and way == "saving" else 0.02)
    finally:
      process.kill()
      process.wait()
  life.seconds = time.monotonic() - start
  half_s = (looped or start) + (time.monotonic() - (looped or start)) / 2
  life.half_mib = next((mib for at, mib in seen if at >= half_s), life.last_mib)
  life.logged, life.saved = progress(workdir)
  if process.returncode > 0 or not life.ended:
    life.ended += f"{', ' if life.ended else ''}exit {process.returncode}"
  if process.returncode > 0 and sig == signal.SIGKILL:
    said = spoken.read_text(encoding="utf-8", errors="replace")
    raise DnasError(f"{' '.join(command)} ended with {process.returncode}: ... {said[-1000:]}")
  return life


def progress(workdir: pathlib.Path) -> tuple[int, int]:
  """(steps in the metrics, steps in the newest checkpoints), summed over the run's loops."""
  logged = [log.read(path)[-1:] for path in _metrics(workdir)]
  steps = [
    max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)
    for folder in workdir.rglob("checkpoints")
  ]
  return sum(record["step"] for last in logged for record in last), sum(steps)


def kill_many(
  command: Callable[[pathlib.Path], Sequence[str]],
  workdir: pathlib.Path,
  kills: int,
  *,
  every_s: float | None = None,
  seed: int = 0,
  environment: Mapping[str, str] | None = None,
  say: Callable[[str], object] = say,
) -> tuple[Life, list[Life]]:
  """The same run twice: undisturbed, and killed `kills` times at random moments.

  A quarter of the kills hits the start, a quarter a checkpoint that is half written. What has been
  lived is in `lives.jsonl`: stopped and called again, this goes on after the last whole life.

  Args:
    command: folder -> what starts the run in it.
    workdir: gets `undisturbed/` and `killed/`.
    kills: how many.
    every_s: kill each life so long after it has entered its loop instead; a run that is over
      earlier is killed less often.
    seed: of the moments.
    environment: added to this process's own.
    say: is told of each life.

  Returns:
    The undisturbed life, and those of the killed run, the last of which ended by itself.

  Raises:
    DnasError: a process failed by itself, or the run was over before it was killed so often.
  """
  rng, path = random.Random(seed), workdir / "lives.jsonl"
  lived = [Life(**record) for record in _lines(path)]

  def once(what: str, *arguments: Any) -> Life:
    if len(lived) <= len(lives):
      folder = workdir / ("killed" if lives else "undisturbed")
      lived.append(live(command(folder), folder, *arguments, environment=environment))
      text = "".join(json.dumps(dataclasses.asdict(life)) + "\n" for life in lived)
      files.atomic_write(path, text)
      say(f"{what}: {lived[-1]}")
    return lived[len(lives)]

  lives: list[Life] = []
  lives.append(once("undisturbed"))
  for i in range(kills):
    way = "running" if every_s else WAYS[i % len(WAYS)]
    after_s = every_s or rng.uniform(0, lives[0].until_loop_s if way == "starting" else 0.2)
    # Even shares of what is left, one of them for the end, so that no moment lies beyond it.
    share = (lives[0].logged - (lives[-1].saved if i else 0)) / (kills - i + 1)
    after_steps = 0 if every_s else rng.uniform(0, share)
    lives.append(once(f"{i + 1} of {kills}", way, after_s, after_steps))
    if lives[-1].ended.startswith("exit"):
      if every_s and i:
        return lives[0], lives[1:]
      raise DnasError(f"the run was over after {i} of {kills} kills: give it more steps")
  lives.append(once("to the end"))
  return lives[0], lives[1:]


def _lines(path: pathlib.Path) -> list[dict[str, Any]]:
  lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
  return [json.loads(line) for line in lines]


def differences(a: pathlib.Path, b: pathlib.Path) -> list[str]:
  """The files under two run folders (`COMPARED`) that are not the same bits, or in one only."""
  files = [
    {str(path.relative_to(root)) for pattern in COMPARED for path in root.rglob(pattern)}
    for root in (a, b)
  ]
  inner = lambda name: "checkpoints" in pathlib.PurePath(name).parts
  names = sorted(name for name in files[0] | files[1] if not inner(name))
  return [
    name
    for name in names
    if name not in files[0] & files[1] or (a / name).read_bytes() != (b / name).read_bytes()
  ]


def litter(workdir: pathlib.Path) -> list[str]:
  """Half-written files that a killed process left and nobody removed."""
  patterns = ("*.tmp", "*orbax-checkpoint-tmp*")
  return sorted(str(path.relative_to(workdir)) for p in patterns for path in workdir.rglob(p))


def write(
  out: pathlib.Path, workdir: pathlib.Path, whole: Life, lives: Sequence[Life], **provenance: str
) -> list[str]:
  """Writes the table of all lives; returns what is wrong: files that differ, litter.

  `provenance` has the `command`, and may have a `note` of what else ran meanwhile.
  """
  faults = differences(workdir / "undisturbed", workdir / "killed") + litter(workdir / "killed")
  rows = [
    {"life": name, **dataclasses.asdict(life)}
    for name, life in [("undisturbed", whole), *((str(i + 1), x) for i, x in enumerate(lives))]
  ]
  compared = sum(1 for p in COMPARED for _ in (workdir / "undisturbed").rglob(p))
  lost = sum(life.logged - life.saved for life in lives[:-1])
  table.write(
    out,
    f"A run killed {len(lives) - 1} times\n\n"
    + (f"Faults: {', '.join(faults)}." if faults else "Equal to the undisturbed run, bit for bit")
    + (f" ({compared} files with genotype, metrics, weights, results), and no litter.\n\n")
    + f"Computed twice: {lost} steps. Memory is resident memory in MiB."
    + (f" {provenance['note']}" if "note" in provenance else ""),
    rows,
    provenance,
  )
  return faults


def _metrics(workdir: pathlib.Path) -> list[pathlib.Path]:
  """The metrics of a run; its checkpoints, which come and go meanwhile, are not entered."""
  found = []
  for folder, inner, names in os.walk(workdir):
    inner[:] = sorted(name for name in inner if name != "checkpoints")
    found += [pathlib.Path(folder, name) for name in names if name == "metrics.jsonl"]
  return found


def _touched(workdir: pathlib.Path) -> list[tuple[str, int]]:
  """Changes when a loop opens its metrics."""
  return [(str(path), path.stat().st_mtime_ns) for path in _metrics(workdir)]


def _logged(workdir: pathlib.Path) -> int:
  """About how many steps are in the metrics: `progress` without reading them."""
  return sum(path.read_bytes().count(b"\n") for path in _metrics(workdir))


def _saving(workdir: pathlib.Path) -> bool:
  folders = [path.parent / "checkpoints" for path in _metrics(workdir)]
  return any(
    "orbax-checkpoint-tmp" in name for f in folders if f.is_dir() for name in os.listdir(f)
  )


def _resident_mib(pid: int) -> float | None:
  try:
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
  except OSError:
    return None
  line = next((line for line in text.splitlines() if line.startswith("VmRSS")), None)
  return int(line.split()[1]) / 1024 if line else None
