# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""dnas.progress: lines with the time left."""

import pytest

from dnas import progress


@pytest.fixture
def clock(monkeypatch):
  """Seconds, to be set by the test."""
  now = [100.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  return now


def test_time_left_is_that_of_what_was_done(clock):
  said = []
  count = progress.Count("cell", 400, every_s=0, say=said.append)
  for number, seconds in ((1, 10.0), (2, 40.0), (400, 50.0)):
    clock[0] = 100.0 + seconds
    count(number, "score 0.5", "")
  assert said == [
    "cell 1/400  score 0.5  ETA 1:06:30",  # 399 of 10 s each.
    "cell 2/400  score 0.5  ETA 2:12:40",  # 398 of 20 s each.
    "cell 400/400  score 0.5  ETA 0:00:00",
  ]


@pytest.mark.parametrize("done", [None, 90])
def test_what_was_there_before_says_nothing_of_the_speed(clock, done):
  said = []
  count = progress.Count("cell", 100, done=done, every_s=0, say=said.append)
  clock[0] += 6.0
  count(91)
  assert said == ["cell 91/100  ETA 0:00:54"]


def test_lines_stand_apart_and_the_last_is_said(clock):
  said = []
  count = progress.Count("cell", 5, every_s=10, say=said.append)
  for number in range(1, 6):
    clock[0] += 6.0
    count(number)
  assert [line.split("  ")[0] for line in said] == ["cell 2/5", "cell 4/5", "cell 5/5"]


def test_a_line_is_printed_as_a_rule(capsys):
  progress.Count("cell", 1)(1)
  assert capsys.readouterr().out == "cell 1/1  ETA 0:00:00\n"
