# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use, and the suite's time by file."""

import collections
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator

import jax
import pytest

from dnas import cache

ROOT = pathlib.Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
  """`--times`, as `scripts/test.sh` passes it."""
  parser.addoption(
    "--times", action="store_true", help="at the end, the time of each file of tests"
  )


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
  """Files that take a second or more, and what the others take together."""
  if not config.getoption("--times"):
    return
  reports = [report for some in terminalreporter.stats.values() for report in some]
  terminalreporter.section("time by file")
  for line in times_by_file(reports):
    terminalreporter.write_line(line)


def times_by_file(reports: Iterable[object], least_s: float = 1.0) -> list[str]:
  """Lines of seconds and file, the slowest first; set-up and tear-down count to the file."""
  took: collections.Counter[str] = collections.Counter()
  for report in reports:
    if isinstance(report, pytest.TestReport):
      took[report.nodeid.split("::")[0]] += report.duration
  shown = [(name, s) for name, s in took.most_common() if s >= least_s]
  rest_s = sum(took.values()) - sum(s for _, s in shown)
  lines = [f"{s:7.1f} s  {name}" for name, s in shown]
  return [*lines, f"{rest_s:7.1f} s  {len(took) - len(shown)} others"]


@pytest.fixture(scope="session", autouse=True)
def _compiled_programs(tmp_path_factory):
  """Programs compiled twice in one session (a run and its repetition) are compiled once.

  The environment variable DNAS_TEST_XLA names a folder for several sessions, which keeps small ones
  too (for `scripts/quality.py`: hundreds of sessions, nearly all of their programs equal).
  """
  folder = os.environ.get("DNAS_TEST_XLA")
  cache.keep_programs(folder or tmp_path_factory.mktemp("xla"))
  if folder:
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
  """The repository's root folder."""
  return ROOT


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of facts, parity cases and data beside the project; the test skips without it."""
  folder = pathlib.Path(os.environ.get("DNAS_SHARED", ROOT.parent / "shared"))
  if not folder.is_dir():
    pytest.skip(f"{folder} is missing: reference facts and data live beside the project")
  return folder


@pytest.fixture
def tiny_detector() -> dict[str, object]:
  """Overrides of configs/quickstart.py: a detector without choices, trained for two steps."""
  return {
    "space": dict(name="dense", ops=("nor_conv_3x3",), nodes=1),
    "search.network": dict(name="detector", channels=(4, 4), stem_channels=4),
    "data.size": (32, 32),
    "data.threads": 1,
    "task.neck_channels": 4,
    "task.strides": (4, 8),
    "train.steps": 2,
    "train.optimizer.warmup_steps": 0,
    "train.batch_size": 4,
    "evaluate.batch_size": 50,
  }


@pytest.fixture
def user_folder(tmp_path, monkeypatch) -> Iterator[pathlib.Path]:
  """A folder on the import path, as a user's own; its modules are forgotten before and after."""

  def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
      del sys.modules[name]

  monkeypatch.syspath_prepend(tmp_path)
  forget()
  yield tmp_path
  forget()
