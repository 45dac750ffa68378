# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Files of strangers: whatever stands in them is read, or is an error that says so in words."""

import contextlib
import copy
import functools
import gzip
import json
import operator
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnas import config as configs
from dnas import data, fields, files, log, report, runs, trained
from dnas.cost import latency
from dnas.errors import DnasError
from dnas.estimate import nats, tabular
from dnas.estimate.tabular import NASBENCH201_COLUMNS, TableError
from dnas.report import findings, page, progress
from dnas.space import cells, genotypes
from dnas.space.space import Cell, Edge, SearchSpace
from dnas.strategy import history, shared
from dnas.trees import load_tree, save_tree

# What parsers trip over.
PIECES = (
  *(
    b"{}",
    b"[]",
    b'"',
    b"'",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b" ",
    b"-",
  ),
  *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"9" * 4400),
  *(b"1" + b"0" * 400, b"[" * 3000, b'{"a":' * 2000, b"\\ud800", b"__class__", b"%s", b"{0}"),
  *(b"!!python/object/apply:os.system [ls]", b"&a [*a]", b"*b", b"<<: ", b"2020-99-99", b"!!int x"),
  *(b"!!binary x", b"? ", b"\x1f\x8b", b"PK\x03\x04", b"nor_conv_3x3", b"0x1F", b"1:2:3"),
  b"../../etc/passwd",
)
WORDS = ("none", "nor_conv_3x3", "cell", "__class__", "../../etc/passwd", "NaN", "\ud800", "")
TWICE = None  # Stands for what it replaces, two times.


def edited(good: bytes) -> st.SearchStrategy[bytes]:
  """The file with one to four pieces of it cut out, repeated, or replaced."""
  place, length = st.integers(0, len(good)), st.sampled_from((0, 1, 4, 30, len(good)))
  piece = st.one_of(st.sampled_from((TWICE, b"", *PIECES)), st.binary(max_size=8))

  def edit(edits: list[tuple[int, int, bytes | None]]) -> bytes:
    text = good
    for at, size, new in edits:
      old = text[at : at + size]
      text = text[:at] + (2 * old if new is TWICE else new) + text[at + size :]
    return text

  return st.lists(st.tuples(place, length, piece), min_size=1, max_size=4).map(edit)


SCALARS = st.one_of(
  *(st.none(), st.booleans(), st.sampled_from(WORDS), st.text(max_size=8)),
  *(st.integers(-3, 20), st.sampled_from((10**400, -(2**63), 2**31)), st.floats()),
)


def documents(known: list[str]) -> st.SearchStrategy[Any]:
  """JSON values of any shape, their objects with the fields of a good file or others."""
  name = st.sampled_from([*known, *WORDS])
  inner = lambda value: st.lists(value, max_size=3) | st.dictionaries(name, value, max_size=3)
  return st.recursive(SCALARS, inner, max_leaves=6)


def grafted(good: Any) -> st.SearchStrategy[bytes]:
  """The JSON of a good document, of which one or two values are replaced by any others."""
  places = list(_places(good))
  names = sorted({step for place in places for step in place if isinstance(step, str)})

  def graft(changes: list[tuple[tuple, Any]]) -> bytes:
    whole = copy.deepcopy(good)
    for place, value in changes:
      with contextlib.suppress(LookupError, TypeError):  # The change before it took the place away.
        functools.reduce(operator.getitem, place[:-1], whole)[place[-1]] = value
    return json.dumps(whole).encode()

  change = st.tuples(st.sampled_from(places), documents(names))
  return st.lists(change, min_size=1, max_size=2).map(graft)


def _places(document: Any, above: tuple = ()) -> Iterator[tuple]:
  """Where the values within a document are, as keys and indices from the top."""
  steps = document.keys() if isinstance(document, dict) else range(len(document))
  for step in steps:
    yield (*above, step)
    if isinstance(document[step], (dict, list)):
      yield from _places(document[step], (*above, step))


def inputs_like(good: bytes) -> st.SearchStrategy[bytes]:
  """Files that are nearly good, that are good JSON and say nonsense, and that are anything."""
  kinds = [edited(good), edited(good), st.binary(max_size=64), st.text(max_size=64).map(str.encode)]
  with contextlib.suppress(ValueError):  # Also UnicodeDecodeError.
    document = json.loads(good)
    kinds += [grafted(document), grafted(document)]
  return st.one_of(kinds)


def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
  return lambda content: read(content.decode("utf-8", errors="replace"))


