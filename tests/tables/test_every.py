# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""All tables within a budget: what is begun, what is not, and that nothing is made twice."""

import contextlib
import importlib.util
import json
import sys

import pytest

from dnas.errors import DnasError
from dnas.tables import catalogue, every


def table(minutes):
  return every.Table("what", "here", "none", lambda out: None, minutes=minutes)


def command(folder, body):
  """name -> a process that notes its start and runs `body`."""
  begin = "import pathlib, sys, time; f = pathlib.Path(sys.argv[1]); f.mkdir(exist_ok=True); "
  begin += "(f / 'begun').open('a').write('x'); done = lambda: (f / 'provenance.json').touch(); "
  return lambda name: [sys.executable, "-S", "-c", begin + body(name), str(folder / name)]


def test_what_fits_is_made_once(tmp_path):
  tables = {"long": table(10), "unknown": table(None), "short": table(0.01), "data": table(0.01)}
  make = command(tmp_path, lambda name: "sys.exit(3)" if name == "unknown" else "done()")
  said = []
  settings = dict(lacking={"data": "needs --data"}, say=said.append)
  found = every.run(tables, tmp_path, 60, make, **settings)
  assert found == {
    "short": "made",
    "data": "not begun: needs --data",
    "long": "not begun: 1 minutes are left",
    "unknown": "failed with exit code 3",
  }
  assert list(found)[-1] == "unknown"
  assert said[0] == "short: made"
  again = every.run(tables, tmp_path, 60, make, **settings)
  assert again["short"] == "there"
  assert (tmp_path / "short" / "begun").read_text() == "x"


@pytest.mark.slow
def test_what_was_stopped_is_gone_on_with(tmp_path):
  """Even if its first rows are there, and though its whole time would not fit any more."""
  stops = command(tmp_path, lambda name: "done(); time.sleep(60)")
  assert every.run({"a": table(0.01)}, tmp_path, 4, stops, lacking={}) == {"a": "stopped"}
  assert (tmp_path / "a" / "provenance.json").exists()
  ends = command(tmp_path, lambda name: "done()")
  assert every.run({"a": table(10)}, tmp_path, 60, ends, lacking={}) == {"a": "made"}
  assert every.run({"a": table(10)}, tmp_path, 60, ends, lacking={}) == {"a": "there"}
  assert (tmp_path / "a" / "begun").read_text() == "xx"


@pytest.mark.slow
def test_a_table_that_is_made_while_it_is_being_stopped_is_made(tmp_path):
  late = command(
    tmp_path,
    lambda name: (
      "import signal; signal.signal(signal.SIGTERM, lambda *_: (done(), sys.exit(0))); "
      "time.sleep(60)"
    ),
  )
  assert every.run({"a": table(0.01)}, tmp_path, 4, late, lacking={}) == {"a": "made"}
  assert not (tmp_path / "a" / ".unfinished").exists()


def test_what_a_table_lacks_is_known_beforehand(root, tmp_path, monkeypatch):
  tables = catalogue.tables(root)
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  lacks = lambda name: tables[name].lacks(tmp_path / "runs" / name)
  assert lacks("planted") is None
  assert lacks("export").endswith("runs/export")
  assert lacks("robustness").startswith("TFDS cifar10:3.0.2: ")
  assert lacks("scaling") == "several devices, of a CPU by JAX_NUM_CPU_DEVICES=8"
  (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
  assert lacks("robustness") is None
  monkeypatch.setenv("TFDS_DATA_DIR", "")  # As not set, as a data set's loading has it.
  monkeypatch.setenv("HOME", str(tmp_path))
  assert lacks("robustness").endswith(f"{tmp_path}/tensorflow_datasets/cifar10/3.0.2 is missing")


def test_the_times_of_the_list_are_those_that_were_measured(root):
  """Of tables that one call makes; what was kept of a long one is not in the time of its last."""
  compared = []
  for name, table in catalogue.tables(root).items():
    folder = root / "paper_results" / name
    if table.minutes is None or (folder / "done.jsonl").exists() or not folder.is_dir():
      continue
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    if (took_s := provenance.get("wall_s_of_this_call")) is not None:
      assert 0.8 * took_s <= 60 * table.minutes <= 1.5 * took_s, name
      compared.append(name)
  assert {"latency", "latency_mbconv", "hardware", "nasbench201_blackbox"} <= set(compared)


def test_budgets():
  assert [every.seconds(text) for text in ("90s", "60m", "1.5h")] == [90, 3600, 5400]
  for text in ("60", "m", "-1h", "", "nanm", "infh"):
    with pytest.raises(DnasError, match=r"is no time such as 90s"):
      every.seconds(text)


@pytest.mark.slow
def test_the_list_and_the_errors_of_the_script(root, monkeypatch, capsys):
  spec = importlib.util.spec_from_file_location("reproduce", root / "scripts" / "reproduce.py")
  reproduce = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(reproduce)

  def run(*words):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *words])
    with contextlib.suppress(SystemExit):
      reproduce.main()
    return "".join(capsys.readouterr())

  listed = run("--list")
  assert "detection_digit_scenes: searched, random, hand-made" in listed
  assert listed.count("at full scale: ") == listed.count("data: ") == len(reproduce.TABLES) > 10
  assert "--budget belongs to all" in run("planted", "--budget", "1m")
  assert "all needs --budget" in run("all")
  assert "all takes --budget" in run("all", "--budget", "1m", "--seeds", "3")
  assert "is no time such as" in run("all", "--budget", "1")
