# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmark tables: what a query gives, and everything that can be wrong with a file."""

import gzip
import itertools
import json
import random
import sys
import types

import numpy as np
import pytest

from dnas.errors import DnasError
from dnas.estimate import nats, tabular
from dnas.estimate.tabular import TableError
from dnas.space import cells, genotypes
from dnas.space.space import SpaceError

SPACE = cells.nasbench201()


def all_names() -> list[str]:
  """The 15,625 architectures, in an order of our own."""
  strings = []
  for a, b, c, d, e, f in itertools.product(cells.NASBENCH201_OPS, repeat=6):
    strings.append(f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|")
  return strings


@pytest.fixture(scope="module")
def lines():
  """A whole table as text lines: the accuracies are the row's number, plus the column's."""
  columns = list(tabular.NASBENCH201_COLUMNS.values())
  header = ",".join(["arch_index", "arch_str", *columns, "c10_naswot"])
  values = [",".join(f"{row + 100_000 * i}" for i in range(len(columns))) for row in range(15625)]
  rows = [f"{row},{name},{values[row]},1.5" for row, name in enumerate(all_names())]
  return [header, *rows]


def write(path, lines):
  path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 1))
  return path


@pytest.fixture(scope="module")
def table(lines, tmp_path_factory):
  return tabular.nasbench201(write(tmp_path_factory.mktemp("table") / "table.csv.gz", lines))


def test_a_query_names_split_data_set_and_epochs(table):
  names = all_names()
  genotype = genotypes.from_nasbench201(names[77])
  for i, (dataset, split, epochs) in enumerate(tabular.NASBENCH201_COLUMNS):
    value = table.query(genotype, dataset=dataset, split=split, epochs=epochs)
    assert value == 77 + 100_000 * i
  assert table.row(genotype) == 77
  assert table.column("c10_naswot")[77] == 1.5
  assert set(tabular.DATASETS) == {dataset for dataset, _, _ in tabular.NASBENCH201_COLUMNS}


def test_every_genotype_of_the_space_has_its_row(table):
  rng, names = random.Random(0), all_names()
  for _ in range(20):
    genotype = SPACE.sample(rng)
    # The row does not depend on the network that the cell stands in.
    assert table.row(genotype) == table.row(genotype.replace(stages=(), stem="imagenet"))
    assert names[table.row(genotype)] == genotypes.to_nasbench201(genotype)


def test_the_order_of_the_cells_does_not_matter(table):
  """`residual` stands beside the searched cell, and may come first in a file."""
  names = all_names()
  for row in (3, 4):
    genotype = genotypes.from_nasbench201(names[row])
    turned = genotype.replace(cells=dict(reversed(genotype.cells.items())))
    assert turned == genotype
    assert table.row(turned) == row


def test_look_up_is_an_evaluator(table):
  evaluate = tabular.look_up(table, dataset="cifar100", split="test", epochs=200)
  assert evaluate(genotypes.from_nasbench201(all_names()[5]), None) == {"score": 300_005}


def test_what_a_table_does_not_have(table):
  genotype = SPACE.sample(random.Random(0))
  with pytest.raises(TableError, match=r"no cifar10 valid 200 epochs. There are: cifar10 test 200"):
    tabular.look_up(table, split="valid", epochs=200)
  with pytest.raises(TableError, match=r"unknown column 'c10_naswott'; did you mean 'c10_naswot'"):
    table.column("c10_naswott")
  with pytest.raises(SpaceError, match="cell"):
    table.row(cells.darts().sample(random.Random(0)))
  foreign = genotypes.from_nasbench201("|my_conv~0|+|none~0|none~1|+|none~0|none~1|none~2|")
  with pytest.raises(TableError, match=r"architecture \|my_conv~0\|.* is not in it"):
    table.query(foreign, dataset="cifar10", split="test", epochs=200)
  assert table.row(genotype) < 15625


def test_a_missing_file(tmp_path):
  with pytest.raises(TableError, match=r"nothing.csv is missing"):
    tabular.nasbench201(tmp_path / "nothing.csv")


def test_a_file_that_was_cut_off(lines, tmp_path):
  path = write(tmp_path / "table.csv.gz", lines)
  path.write_bytes(path.read_bytes()[:-100])
  with pytest.raises(TableError, match="is cut off or no text"):
    tabular.nasbench201(path)
  plain = tmp_path / "table.csv"
  plain.write_text("\n".join(lines))
  with pytest.raises(TableError, match="is cut off: its last line has no end"):
    tabular.nasbench201(plain)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda rows: rows[:-1], "15624 architectures, the space has 15625: cut off?"),
    (lambda rows: rows[:1], "holds no rows"),
    (lambda rows: [*rows[:-1], rows[-1].replace("15624", "15623")], "must count 0, 1, 2"),
    (lambda rows: [*rows[:-1], rows[-2]], "has two rows"),
    (lambda rows: [rows[0].replace("c100_val_acc_12ep", "val"), *rows[1:]], "'c100_val_acc_12ep'"),
    (lambda rows: [rows[0], rows[1] + ",3", *rows[2:]], "line 2: 13 columns, the header has 12"),
    (lambda rows: [*rows[:9], rows[9].replace("1.5", "high"), *rows[10:]], "c10_naswot.*'high'"),
  ],
)
def test_malformed_tables(lines, tmp_path, change, message):
  path = write(tmp_path / "table.csv.gz", change(lines))
  with pytest.raises(TableError, match=message) as error:
    tabular.nasbench201(path)
  assert str(path) in str(error.value)
  assert isinstance(error.value, DnasError)


