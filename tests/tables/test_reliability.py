# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The watcher kills when it should and sees every difference; a real run survives it."""

import pathlib
import signal
import sys

import pytest

from dnas.errors import DnasError
from dnas.tables import reliability

# A run without a network: one step each 5 ms, saved each 10 steps by writing and renaming.
TOY = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
saved = folder / "checkpoints"
saved.mkdir(parents=True, exist_ok=True)
for old in saved.glob("*tmp*"):
  old.rmdir()
start = max((int(p.name) for p in saved.iterdir()), default=0)
lines = [f'{{"step": {i}}}\\n' for i in range(1, start + 1)]
metrics = folder / "metrics.jsonl"
metrics.touch()
os.truncate(metrics, len("".join(lines)))  # Never shorter than what is saved: a kill may come.
if len(sys.argv) > 2 and start >= int(sys.argv[2]):
  sys.exit("broken")
with open(metrics, "a") as file:
  for i in range(start + 1, 241):
    time.sleep(0.005)
    print(f'{{"step": {i}}}', file=file, flush=True)
    if i % 10 == 0:
      half = saved / f"{i}.orbax-checkpoint-tmp"
      half.mkdir()
      time.sleep(0.05)
      half.rename(saved / str(i))
(folder / "genotype.json").write_text("{}")
"""


def toy(folder: pathlib.Path, *more: str) -> list[str]:
  return [sys.executable, "-c", TOY, str(folder), *more]


def test_a_toy_run_is_killed_in_each_way_and_ends_equal(tmp_path):
  whole, lives = reliability.kill_many(toy, tmp_path, 4, seed=3, say=lambda life: None)
  ways = ["running", "saving", "running", "starting"]
  assert [life.ended for life in lives] == [*(f"SIGKILL while {way}" for way in ways), "exit 0"]
  assert (whole.ended, whole.logged, whole.saved) == ("exit 0", 240, 240)
  assert all(life.logged >= life.saved for life in lives)
  # Called again it has lived all that.
  again = reliability.kill_many(lambda folder: ["false"], tmp_path, 4, seed=3)
  assert str(again) == str((whole, lives))  # As text: NaN is no number like another.
  assert reliability.differences(tmp_path / "undisturbed", tmp_path / "killed") == []
  assert reliability.write(tmp_path / "out", tmp_path, whole, lives, command="soak") == []
  text = (tmp_path / "out" / "README.md").read_text()
  assert "killed 4 times" in text
  assert "Equal to the undisturbed run, bit for bit (2 files" in text
  (tmp_path / "killed" / "genotype.json").write_text("{ }")
  (tmp_path / "killed" / ".x.json.7.tmp").write_text("")
  (tmp_path / "killed" / "more.npz").write_text("")
  faults = reliability.write(tmp_path / "out", tmp_path, whole, lives, command="soak")
  assert faults == ["genotype.json", "more.npz", ".x.json.7.tmp"]
  assert "Faults: genotype.json" in (tmp_path / "out" / "README.md").read_text()


def test_a_run_that_fails_by_itself_is_an_error(tmp_path):
  reliability.live(toy(tmp_path / "run"), tmp_path / "run", "running", after_steps=15)
  with pytest.raises(DnasError, match=r"ended with 1: \.\.\. broken"):
    reliability.live(toy(tmp_path / "run", "10"), tmp_path / "run")


@pytest.fixture
def command(root):
  fields = {
    "space": '{"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
    "search.network": '{"name": "detector", "channels": [4], "stem_channels": 4}',
    "train.network": "None",
    "search.steps": 120,
    "search.warmup_steps": 5,
    "train.steps": 120,
    "checkpoint.every_steps": 10,
  }
  flags = [f"--config.{field}={value}" for field, value in fields.items()]
  script, config = root / "scripts" / "run.py", root / "configs" / "digits.py"
  return lambda folder: (
    [sys.executable, str(script), f"--config={config}", f"--workdir={folder}"] + flags
  )


@pytest.mark.slow
def test_a_real_run_killed_and_preempted_ends_with_the_same_bits(command, tmp_path):
  environment = {"DNAS_CACHE": str(tmp_path / "cache")}
  whole = reliability.live(command(tmp_path / "whole"), tmp_path / "whole", environment=environment)
  assert (whole.logged, whole.saved) == (240, 240)
  run = tmp_path / "killed"
  for way, steps, sig in (
    ("saving", 12, signal.SIGKILL),
    ("running", 20, signal.SIGTERM),
    ("running", 90, signal.SIGKILL),
  ):
    life = reliability.live(
      command(run), run, way, after_steps=steps, sig=sig, environment=environment
    )
    if sig == signal.SIGTERM:
      assert life.ended == "SIGTERM while running, exit 75"
      assert life.logged == life.saved
    else:
      assert life.ended == f"SIGKILL while {way}"
  reliability.live(command(run), run, environment=environment)
  assert reliability.differences(tmp_path / "whole", run) == []
  assert reliability.litter(run) == []


TINY = {
  "space": '{"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
  "search.network": '{"name": "detector", "channels": [4], "stem_channels": 4}',
  "search.batch_size": 8,
  "search.steps": 90,
  "search.warmup_steps": 5,
  "search.watch.every_steps": 0,
  "checkpoint.every_steps": 5,
}
THREE = {"space": '{"name": "dense", "ops": ["none", "skip_connect", "nor_conv_1x1"], "nodes": 2}'}
STAGES = (
  "({'steps': 45, 'warmup_steps': 2, 'keep': 2},"
  " {'steps': 45, 'warmup_steps': 2, 'inherit': INHERIT})"
)
# What a search may consist of beside one plain loop.
SEARCHES = {
  "projection": {"search.projection": '{"batches": 2, "tune_steps": 6}'},
  "stages": {**THREE, "search.stages": STAGES.replace("INHERIT", "False")},
  "stages that inherit": {**THREE, "search.stages": STAGES.replace("INHERIT", "True")},
  "seeds": {"seeds": 3},
  "accumulated": {"search.accumulate": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("fields", SEARCHES.values(), ids=SEARCHES)
def test_a_search_of_each_kind_killed_three_times_ends_with_the_same_bits(root, tmp_path, fields):
  flags = [f"--config.{field}={value}" for field, value in {**TINY, **fields}.items()]
  script, config = root / "scripts" / "search.py", root / "configs" / "digits.py"
  command = lambda folder: (
    [sys.executable, str(script), f"--config={config}", f"--workdir={folder}"] + flags
  )
  environment = {"DNAS_CACHE": str(tmp_path / "cache")}
  _, lives = reliability.kill_many(command, tmp_path, 3, seed=1, environment=environment)
  assert len(lives) == 4
  assert reliability.differences(tmp_path / "undisturbed", tmp_path / "killed") == []
  assert reliability.litter(tmp_path / "killed") == []
