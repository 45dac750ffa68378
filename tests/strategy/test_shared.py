# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations over a shared folder: each once, the dead ones' again, the history as ever."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest

from dnas.space import cells
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box, history, shared

SPACE = cells.nasbench201()
BUDGET = 12


def score(genotype: SearchSpace, key) -> dict[str, float]:
  convolutions = genotype.to_json().count("nor_conv_3x3")
  return {"score": convolutions + float(jax.random.uniform(key))}


def run(path: pathlib.Path, executor=None) -> list[ask_tell.Query]:
  strategy = black_box.evolution(SPACE, population=4)
  return history.run(SPACE, strategy, score, path, budget=BUDGET, executor=executor, ahead=4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> bytes:
  """The history of a search that asks for four at a time and evaluates here."""
  path = tmp_path_factory.mktemp("alone") / "history.jsonl"
  run(path)
  return path.read_bytes()


def begin(folder: pathlib.Path, evaluator=score, **settings) -> threading.Thread:
  settings = {"poll_s": 0.01, "say": lambda message: None, **settings}
  thread = threading.Thread(target=shared.work, args=(folder, evaluator), kwargs=settings)
  thread.start()
  return thread


def test_workers_elsewhere_give_the_same_history(alone, tmp_path):
  queue = tmp_path / "queue"
  executor = shared.Executor(queue, poll_s=0.01)
  threads = [begin(queue) for _ in range(2)]
  run(tmp_path / "history.jsonl", executor)
  executor.close()
  for thread in threads:
    thread.join()
  assert (tmp_path / "history.jsonl").read_bytes() == alone
  assert not list(queue.glob("*.claim"))
  # Started anew it finds everything evaluated.
  run(tmp_path / "again.jsonl", shared.Executor(queue))
  assert (tmp_path / "again.jsonl").read_bytes() == alone
  # But what something else has evaluated does not count.
  genotype, key = SPACE.decide({"cell": ["none"] * 6}), jax.random.key(0)
  asked = [shared.Executor(queue, about).submit(score, genotype, key) for about in ("", "other")]
  assert asked[0].name != asked[1].name


def test_rungs_reach_the_workers(tmp_path):
  """And another rung of a genotype and key is another task."""

  def score_at(genotype, key, rung):
    return {"score": score(genotype, key)["score"] * (1 + rung)}

  score_at.rungs = 2
  strategy = black_box.successive_halving(SPACE, candidates=3, rungs=2)

  def halve(path, executor=None):
    history.run(SPACE, strategy, score_at, path, budget=BUDGET, executor=executor, ahead=4)
    return path.read_bytes()

  queue = tmp_path / "queue"
  executor = shared.Executor(queue, poll_s=0.01)
  thread = begin(queue, score_at)
  assert halve(tmp_path / "shared.jsonl", executor) == halve(tmp_path / "alone.jsonl")
  genotype, key = SPACE.decide({"cell": ["none"] * 6}), jax.random.key(0)
  results = [executor.submit(score_at, genotype, key, rung) for rung in (0, 1)]
  short, long = (result.result()["score"] for result in results)
  assert long == 2 * short
  executor.close()
  thread.join()
  plain = shared.Executor(tmp_path / "plain").submit(score, genotype, key)
  assert len({plain.name, *(result.name for result in results)}) == 3


def one_task(folder: pathlib.Path) -> tuple[shared.Executor, shared.Result]:
  executor = shared.Executor(folder, poll_s=0.01)
  genotype = SPACE.decide({"cell": ["nor_conv_3x3"] * 6})
  return executor, executor.submit(score, genotype, jax.random.key(3))


def test_a_dead_workers_task_is_taken_over_and_a_living_ones_is_not(tmp_path):
  executor, result = one_task(tmp_path)
  claim = tmp_path / f"{result.name}.claim"
  claim.write_text("process 1 on elsewhere")
  executor.close()
  assert shared.work(tmp_path, score, poll_s=0.01) == 0
  os.utime(claim, (1e9, 1e9))
  assert shared.work(tmp_path, score, poll_s=0.01, say=lambda message: None) == 1
  assert result.result() == pytest.approx(
    score(SPACE.decide({"cell": ["nor_conv_3x3"] * 6}), jax.random.key(3))
  )
  assert not list(tmp_path.glob("*.claim")) + list(tmp_path.glob("*.stale"))


def test_a_claim_is_touched_while_its_task_takes_long(tmp_path):
  executor, result = one_task(tmp_path)
  executor.close()
  ages = []

  def slow(genotype, key):
    time.sleep(1)
    ages.append(time.time() - (tmp_path / f"{result.name}.claim").stat().st_mtime)
    return {"score": 0.0}

  shared.work(tmp_path, slow, patience_s=0.4, poll_s=0.01, say=lambda message: None)
  assert ages[0] < 0.9  # Untouched it would be 1 s old, and free for others after 0.4.


def test_an_evaluation_that_fails_is_told_and_repeated_when_started_again(tmp_path):
  executor, result = one_task(tmp_path)
  executor.close()

  def broken(genotype, key):
    raise ValueError("no such data")

  shared.work(tmp_path, broken, say=lambda message: None)
  with pytest.raises(shared.SharedError, match=r"on process .*: ValueError: no such data"):
    result.result()
  # Of workers that live on none takes it again by itself: its cause may not have been mended.
  assert shared.work(tmp_path, broken, say=lambda message: None) == 0
  executor, result = one_task(tmp_path)
  executor.close()
  assert shared.work(tmp_path, score, say=lambda message: None) == 1
  assert result.result()["score"] > 6


def test_a_worker_that_has_to_end_gives_its_task_back(tmp_path):
  executor, result = one_task(tmp_path)
  executor.close()

  def ended(genotype, key):
    raise SystemExit(75)

  with pytest.raises(SystemExit):
    shared.work(tmp_path, ended)
  assert not (tmp_path / f"{result.name}.claim").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", "[" * 100_000])
def test_broken_files(tmp_path, text):
  _, result = one_task(tmp_path)
  (tmp_path / f"{result.name}.result").write_text(text)
  with pytest.raises(shared.SharedError, match=f"{result.name}.result"):
    result.result()


WORKER = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[2])
from test_shared import score
from dnas.strategy import shared
folder = pathlib.Path(sys.argv[1])

def slow(genotype, key):
  with open(folder / "calls", "a") as file:
    print("called", file=file)
  time.sleep(0.5)
  return score(genotype, key)

print("ready", flush=True)
shared.work(folder, slow, patience_s=2, poll_s=0.05)
"""


@pytest.mark.slow
def test_four_processes_of_which_two_are_killed(alone, tmp_path):
  queue = tmp_path / "queue"
  executor = shared.Executor(queue, poll_s=0.05)
  here = str(pathlib.Path(__file__).parent)
  workers = [
    subprocess.Popen(
      [sys.executable, "-c", WORKER, str(queue), here], stdout=subprocess.PIPE, text=True
    )
    for _ in range(4)
  ]
  search = threading.Thread(target=run, args=(tmp_path / "history.jsonl", executor))
  try:
    for worker in workers:
      assert worker.stdout is not None
      assert worker.stdout.readline() == "ready\n"
    search.start()
    killed = []
    while len(killed) < 2:  # Those that are in the middle of an evaluation.
      time.sleep(0.02)
      for claim in queue.glob("*.claim"):
        words = claim.read_text().split()
        if len(words) > 1 and (pid := int(words[1])) not in killed and len(killed) < 2:
          os.kill(pid, signal.SIGKILL)
          killed.append(pid)
    search.join(timeout=120)
    assert not search.is_alive()
    executor.close()
    ends = {worker.pid: worker.wait(timeout=60) for worker in workers}
  finally:
    for worker in workers:
      worker.kill()
      worker.communicate()
  assert {pid: code == -signal.SIGKILL for pid, code in ends.items()} == {
    pid: pid in killed for pid in ends
  }
  assert (tmp_path / "history.jsonl").read_bytes() == alone
  # Nothing was evaluated twice but what the killed ones were at.
  calls = len((queue / "calls").read_text().splitlines())
  tasks = len(list(queue.glob("*.task")))
  assert tasks <= BUDGET
  assert calls <= tasks + 2
  assert {json.loads(p.read_text())["worker"].split()[1] for p in queue.glob("*.result")}