def as_file(path: pathlib.Path, read: Callable[[pathlib.Path], object]):
  def with_content(content: bytes) -> object:
    path.write_bytes(content)
    return read(path)

  return with_content


def pictures(folder: pathlib.Path) -> pathlib.Path:
  (folder / "images").mkdir()
  cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((8, 8, 3), np.uint8))
  return folder


def coco(folder: pathlib.Path) -> tuple[bytes, Callable]:
  pictures(folder)
  box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
  good = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
    "annotations": [box],
    "categories": [{"id": 1, "name": "cat"}],
  }
  file = folder / "all.json"
  read = lambda path: data.load(f"coco:{path}@{folder / 'images'}", None)
  return json.dumps(good).encode(), as_file(file, read)


def yolo(folder: pathlib.Path) -> tuple[bytes, Callable]:
  pictures(folder)
  (folder / "labels").mkdir()
  (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
  read = lambda path: data.load(f"yolo:{path}", "train")
  return b"path: .\ntrain: images\nval: images\nnames: [cat, dog]\n", as_file(
    folder / "d.yaml", read
  )


def yolo_labels(folder: pathlib.Path) -> tuple[bytes, Callable]:
  pictures(folder)
  (folder / "labels").mkdir()
  (folder / "d.yaml").write_text("path: .\ntrain: images\nval: images\nnames: [cat, dog]\n")
  read = lambda path: data.load(f"yolo:{folder / 'd.yaml'}", "train")
  good = b"0 0.5 0.5 0.5 0.5\n1 0.25 0.5 0.75 0.5 0.5 1.0\n"
  return good, as_file(folder / "labels" / "a.txt", read)


def excerpt(**names: Any) -> Callable[[Callable], Callable]:
  """Makes a reader take a table of three rows for a whole one."""

  def of(read: Callable) -> Callable:
    def with_names(path: pathlib.Path) -> object:
      with mock.patch.multiple(tabular, **names):
        return read(path)

    return with_names

  return of


def csv_table(folder: pathlib.Path) -> tuple[bytes, Callable]:
  header = ["arch_index", "arch_str", *NASBENCH201_COLUMNS.values()]
  row = "|{}~0|+|none~0|none~1|+|none~0|none~1|none~2|"
  ops = cells.NASBENCH201_OPS[:3]
  lines = [
    header,
    *([str(i), row.format(op), *["1.5"] * len(header[2:])] for i, op in enumerate(ops)),
  ]
  good = "".join(",".join(line) + "\n" for line in lines).encode()
  three = SearchSpace({"cell": Cell(1, (Edge(0, 1, ops),), (1,))})
  few = excerpt(cells=mock.Mock(nasbench201=lambda: three))
  return good, as_file(folder / "t.csv", few(tabular.nasbench201))


def json_table(folder: pathlib.Path) -> tuple[bytes, Callable]:
  entry = {"mean_acc": 90.0, "std": 0.1, "params": 1, "flops": 2}
  good = json.dumps(dict.fromkeys("012", entry)).encode()
  return good, as_file(folder / "t.json", excerpt(MACRO_LAYERS=1)(tabular.nasbench_macro))


def histories(folder: pathlib.Path) -> tuple[bytes, Callable]:
  header = {"step": 0, "schema": history.SCHEMA, "seed": 0, "ahead": 1}
  query = {"step": 1, "asked": 1, "choices": {"cell": ["none"] * 6}, "metrics": {"score": 0.5}}
  good = "".join(json.dumps(line) + "\n" for line in (header, query)).encode()
  return good, as_file(folder / "history.jsonl", history.read)


def weights(folder: pathlib.Path) -> tuple[bytes, Callable]:
  tree = {"a": {"w": np.arange(6.0)}, "n": 3}
  save_tree(folder / "good.npz", tree)
  read = lambda path: load_tree(path, tree)
  return (folder / "good.npz").read_bytes(), as_file(folder / "w.npz", read)


def metrics(folder: pathlib.Path) -> tuple[bytes, Callable]:
  return b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": "NaN"}\n', as_file(folder / "m", log.read)


def genotype(folder: pathlib.Path) -> tuple[bytes, Callable]:
  return genotypes.load("DARTS_V2").to_json().encode(), as_text(genotypes.loads)


def space(folder: pathlib.Path) -> tuple[bytes, Callable]:
  return cells.nasbench201().to_json().encode(), as_text(SearchSpace.from_json)


def config(folder: pathlib.Path) -> tuple[bytes, Callable]:
  root = pathlib.Path(__file__).resolve().parents[1]
  text = configs.to_json(configs.load(root / "configs" / "digits.py"))
  return text.encode(), as_text(fields.from_json)


READERS = (
  *(genotype, space, config, metrics, histories, csv_table, json_table, coco, yolo, yolo_labels),
  weights,
)


def variants(content: bytes, good: bytes) -> tuple[bytes, ...]:
  """Six files of one: whole, halves, twice, and joined to what is good."""
  half, middle = len(content) // 2, len(good) // 2
  parts = content, content[:half], content[half:]
  return (*parts, content + content, content + good, good[:middle] + content)


@pytest.mark.parametrize(
  "examples", [10, pytest.param(1700, marks=pytest.mark.slow)], ids=["few", "112,200 inputs in all"]
)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_never_anything_but_a_clean_error(reader, examples, tmp_path):
  good, read = reader(tmp_path)
  read(good)
  seen, said = 0, []

  @settings(
    max_examples=examples,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
  )
  @given(content=inputs_like(good))
  def check(content: bytes) -> None:
    nonlocal seen
    for each in variants(content, good):
      seen += 1
      try:
        read(each)
      except DnasError as error:
        said.append(len(str(error)))

  check()
  assert seen >= 6 * examples
  assert len(said) > seen / 5
  assert max(said) < 20_000


def test_a_yaml_that_grows_without_end_is_refused_at_once(tmp_path):
  lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
  lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
  file = tmp_path / "d.yaml"
  file.write_text("\n".join([*lines, "names: *a11", "path: *a11"]))
  with pytest.raises(data.DataError) as error:
    data.load(f"yolo:{file}", "train")
  assert len(str(error.value)) < 1000
  file.write_text("- " + "\n- ".join(line.partition(": ")[2] for line in lines))
  with pytest.raises(data.DataError, match="not a mapping") as error:
    data.load(f"yolo:{file}", "train")
  assert len(str(error.value)) < 1000


def test_a_table_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(tabular, "_MAX_BYTES", 1000)
  (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"0" * 1001))
  with pytest.raises(TableError, match="more than 1000 bytes"):
    tabular.nasbench201(tmp_path / "t.csv.gz")


