# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that have trained every architecture of a space: an estimate by look-up.

    table = nasbench201(folder / "nasbench201_table.csv.gz")
    table.query(genotype, dataset="cifar10", split="test", epochs=200)      # 94.37
    evaluator = look_up(table, dataset="cifar10", split="valid", epochs=12)

A simulated budget is a number of queries: that of `ask_tell.explore` and `history.run`. Accuracies
are in percent.
"""

import csv
import dataclasses
import functools
import gzip
import json
import math
import pathlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dnas.errors import DnasError, choose_from
from dnas.files import bounded
from dnas.space import cells, genotypes, shapes
from dnas.space.cell import Cell
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import Evaluator

DATASETS = ("cifar10", "cifar100", "imagenet16_120")
# (data set, split, epochs) -> column of the merged NAS-Bench-201 table.
_SHORT = {"cifar10": "c10", "cifar100": "c100", "imagenet16_120": "in16"}
_RUNS = (("test", 200), ("valid", 12), ("test", 12))
NASBENCH201_COLUMNS = {
  (dataset, split, epochs): f"{short}_{'val' if split == 'valid' else split}_acc_{epochs}ep"
  for dataset, short in _SHORT.items()
  for split, epochs in _RUNS
}
# 0, 1 and 2 in the keys of NAS-Bench-Macro: identity, inverted residual blocks of 3 x 3 with
# expansion 3 and 5 x 5 with expansion 6.
MACRO_OPS = ("identity", "mb3_k3", "mb6_k5")
MACRO_LAYERS = 8


# Unpacked.
_MAX_BYTES = 1 << 30


class TableError(DnasError):
  """A benchmark table is missing, malformed, or does not hold what is asked; names the file."""


class Queryable(Protocol):
  """What `look_up` needs of a benchmark."""

  def query(self, genotype: SearchSpace, *, dataset: str, split: str, epochs: int) -> float:
    """The accuracy in percent."""
    ...


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """A benchmark in memory: one row an architecture.

  Attributes:
    source: the file, for messages.
    space: the space that the benchmark covers.
    rows: name of an architecture -> its row, in the file's order.
    columns: name -> values [N], NaN where the benchmark has none.
    runs: (data set, split, epochs) -> the column with the accuracy.
    name: genotype -> its name in the benchmark; SpaceError if it has none.
  """

  source: str
  space: SearchSpace
  rows: Mapping[str, int]
  columns: Mapping[str, np.ndarray]
  runs: Mapping[tuple[str, str, int], str]
  name: Callable[[SearchSpace], str]
  _seen: dict[tuple[Cell | None, ...], int] = dataclasses.field(default_factory=dict)

  def row(self, genotype: SearchSpace) -> int:
    """The row of an architecture.

    Raises:
      SpaceError: it has no name in this benchmark.
      TableError: the table does not hold it.
    """
    cells = tuple(genotype.cells.get(name) for name in self.space.searched)
    if cells not in self._seen:  # naming takes 20 times as long as looking up
      name = self.name(genotype)
      if name not in self.rows:
        raise TableError(f"{self.source}: architecture {name} is not in it")
      self._seen[cells] = self.rows[name]
    return self._seen[cells]

  def column(self, name: str) -> np.ndarray:
    """A column [N] by its name; TableError lists what there is."""
    if name not in self.columns:
      raise TableError(f"{self.source}: {choose_from('column', name, self.columns)}")
    return self.columns[name]

  def accuracy(self, *, dataset: str, split: str, epochs: int) -> np.ndarray:
    """The accuracies [N] of one kind of run; TableError lists which kinds there are."""
    run = (dataset, split, epochs)
    if run not in self.runs:
      there = "; ".join(f"{d} {s} {e} epochs" for d, s, e in self.runs)
      raise TableError(f"{self.source}: no {dataset} {split} {epochs} epochs. There are: {there}")
    return self.column(self.runs[run])

  def query(self, genotype: SearchSpace, *, dataset: str, split: str, epochs: int) -> float:
    """The accuracy in percent of one architecture."""
    return float(self.accuracy(dataset=dataset, split=split, epochs=epochs)[self.row(genotype)])


def look_up(
  table: Queryable,
  dataset: str = "cifar10",
  split: str = "valid",
  epochs: int = 12,
  costs: Sequence[str] = (),
) -> Evaluator:
  """score(x) = the accuracy that the benchmark has for x; the key is not used.

  Args:
    table: a `Table`, or `nats.nats_bench(...)`.
    dataset: "cifar10", "cifar100" or "imagenet16_120".
    split: "valid" or "test". A search that looks at "test" is cheating.
    epochs: length of the training looked at.
    costs: columns of a `Table` that are given besides, such as a device's of `devices`.

  Raises:
    TableError: the benchmark has no such runs or columns (at once for a `Table`).
  """
  if isinstance(table, Table):
    table.accuracy(dataset=dataset, split=split, epochs=epochs)
    for name in costs:
      table.column(name)
  elif costs:
    raise TableError(f"costs {list(costs)}: this benchmark has accuracies only")
  run = {"dataset": dataset, "split": split, "epochs": epochs}
  return functools.partial(_evaluate, table, run, tuple(costs))


def _evaluate(
  table: Any, run: Mapping[str, Any], costs: Sequence[str], genotype: SearchSpace, key: Any = None
) -> dict[str, float]:
  """Not a closure of `look_up`, because an evaluator may be sent to other processes."""
  del key
  known = {name: float(table.column(name)[table.row(genotype)]) for name in costs}
  return {"score": table.query(genotype, **run), **known}


def nasbench201(path: pathlib.Path | str) -> Table:
  """The merged NAS-Bench-201 table: a CSV, gzipped or not, one row for each of the 15,625 cells.

  Columns: `arch_index` (the benchmark's, rows in its order), `arch_str`, accuracies in percent for
  `c10`, `c100` and `in16` as in NASBENCH201_COLUMNS (means over the benchmark's seeds), and any
  others with numbers (`c10_params_M`, `c10_naswot`, `c10_synflow` ...).

  Raises:
    TableError: the file is missing, cut off or no CSV, lacks a column, has a row twice or rows
      missing, or a value that is no number.

  Source: Dong and Yang 2020 (arXiv:2001.00326); NATS-Bench (arXiv:2009.00437).
  """
  header, *lines = read_csv(pathlib.Path(path))
  needed = ["arch_index", "arch_str", *NASBENCH201_COLUMNS.values()]
  missing = [name for name in needed if name not in header]
  if missing:
    raise TableError(f"{path}: columns {missing} are missing; it has: {', '.join(header)[:500]}")
  texts = dict(zip(header, zip(*lines, strict=True), strict=True))
  names = texts.pop("arch_str")
  columns = {name: numbers(path, name, values) for name, values in texts.items()}
  rows = {name: row for row, name in enumerate(names)}
  space = cells.nasbench201()
  if len(rows) != len(names):
    twice = next(name for row, name in enumerate(names) if rows[name] != row)
    raise TableError(f"{path}: {twice} has two rows")
  if not np.array_equal(columns["arch_index"], np.arange(len(names))):
    raise TableError(f"{path}: arch_index must count 0, 1, 2 ...; rows are missing or out of order")
  if len(names) != space.size:
    raise TableError(f"{path}: {len(names)} architectures, the space has {space.size}: cut off?")
  return Table(str(path), space, rows, columns, NASBENCH201_COLUMNS, genotypes.to_nasbench201)


def _macro_space() -> SearchSpace:
  """NAS-Bench-Macro's space: a chain of 8 layers with 3 operations each, 6,561 architectures.

  It has no stages: a benchmark's space, not a network.
  """
  return SearchSpace({"chain": shapes.chain([MACRO_OPS] * MACRO_LAYERS)})


def nasbench_macro(path: pathlib.Path | str) -> Table:
  """NAS-Bench-Macro's JSON: `{"02012100": {"mean_acc": ..., "params": ..., "flops": ...}, ...}`.

  One digit a layer, see MACRO_OPS. Columns: `mean_acc` (percent, three runs on CIFAR-10), `std`,
  `params`, `flops` (multiply-accumulates). The length of a training is called 50 epochs here, as
  in the benchmark's paper (unverified).

  Raises:
    TableError: the file is missing, cut off or no such JSON, has an architecture twice, or fewer
      than the space.

  Source: Su et al. 2021 (arXiv:2103.11922).
  """

  def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
      names = [name for name, _ in pairs]
      raise TableError(f"{path}: {next(n for n in found if names.count(n) > 1)} is there twice")
    return found

  try:
    read = json.loads(_text(pathlib.Path(path)), object_pairs_hook=no_doubles)
  except TableError:
    raise
  except (ValueError, RecursionError) as error:
    raise TableError(f"{path}: no JSON, or cut off: {error}") from None
  space = _macro_space()
  if not isinstance(read, dict) or len(read) != space.size:
    found = f"{len(read)} architectures" if isinstance(read, dict) else type(read).__name__
    raise TableError(f"{path}: {found}, the space has {space.size} architectures")
  digits = {str(i) for i in range(len(MACRO_OPS))}
  for name, entry in read.items():
    if len(name) != MACRO_LAYERS or not set(name) <= digits or not isinstance(entry, dict):
      raise TableError(f"{path}: {name!r} must be {MACRO_LAYERS} digits of {sorted(digits)}")
  columns = {
    name: numbers(path, name, [entry.get(name) for entry in read.values()])
    for name in ("mean_acc", "std", "params", "flops")
  }
  rows = {name: row for row, name in enumerate(read)}
  runs = {("cifar10", "test", 50): "mean_acc"}
  return Table(str(path), space, rows, columns, runs, _macro_name)


def _macro_name(genotype: SearchSpace) -> str:
  (ops,) = _macro_space().choices(genotype).values()
  return "".join(str(MACRO_OPS.index(str(op))) for op in ops)


def _text(path: pathlib.Path) -> str:
  """A text file, gzipped or not (by its first bytes, not its name)."""
  if not path.is_file():
    raise TableError(f"{path} is missing")
  try:
    with open(path, "rb") as plain:
      packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open(path, "rb") as file:
      return bounded(file, path, _MAX_BYTES, TableError).decode("utf-8")
  except TableError:
    raise
  except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
    raise TableError(f"{path} is cut off or no text: {error}") from None


def read_csv(path: pathlib.Path) -> list[list[str]]:
  """Header and rows of a CSV, all of equal length."""
  text = _text(path)
  if not text.endswith("\n"):
    raise TableError(f"{path} is cut off: its last line has no end")
  try:
    lines = list(csv.reader(text.splitlines()))
  except csv.Error as error:
    raise TableError(f"{path} is no CSV: {error}") from None
  if len(lines) < 2:
    raise TableError(f"{path} holds no rows")
  for number, line in enumerate(lines, 1):
    if len(line) != len(lines[0]):
      raise TableError(
        f"{path}, line {number}: {len(line)} columns, the header has {len(lines[0])}"
      )
  return lines


def numbers(path: Any, name: str, values: Sequence[Any]) -> np.ndarray:
  """float64 [N], empty texts as NaN."""
  try:
    return np.array([math.nan if value == "" else float(value) for value in values])
  except (TypeError, ValueError, OverflowError) as error:
    why = str(error)[:300]  # It quotes the field.
    raise TableError(f"{path}: column {name} holds what is no number: {why}") from None