def test_an_empty_field_is_nan(lines, tmp_path):
  changed = [*lines[:3], lines[3].replace("1.5", ""), *lines[4:]]
  column = tabular.nasbench201(write(tmp_path / "t", changed)).column("c10_naswot")
  assert np.flatnonzero(np.isnan(column)).tolist() == [2]


def macro_entries() -> dict:
  names = ["".join(digits) for digits in itertools.product("012", repeat=8)]
  entry = lambda i: {"test_acc": [1, 2], "mean_acc": i / 100, "std": 0, "params": i, "flops": 2 * i}
  return {name: entry(i) for i, name in enumerate(names)}


def test_nas_bench_macro(tmp_path):
  path = tmp_path / "macro.json"
  path.write_text(json.dumps(macro_entries()))
  table = tabular.nasbench_macro(path)
  assert table.space.size == 6561
  ops = [tabular.MACRO_OPS[int(digit)] for digit in "02012100"]
  genotype = table.space.decide({"chain": ops})
  row = int("02012100", 3)
  assert table.row(genotype) == row
  assert table.query(genotype, dataset="cifar10", split="test", epochs=50) == row / 100
  assert table.column("flops")[row] == 2 * row
  with pytest.raises(SpaceError):
    table.row(SPACE.sample(random.Random(0)))


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"00000000": {', "no JSON, or cut off"),
    ("[]", "list, the space has 6561"),
    ('{"00000000": {}}', "1 architectures, the space has 6561"),
    ('{"00000000": {}, "00000000": {}}', "00000000 is there twice"),
    (json.dumps(macro_entries()).replace('"00000000"', '"0000000x"'), "'0000000x' must be 8 dig"),
    (json.dumps(macro_entries()).replace('"mean_acc": 0.07', '"acc": 1'), "column mean_acc holds"),
  ],
)
def test_malformed_macro(tmp_path, text, message):
  path = tmp_path / "macro.json"
  path.write_text(text)
  with pytest.raises(TableError, match=message):
    tabular.nasbench_macro(path)


class FakeApi:
  """The two calls of nats_bench 1.8 that are used, with its signatures."""

  def query_index_by_arch(self, arch):
    return -1 if "avg_pool" in arch else 7

  def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
    assert (index, iepoch, is_random) == (7, None, False)
    accuracy = {"cifar10-valid": 84.0, "cifar10": 90.0, "ImageNet16-120": 40.0}[dataset] + int(hp)
    return {"valid-accuracy": accuracy, "test-accuracy": accuracy + 0.5}


def test_nats_bench(tmp_path, monkeypatch):
  opened = []
  create = lambda *args, **kwargs: opened.append((args, kwargs)) or FakeApi()
  monkeypatch.setitem(sys.modules, "nats_bench", types.SimpleNamespace(create=create))
  table = nats.nats_bench(tmp_path, allow_pickle=True)
  assert opened == [((str(tmp_path), "tss"), {"fast_mode": True, "verbose": False})]
  genotype = genotypes.from_nasbench201("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
  query = lambda dataset, split, epochs: table.query(
    genotype, dataset=dataset, split=split, epochs=epochs
  )
  assert query("cifar10", "valid", 12) == 84.0 + 12  # trained on half of the images
  assert query("cifar10", "test", 200) == 90.5 + 200
  assert query("imagenet16_120", "valid", 200) == 40.0 + 200
  assert tabular.look_up(table)(genotype, None) == {"score": 96.0}
  with pytest.raises(TableError, match="no mnist test 200 epochs"):
    query("mnist", "test", 200)
  with pytest.raises(TableError, match="no cifar10 test 90 epochs"):
    query("cifar10", "test", 90)
  absent = genotypes.from_nasbench201("|none~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|")
  with pytest.raises(TableError, match="is not in it"):
    table.query(absent, dataset="cifar10", split="test", epochs=12)


def test_nats_bench_needs_its_package_and_its_files(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "nats_bench", None)  # as if it were not installed
  with pytest.raises(TableError, match=r"EXTRAS=nats bash scripts/setup.sh"):
    nats.nats_bench(tmp_path, allow_pickle=True)
  with pytest.raises(TableError, match="is missing"):
    nats.nats_bench(tmp_path / "absent", allow_pickle=True)


def test_the_real_tables(shared):
  """What the benchmarks' own records say: the best architectures."""
  table = tabular.nasbench201(shared / "data" / "nasbench201" / "nasbench201_table.csv.gz")
  best = {"cifar10": (6111, 94.3733), "cifar100": (9930, 73.5133), "imagenet16_120": (857, 47.3111)}
  for dataset, (row, accuracy) in best.items():
    accuracies = table.accuracy(dataset=dataset, split="test", epochs=200)
    assert accuracies.argmax() == row
    assert accuracies[row] == pytest.approx(accuracy, abs=5e-5)
  macro = shared / "data" / "nasbench_macro" / "nas-bench-macro_cifar10.json"
  table = tabular.nasbench_macro(macro)
  best_row = int(table.column("mean_acc").argmax())
  assert list(table.rows)[best_row] == "22212220"
  assert table.column("mean_acc")[best_row] == pytest.approx(93.1267, abs=5e-5)
