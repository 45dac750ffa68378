# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings run."""

import doctest
import importlib
import pathlib

import pytest

import dnas

ROOT = pathlib.Path(dnas.__file__).parent
EXAMPLES = [
  ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
  for path in sorted(ROOT.rglob("*.py"))
  if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
  result = doctest.testmod(importlib.import_module(name))
  assert result.attempted > 0
  assert result.failed == 0


def test_there_are_examples():
  assert {"dnas.space.space", "dnas.cost.count", "dnas.detection.boxes"} <= set(EXAMPLES)
