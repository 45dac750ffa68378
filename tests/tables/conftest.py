# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A NAS-Bench-201 of our own, for tables that are made by look-up."""

import itertools
import pathlib

import pytest

from dnas.estimate.tabular import NASBENCH201_COLUMNS
from dnas.space import cells
from dnas.tables import table

PROXIES = ("naswot", "synflow", "logsynflow", "params_M")


@pytest.fixture(scope="session")
def made_up_benchmark(tmp_path_factory) -> pathlib.Path:
  """Its folder. Accuracies and proxies are a sum over edges: convolutions 3 x 3 are best."""
  folder = tmp_path_factory.mktemp("data")
  extra = [f"c10_{name}" for name in PROXIES]
  rows = [",".join(["arch_index", "arch_str", *NASBENCH201_COLUMNS.values(), *extra])]
  worth = {op: i for i, op in enumerate(cells.NASBENCH201_OPS)}
  count = len(NASBENCH201_COLUMNS) + len(extra)
  for index, ops in enumerate(itertools.product(worth, repeat=6)):
    a, b, c, d, e, f = ops
    name = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
    accuracy = sum(worth[op] for op in ops) + index * 1e-5
    rows.append(",".join([str(index), name, *[f"{accuracy:.5f}"] * count]))
  (folder / table.NASBENCH201).write_text("\n".join(rows) + "\n")
  return folder
