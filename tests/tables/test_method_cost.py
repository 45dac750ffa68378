# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a step of each method costs: which steps are the same, and what they say of chance."""

from dnas import config as configs
from dnas.settings import settings_of
from dnas.tables import method_cost


def test_methods_said_to_have_the_same_step_differ_in_nothing_of_it(root):
  settings = lambda name: settings_of(configs.load(root / f"configs/methods/{name}.py").search)
  base = settings(method_cost.BASE)
  for name in method_cost.SAME:
    fields = {
      change.partition(":")[0].partition(".")[0] for change in configs.diff(base, settings(name))
    }
    assert fields <= {"stop", "watch", "projection"}, name


def test_their_times_are_in_the_text():
  times = dict(zip(method_cost.SAME, (1.0, 1.02, 0.97), strict=True)) | {"gdas": 0.5}
  rows = [{"method": name, "time": time} for name, time in times.items()]
  text = " ".join(method_cost._title(rows, rounds=7).split())
  assert "their times, from 0.970 to 1.020, tell how far a ratio was off by chance" in text
