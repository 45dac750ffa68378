# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What scripts print when they are done."""

from dnas import terminal


def test_results(capsys):
  terminal.results({"AP": 0.68912, "difference": 1.23456e-7, "params": 556030, "split": "test"})
  expected = ["AP: 0.6891", "difference: 1.235e-07", "params: 556030", "split: test"]
  assert capsys.readouterr().out.splitlines() == expected