def test_pickles_are_read_only_where_that_is_said(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "nats_bench", None)
  with pytest.raises(TableError, match="allow_pickle=True"):
    nats.nats_bench(tmp_path)


def run_again(folder: pathlib.Path) -> None:
  root = pathlib.Path(__file__).resolve().parents[1]
  with runs.folder(folder, configs.load(root / "configs" / "digits.py"), ("seed",)):
    raise AssertionError("not reached")


def evaluated_again(folder: pathlib.Path) -> None:
  root = pathlib.Path(__file__).resolve().parents[1]
  findings.draw(configs.load(root / "configs" / "digits.py"), folder)


@pytest.mark.parametrize(
  ("name", "read"),
  [
    ("config.json", trained.config_of),
    ("config.json", run_again),
    ("config.json", lambda folder: page.page([folder])),
    ("genotype.json", lambda folder: genotypes.load(folder / "genotype.json")),
    ("genotype.json", report.draw),
    ("classes.json", lambda folder: trained.classes_of(folder, None)),
    ("result.json", lambda folder: page._json(folder / "result.json")),
    ("predictions.json", evaluated_again),
    ("watch/00000001.json", progress.read_watch),
    ("queue/0.task", lambda folder: shared._read(folder / "queue" / "0.task")),
    ("latency.json", lambda folder: latency.LatencyTable(folder / "latency.json")),
    ("metrics.jsonl", lambda folder: log.read(folder / "metrics.jsonl")),
    ("history.jsonl", lambda folder: history.read(folder / "history.jsonl")),
  ],
)
def test_files_of_a_run_have_their_size(tmp_path, monkeypatch, name, read):
  """One that has more is not read to its end; nor is a device, which has none."""
  size = files.MAX_BYTES
  monkeypatch.setattr(log, "_MAX_BYTES", size)
  monkeypatch.setattr(findings, "_MAX_BYTES", size)
  file = tmp_path / name
  file.parent.mkdir(exist_ok=True)
  file.write_text("")
  os.truncate(file, size + 1)
  with pytest.raises(DnasError, match=f"{name} has more than {size} bytes"):
    read(tmp_path)


def test_files_of_a_data_set_that_have_no_end_are_refused(tmp_path):
  (tmp_path / "d.yaml").symlink_to("/dev/zero")
  with pytest.raises(data.DataError, match=r"d\.yaml has more than 16777216 bytes"):
    data.load(f"yolo:{tmp_path / 'd.yaml'}", "train")
