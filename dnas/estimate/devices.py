# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What networks cost on other people's devices, as columns of a benchmark.

table = with_devices(nasbench201(accuracies), latencies)
evaluator = look_up(table, costs=("pixel3",))        # {"score": 90.2, "pixel3": 7.3}
model = cost_model(table, "pixel3", rows)            # additive, so that it has a gradient
"""

import dataclasses
import pathlib
import pickle
from collections.abc import Sequence

import numpy as np

from dnas.cost.model import CostModel, fit
from dnas.estimate.tabular import Table, TableError, numbers, read_csv
from dnas.space import genotypes, shapes
from dnas.space.space import Choices, SearchSpace

# 0 to 8 in the keys of the FBNet tables: kernel, expansion, groups of the pointwise convolutions.
FBNET_OPS = (
  "k3_e1",
  "k3_e1_g2",
  "k3_e3",
  "k3_e6",
  "k5_e1",
  "k5_e1_g2",
  "k5_e3",
  "k5_e6",
  "skip",
)
FBNET_LAYERS = 22
HW_NAS_BENCH_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_UNITS = {"latency": "ms", "energy": "mj"}


def with_devices(table: Table, path: pathlib.Path | str) -> Table:
  """The benchmark with one more column a device, from a CSV with `arch_index` as its first column.

  Args:
    table: NAS-Bench-201.
    path: `nasbench201_latency_ms.csv.gz`: milliseconds on 27 devices and batch sizes.

  Raises:
    TableError: the file is missing, cut off or no CSV, its rows are not those of the benchmark, or
      it names a column that is there already.

  Source: HELP (Lee et al. 2021, arXiv:2106.08630); its columns fpga, eyeriss, pixel3 and raspi4 are
  HW-NAS-Bench's (Li et al. 2021, arXiv:2103.10584).
  """
  header, *lines = read_csv(pathlib.Path(path))
  if header[0] != "arch_index":
    raise TableError(f"{path}: its first column must be arch_index, got {header[0]!r}")
  texts = dict(zip(header, zip(*lines, strict=True), strict=True))
  index = numbers(path, "arch_index", texts.pop("arch_index"))
  if not np.array_equal(index, np.arange(len(table.rows))):
    raise TableError(f"{path}: arch_index must count 0 to {len(table.rows) - 1}, in order")
  return _with(table, path, {name: numbers(path, name, v) for name, v in texts.items()})


def fbnet(path: pathlib.Path | str) -> Table:
  """Latencies of networks of FBNet's space: a CSV with `op_idx_list` and one column a device.

  The space is a chain of 22 layers with 9 candidates; the table holds a sample of it (5,000) and no
  accuracies.

  Raises:
    TableError: the file is missing, cut off, no such CSV, or a row is no architecture.

  Source: as `with_devices`; FBNet: Wu et al. 2019 (arXiv:1812.03443).
  """
  header, *lines = read_csv(pathlib.Path(path))
  if header[0] != "op_idx_list":
    raise TableError(f"{path}: its first column must be op_idx_list, got {header[0]!r}")
  valid = {str(i) for i in range(len(FBNET_OPS))}
  for number, (name, *_) in enumerate(lines, 2):
    ids = name.split(" ")
    if len(ids) != FBNET_LAYERS or not set(ids) <= valid:
      raise TableError(f"{path}, line {number}: {name!r} must be {FBNET_LAYERS} numbers 0 to 8")
  texts = dict(zip(header, zip(*lines, strict=True), strict=True))
  rows: dict[str, int] = {}
  for row, name in enumerate(texts.pop("op_idx_list")):
    rows.setdefault(name, row)  # of a network that was measured twice, the first time
  columns = {name: numbers(path, name, values) for name, values in texts.items()}
  return Table(str(path), _fbnet_space(), rows, columns, {}, _fbnet_name)


def _fbnet_space() -> SearchSpace:
  """FBNet's space as a chain; a benchmark's space without stages, not a network."""
  return SearchSpace({"chain": shapes.chain([FBNET_OPS] * FBNET_LAYERS)})


def _fbnet_name(genotype: SearchSpace) -> str:
  (ops,) = _fbnet_space().choices(genotype).values()
  return " ".join(str(FBNET_OPS.index(str(op))) for op in ops)


def hw_nas_bench(
  table: Table,
  path: pathlib.Path | str,
  dataset: str = "cifar10",
  *,
  allow_pickle: bool = False,
) -> Table:
  """The benchmark with HW-NAS-Bench's own columns: `edgegpu_latency`, `edgegpu_energy` ...

  Args:
    table: NAS-Bench-201.
    path: `HW-NAS-Bench-v1_0.pickle`.
    dataset: "cifar10", "cifar100" or "ImageNet16-120".
    allow_pickle: a pickle runs whatever code it holds: say yes only to a file that you trust.

  Raises:
    TableError: `allow_pickle` is false, the file is missing or no such pickle, or `dataset` is
      unknown.

  Source: HW-NAS-Bench (Li et al. 2021, arXiv:2103.10584); layout as read by its own API.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise TableError(f"{path} is missing")
  if not allow_pickle:
    raise TableError(
      f"{path} is a pickle, which may run any code when it is read; if you trust it, say so with "
      "--allow_pickle"
    )
  if dataset not in HW_NAS_BENCH_DATASETS:
    raise TableError(f"dataset {dataset!r}: valid are {', '.join(HW_NAS_BENCH_DATASETS)}")
  try:
    with open(path, "rb") as file:
      entry = pickle.load(file)["nasbench201"][dataset]
    values = {name: entry[name] for name in entry if name.split("_")[-1] in _UNITS}
  except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
    raise TableError(f"{path} is no HW-NAS-Bench pickle: {error!r}") from None
  columns = {name: numbers(path, name, column) for name, column in values.items()}
  for name, column in columns.items():
    if len(column) != len(table.rows):
      raise TableError(f"{path}: {name} has {len(column)} rows, the benchmark {len(table.rows)}")
  return _with(table, path, columns)


def cost_model(
  table: Table, device: str, rows: Sequence[int], space: SearchSpace | None = None
) -> CostModel:
  """The additive model nearest to a device's column on some of its rows; see `cost.model.fit`.

  Args:
    table: with the column.
    device: its name.
    rows: of the architectures that count as measured.
    space: of which the model is; None: the benchmark's.

  Raises:
    TableError: there is no such row, or it repeats another row's architecture.
  """
  space = space or table.space
  column, names = table.column(device), {row: name for name, row in table.rows.items()}
  if unknown := [row for row in rows if row not in names]:
    raise TableError(
      f"{table.source}: row {unknown[0]} is none of the {len(names)} architectures (what was "
      "measured twice counts once)"
    )
  choices = [_choices(space, names[row]) for row in rows]
  return fit(device, space, choices, column[np.asarray(rows, np.intp)].tolist())


def _choices(space: SearchSpace, name: str) -> Choices:
  """The choices of an architecture by its name in the benchmark."""
  if "~" in name:
    return space.choices(genotypes.from_nasbench201(name))
  return {"chain": [FBNET_OPS[int(i)] for i in name.split(" ")]}


def _with(table: Table, path: pathlib.Path | str, columns: dict[str, np.ndarray]) -> Table:
  twice = sorted(set(columns) & set(table.columns))
  if twice:
    raise TableError(f"{path}: the benchmark has columns {twice} already")
  return dataclasses.replace(table, columns={**table.columns, **columns})
