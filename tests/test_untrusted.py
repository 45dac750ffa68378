# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Files of strangers: whatever stands in them is read, or is an error that says so in words."""

import gzip
import json
import pathlib
import random
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from dnas import config as configs
from dnas import data, fields, log
from dnas.errors import DnasError
from dnas.estimate import nats, tabular
from dnas.estimate.tabular import NASBENCH201_COLUMNS, TableError
from dnas.space import cells, genotypes
from dnas.space.space import SearchSpace
from dnas.strategy import history
from dnas.trees import load_tree, save_tree

# What parsers trip over, spliced in at random places.
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
  *(
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"0.5",
    b"9" * 4400,
    b"1" + b"0" * 400,
  ),
  *(b"[" * 3000, b'{"a":' * 2000, b"\\ud800", b"__class__", b"../../etc/passwd", b"%s", b"{0}"),
  *(b"!!python/object/apply:os.system [ls]", b"&a [*a]", b"*b", b"<<: ", b"2020-99-99", b"!!int x"),
  *(b"!!binary x", b"? ", b"\x1f\x8b", b"PK\x03\x04", b"nor_conv_3x3", b"0x1F", b"1:2:3"),
)


def mutated(rng: random.Random, good: bytes) -> bytes:
  """A good file, changed in one to four places."""
  text = bytearray(good)
  for _ in range(rng.randint(1, 4)):
    a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    b = min(b, a + rng.choice((0, 1, 4, 30, 10_000)))
    kind = rng.randrange(6)
    if kind == 0:
      text[a:b] = rng.choice(PIECES)
    elif kind == 1:
      del text[a:b]
    elif kind == 2:
      text[a:a] = text[a:b]
    elif kind == 3 and text:
      text[min(a, len(text) - 1)] ^= 1 << rng.randrange(8)
    elif kind == 4:
      del text[a:]
    else:
      text[a:b] = rng.randbytes(min(b - a, 16))
  return bytes(text)


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


def csv_table(folder: pathlib.Path) -> tuple[bytes, Callable]:
  header = ["arch_index", "arch_str", *NASBENCH201_COLUMNS.values()]
  row = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
  lines = [header, *([str(i), row, *["1.5"] * len(NASBENCH201_COLUMNS)] for i in range(3))]
  good = "".join(",".join(line) + "\n" for line in lines).encode()
  return good, as_file(folder / "t.csv", tabular.nasbench201)


def json_table(folder: pathlib.Path) -> tuple[bytes, Callable]:
  entry = {"mean_acc": 90.0, "std": 0.1, "params": 1, "flops": 2}
  return json.dumps({"0" * 8: entry}).encode(), as_file(folder / "t.json", tabular.nasbench_macro)


def histories(folder: pathlib.Path) -> tuple[bytes, Callable]:
  header = {"step": 0, "schema": history.SCHEMA, "seed": 0, "ahead": 1}
  query = {"step": 1, "asked": 1, "choices": {"cell": ["none"] * 6}, "metrics": {"score": 0.5}}
  good = "".join(json.dumps(line) + "\n" for line in (header, query)).encode()
  return good, as_file(folder / "history.jsonl", history.read)


def weights(folder: pathlib.Path) -> tuple[bytes, Callable]:
  save_tree(folder / "good.npz", {"a": {"w": np.arange(6.0)}, "n": 3})
  return (folder / "good.npz").read_bytes(), as_file(folder / "w.npz", load_tree)


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


@pytest.mark.parametrize(
  "inputs", [60, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "110,000 in all"]
)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_never_anything_but_a_clean_error(reader, inputs, tmp_path):
  rng = random.Random(f"{reader.__name__} {inputs}")
  good, read = reader(tmp_path)
  errors = longest = 0
  for number in range(inputs):
    content = mutated(rng, good)
    try:
      read(content)
    except DnasError as error:
      errors += 1
      longest = max(longest, len(str(error)))
    except Exception as error:
      pytest.fail(f"input {number}, {content[:300]!r}: {type(error).__name__}: {error}")
  assert errors > inputs / 5
  assert longest < 20_000


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
