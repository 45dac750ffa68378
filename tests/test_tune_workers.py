# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A tuning by several processes: each trial is evaluated once, whoever dies, and on any storage."""

import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from ml_collections import ConfigDict

from dnas import config as configs
from dnas.errors import DnasError
from dnas.lock import run_lock
from dnas.method import space_of
from dnas.tune import held_out, storage, study, trials, tune

ROOT = pathlib.Path(__file__).resolve().parents[1]
RANGES = dict(train=dict(ema=dict(low=0.5, high=0.995)))
TRIALS = 8
VICTIMS = "0002", "0005"


@pytest.fixture
def config(root):
  return configs.load(root / "configs" / "digits.py")


@pytest.fixture
def evaluated(monkeypatch):
  """Trials cost nothing and no time passes between looks; the numbers of those evaluated."""
  pytest.importorskip("optuna")
  calls = []

  def score(config, genotype, folder, report, *, share, every_steps):
    calls.append(int(folder.parent.name))
    return config.train.ema

  monkeypatch.setattr(held_out, "score", score)
  monkeypatch.setattr(study, "search", lambda c, folder: space_of(c).sample(random.Random(0)))
  monkeypatch.setattr(trials, "POLL_S", 0.001)
  monkeypatch.setattr(trials, "BEAT_POLLS", 10_000)
  return calls


def shared(config, folder):
  """The study of a tuning in `folder`, once it has had one trial."""
  tune(config, ConfigDict(RANGES), folder, trials=1)
  import optuna

  place = f"sqlite:///{folder}/study.db"
  return optuna.load_study(study_name=folder.name, storage=storage._open(optuna, place, place))


def result(folder):
  return json.loads((folder / "tuning.json").read_text())["trials"]


def test_trials_of_dead_processes_are_taken_over(config, tmp_path, evaluated):
  others = shared(config, tmp_path)
  others.ask()  # Killed before it could say who it was,
  others.ask().set_user_attr("worker", {"host": "elsewhere", "claim": "a", "beat": 7})  # and later,
  here = {"host": socket.gethostname(), "claim": "b", "beat": 0}
  others.ask().set_user_attr("worker", here)  # and here.
  said = []
  tune(config, ConfigDict(RANGES), tmp_path, trials=5, say=said.append)
  assert evaluated[:3] == [0, 3, 4]  # What is here is known to be dead; the others are waited for.
  assert sorted(evaluated) == [0, 1, 2, 3, 4]
  assert [trial["state"] for trial in result(tmp_path)] == ["complete"] * 5
  assert "trial 2: its process, on elsewhere, has ended; taken over" in said
  assert len({trial["fields"]["train.ema"] for trial in result(tmp_path)}) == 5


def test_trials_of_living_processes_are_waited_for(config, tmp_path, evaluated, monkeypatch):
  """Whether they give signs of life (1), or are on this machine and hold their lock (2)."""
  others = shared(config, tmp_path)
  far, near = others.ask(), others.ask()
  near.set_user_attr("worker", {"host": socket.gethostname(), "claim": "b", "beat": 0})
  beats = iter(range(5 * trials.LOOKS))

  def pause(seconds):
    if (beat := next(beats, None)) is not None:
      far.set_user_attr("worker", {"host": "elsewhere", "claim": "a", "beat": beat})
    elif not others.trials[1].state.is_finished():
      others.tell(far, 0.25)
      others.tell(near, 0.75)

  with run_lock(tmp_path / "trials" / "0002"):
    monkeypatch.setattr(trials.time, "sleep", pause)
    tune(config, ConfigDict(RANGES), tmp_path, trials=3)
  assert evaluated == [0]
  assert [trial["score"] for trial in result(tmp_path)[1:]] == [0.25, 0.75]


def test_what_was_finished_meanwhile_is_not_done_again(config, tmp_path, evaluated):
  others = shared(config, tmp_path)
  import optuna

  mine = trials.Trials(optuna, others, tmp_path, 2, say=print)
  late = others.ask()
  others.tell(late, 0.5)
  assert mine._hold(late) is None
  assert mine.claim() is None


