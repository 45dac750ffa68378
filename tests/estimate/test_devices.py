# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Device tables: columns beside accuracies, additive models of them, and pickles only if asked."""

import gzip
import pickle

import numpy as np
import pytest

from dnas.estimate import devices, tabular
from dnas.estimate.tabular import Table, TableError, look_up
from dnas.space import cells, genotypes

SPACE = cells.nasbench201()
COUNT = 60


@pytest.fixture(scope="module")
def bench():
  """The first cells of the space in an order of our own, with made-up accuracies."""
  rng, names = np.random.default_rng(0), []
  while len(names) < COUNT:
    ops = rng.choice(cells.NASBENCH201_OPS, 6)
    name = genotypes.to_nasbench201(SPACE.decide({"cell": ops.tolist()}))
    names += [name] if name not in names else []
  rows = {name: row for row, name in enumerate(names)}
  columns = {"acc": rng.uniform(10, 90, COUNT)}
  runs = {("cifar10", "valid", 12): "acc"}
  return Table("made up", SPACE, rows, columns, runs, genotypes.to_nasbench201)


def additive(names):
  """Milliseconds that are a sum over edges: 1 a 1x1, 3 a 3x3 convolution, 2 besides."""
  return [2.0 + 1.0 * name.count("conv_1x1") + 3.0 * name.count("conv_3x3") for name in names]


def write(path, header, rows):
  lines = [header, *(",".join(map(str, row)) for row in rows)]
  path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
  return path


def test_columns_stand_beside_accuracies(bench, tmp_path):
  rows = [(i, ms, 2 * ms) for i, ms in enumerate(additive(bench.rows))]
  path = write(tmp_path / "ms.csv.gz", "arch_index,phone,board", rows)
  table = devices.with_devices(bench, path)
  genotype = genotypes.from_nasbench201(list(bench.rows)[7])
  evaluator = look_up(table, costs=("board", "phone"))
  expected = {"score": bench.columns["acc"][7], "board": rows[7][2], "phone": rows[7][1]}
  assert evaluator(genotype, None) == expected
  model = devices.cost_model(table, "phone", range(50))
  for row in range(50, COUNT):
    genotype = genotypes.from_nasbench201(list(bench.rows)[row])
    assert model.of(genotype) == pytest.approx(table.columns["phone"][row], abs=0.3)
  with pytest.raises(TableError, match="unknown column 'tablet'"):
    look_up(table, costs=("tablet",))
  with pytest.raises(TableError, match=r"has columns \['board', 'phone'\] already"):
    devices.with_devices(table, path)
  with pytest.raises(TableError, match="arch_index must count 0 to 59"):
    devices.with_devices(bench, write(tmp_path / "cut.csv.gz", "arch_index,phone,board", rows[:-1]))
  with pytest.raises(TableError, match="first column must be arch_index, got 'index'"):
    devices.with_devices(bench, write(tmp_path / "x.csv.gz", "index,phone", [(0, 1.0)]))


def test_fbnet(tmp_path):
  ids = [[0] * 22, [8] * 22, [*range(9), *[3] * 13]]
  rows = [(" ".join(map(str, line)), 1.5 * n) for n, line in enumerate(ids)]
  table = devices.fbnet(write(tmp_path / "fbnet.csv.gz", "op_idx_list,phone", rows))
  choice = [devices.FBNET_OPS[i] for i in ids[2]]
  assert table.row(table.space.decide({"chain": choice})) == 2
  assert table.column("phone").tolist() == [0.0, 1.5, 3.0]
  assert devices.cost_model(table, "phone", [0, 1, 2]).of_choices({"chain": choice}) == (
    pytest.approx(3.0, abs=1e-6)
  )
  twice = [rows[0], rows[0], *rows[1:]]
  table = devices.fbnet(write(tmp_path / "twice.csv.gz", "op_idx_list,phone", twice))
  assert devices.cost_model(table, "phone", [0, 2, 3]).of_choices({"chain": choice}) == (
    pytest.approx(3.0, abs=1e-6)
  )
  with pytest.raises(TableError, match="row 1 is none of the 3 architectures"):
    devices.cost_model(table, "phone", [0, 1, 2])
  with pytest.raises(TableError, match="line 2: '0 9' must be 22 numbers 0 to 8"):
    devices.fbnet(write(tmp_path / "bad.csv.gz", "op_idx_list,phone", [("0 9", 1)]))


def test_a_pickle_is_read_only_if_allowed(bench, tmp_path):
  path, energy = tmp_path / "hw.pickle", list(range(COUNT))
  columns = {"config": [{}] * COUNT, "fpga_energy": energy, "pixel3_latency": energy}
  path.write_bytes(pickle.dumps({"nasbench201": {"cifar10": columns}}))
  with pytest.raises(TableError, match=r"may run any code .* --allow_pickle"):
    devices.hw_nas_bench(bench, path)
  table = devices.hw_nas_bench(bench, path, allow_pickle=True)
  assert set(table.columns) - set(bench.columns) == {"fpga_energy", "pixel3_latency"}
  assert table.column("fpga_energy").tolist() == energy
  for dataset, message in (("cifar100", "is no HW-NAS-Bench pickle"), ("mnist", "valid are cifar")):
    with pytest.raises(TableError, match=message):
      devices.hw_nas_bench(bench, path, dataset, allow_pickle=True)
  with pytest.raises(TableError, match="is missing"):
    devices.hw_nas_bench(bench, tmp_path / "absent", allow_pickle=True)


@pytest.mark.slow
def test_the_real_tables(shared):
  """As printed in HW-NAS-Bench's README: cell 0 takes 3.60585 ms on a Pixel 3."""
  folder = shared / "data"
  bench = tabular.nasbench201(folder / "nasbench201" / "nasbench201_table.csv.gz")
  path = folder / "hw_latency" / "nasbench201_latency_ms.csv.gz"
  table = devices.with_devices(bench, path)
  first = {name: table.column(name)[0] for name in ("fpga", "eyeriss", "pixel3", "raspi4")}
  expected = {"fpga": 2.57296, "eyeriss": 3.64562, "pixel3": 3.60585, "raspi4": 10.482}
  assert first == pytest.approx(expected, rel=1e-5)
  model = devices.cost_model(table, "pixel3", range(0, 15625, 100))
  sample = range(7, 15625, 151)
  found = [model.of(genotypes.from_nasbench201(list(table.rows)[row])) for row in sample]
  assert np.corrcoef(found, table.column("pixel3")[list(sample)])[0, 1] > 0.9
  chain = devices.fbnet(folder / "hw_latency" / "fbnet_latency_ms.csv.gz")
  assert len(chain.column("raspi4")) == 5000