def test_a_process_taken_for_dead_counts_once(config, tmp_path, evaluated, monkeypatch):
  """It wakes up in the middle of a trial that another has finished."""
  others, said = shared(config, tmp_path), []

  def sleeps(config, genotype, folder, report, *, share, every_steps):
    others.tell(1, 0.5)
    report(1, 0.1)
    raise AssertionError("not reached")

  monkeypatch.setattr(held_out, "score", sleeps)
  tune(config, ConfigDict(RANGES), tmp_path, trials=2, say=said.append)
  assert result(tmp_path)[1]["score"] == 0.5
  assert said == ["trial 1: another process took this one for dead and finished its trial"]


def test_all_train_the_genotype_of_the_storage(config, tmp_path, evaluated, monkeypatch):
  shared(config, tmp_path)
  monkeypatch.setattr(study, "search", lambda config, folder: pytest.fail("searched again"))
  tune(config, ConfigDict(RANGES), tmp_path, trials=2)
  assert evaluated == [0, 1]


@pytest.mark.parametrize(
  ("place", "message"),
  [
    ("study.db", "--storage 'study.db' is none; valid: sqlite:///FILE"),
    ("sqlite://", "is none; valid"),  # In memory: nobody could share it or go on.
    ("redis://host/0", "FILE.journal for machines that share a disk"),
    ("sqlite:////no/such/folder/study.db", "cannot be opened: unable to open database file"),
    ("/no/such/folder/study.journal", "cannot be opened: .*No such file or directory"),
    ("postgresql+no_such_driver://u:secret@host/db", r"//u:\*\*\*@host/db: cannot be opened"),
  ],
)
def test_storages_that_cannot_be_had(monkeypatch, place, message):
  pytest.importorskip("optuna")
  monkeypatch.setattr(storage, "_FIRST_PAUSE_S", 0)
  with pytest.raises(DnasError, match=message) as error:
    storage.open_study(place, "a", {})
  assert "secret" not in str(error.value)


def test_the_default_storage_is_in_the_folder_whatever_its_name(tmp_path):
  pytest.importorskip("optuna")
  for name in ("a b", "a?b", "a%20b", "100%", "a#b&c=d"):
    (folder := tmp_path / name).mkdir()
    storage.open_study(storage.beside(folder), "a", {})
    assert [path.name for path in folder.iterdir()] == ["study.db"]
  assert len(list(tmp_path.iterdir())) == 5


def test_a_journal_is_found_from_any_folder(tmp_path, monkeypatch):
  """Its lock is a link: one that led nowhere could never be found stale after a kill."""
  pytest.importorskip("optuna")
  monkeypatch.chdir(tmp_path)
  opened = storage.open_study("a.journal", "a", {})
  (tmp_path / "elsewhere").mkdir()
  monkeypatch.chdir("elsewhere")
  opened.ask()
  assert len(storage.open_study("../a.journal", "a", {}).trials) == 1
  lock = opened._storage._backend._lock
  assert lock.acquire()
  assert (tmp_path / "a.journal.lock").resolve() == tmp_path / "a.journal"
  lock.release()


WORKER = """
import os, pathlib, random, socket, sys, time

from ml_collections import ConfigDict

from dnas import config as configs
from dnas.method import space_of
from dnas.tune import held_out, study, trials, tune

folder, workdir, storage, host, ranges, count, victims = sys.argv[1:]
folder = pathlib.Path(folder)
socket.gethostname = lambda: host
trials.POLL_S = 0.5


def tell(*words):
  line = " ".join(map(str, words)) + "\\n"
  with open(folder / "events", "ab", buffering=0) as file:
    file.write(line.encode())


def score(config, genotype, trial, report, *, share, every_steps):
  number = trial.parent.name
  tell("begin", number, os.getpid())
  report(1, 0.5)  # None is worse than the others here, and so pruned.
  if number in victims.split(","):
    try:
      (folder / f"victim{number}").open("x").close()
    except FileExistsError:
      pass
    else:
      tell("hangs", number, os.getpid())
      while True:
        time.sleep(0.1)
  tell("end", number, os.getpid())
  return config.train.ema


held_out.score = score
study.search = lambda config, folder: space_of(config).sample(random.Random(0))
config = configs.load(folder / "config.json")
space = ConfigDict(eval(ranges))
tune(config, space, pathlib.Path(workdir), trials=int(count), storage=storage, say=print)
"""


@pytest.mark.slow  # Starts processes that import jax.
@pytest.mark.parametrize("kind", ["one machine, SQLite", "four machines, journal"])
def test_four_processes_on_one_storage_and_two_are_killed(kind, config, tmp_path):
  """Their trials are others' then; nothing else is lost, or evaluated twice."""
  optuna = pytest.importorskip("optuna")
  (tmp_path / "config.json").write_text(configs.to_json(config))
  (tmp_path / "worker.py").write_text(WORKER)
  one = kind.startswith("one")
  place = f"sqlite:///{tmp_path}/study.db" if one else str(tmp_path / "study.journal")
  folders = [tmp_path / ("host" if one else f"host{i}") / "tuned" for i in range(4)]
  common = [repr(RANGES), str(TRIALS), ",".join(VICTIMS)]
  environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
  workers = {}
  for folder in folders:
    arguments = [tmp_path, folder, place, folder.parent.name, *common]
    process = subprocess.Popen(
      [sys.executable, tmp_path / "worker.py", *arguments], env=environment
    )
    workers[process] = folder
  try:
    hanging, limit = {}, time.monotonic() + 600
    while len(hanging) < len(VICTIMS):
      hanging = {number: int(pid) for kind, number, pid in events(tmp_path) if kind == "hangs"}
      assert all(process.poll() is None for process in workers)
      assert time.monotonic() < limit, events(tmp_path)
      time.sleep(0.05)
    assert hanging.keys() == set(VICTIMS)
    killed = [process for process in workers if process.pid in hanging.values()]
    assert len(killed) == 2
    for process in killed:
      process.send_signal(signal.SIGKILL)
    for process in workers:
      assert process.wait(timeout=600) == (-signal.SIGKILL if process in killed else 0)
  finally:
    for process in workers:
      process.kill()
      process.wait()

  begun = collections.defaultdict(list)
  for event, number, pid in events(tmp_path):
    if event == "begin":
      begun[number].append(int(pid))
  numbers = [f"{n:04d}" for n in range(TRIALS)]
  assert sorted(begun) == numbers
  survivors = {process.pid for process in workers if process not in killed}
  for number, pids in begun.items():
    assert len(pids) == (2 if number in VICTIMS else 1), number
    if number in VICTIMS:
      assert pids[0] == hanging[number]
      assert pids[1] in survivors
  ended = sorted(number for event, number, _ in events(tmp_path) if event == "end")
  assert ended == numbers

  stored = storage._open(optuna, place, place)
  found = optuna.load_study(study_name="tuned", storage=stored).trials[:TRIALS]
  assert {trial.state for trial in found} == {optuna.trial.TrialState.COMPLETE}
  assert len({trial.params["train.ema"] for trial in found}) == TRIALS
  assert [trial.value for trial in found] == [trial.params["train.ema"] for trial in found]
  assert found[0].params["train.ema"] == config.train.ema
  for process, folder in workers.items():
    if process not in killed:
      assert [trial["state"] for trial in result(folder)] == ["complete"] * TRIALS
      best = configs.load(folder / "best.json")
      assert best.train.ema == max(trial.value for trial in found)


def events(folder) -> list[list[str]]:
  path = folder / "events"
  return [line.split() for line in path.read_text().splitlines()] if path.exists() else []
