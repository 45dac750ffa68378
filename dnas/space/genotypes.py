# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published genotypes, and readers and writers for the formats that people have.

Three formats: our own JSON (`SearchSpace.to_json`), DARTS' JSON object of `normal` (a list of
`[op, node]`), `normal_concat`, `reduce` and `reduce_concat`, and NAS-Bench-201's string
`|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

>>> from dnas.space import genotypes
>>> str(genotypes.load("DARTS_V2").cells["normal"]).split(" | ")[0]
'2: sep_conv_3x3(0) + sep_conv_3x3(1)'
"""

import pathlib
import re
from typing import Any

from dnas.errors import choose_from
from dnas.files import text_of
from dnas.space import document, macro
from dnas.space.checks import is_int, show
from dnas.space.space import Cell, Edge, SearchSpace, SpaceError

# `op node` pairs, two per node, then the nodes that are concatenated. Sources: DARTS 1806.09055;
# PC-DARTS 1907.05737; P-DARTS 1904.12760; NASNet 1707.07012 and AmoebaNet 1802.01548 as DARTS'
# authors transcribed them; DrNAS 2006.10355; SNAS (mild constraint) 1812.09926.
_SHORT = {
  "k": "skip_connect",
  "m": "max_pool_3x3",
  "a": "avg_pool_3x3",
  "s3": "sep_conv_3x3",
  "s5": "sep_conv_5x5",
  "s7": "sep_conv_7x7",
  "d3": "dil_conv_3x3",
  "d5": "dil_conv_5x5",
  "c71": "conv_7x1_1x7",
}
_PUBLISHED = {
  "DARTS_V1": (
    "s3 1 s3 0 k 0 s3 1 k 0 s3 1 s3 0 k 2",
    "2345",
    "m 0 m 1 k 2 m 0 m 0 k 2 k 2 a 0",
    "2345",
  ),
  "DARTS_V2": (
    "s3 0 s3 1 s3 0 s3 1 s3 1 k 0 k 0 d3 2",
    "2345",
    "m 0 m 1 k 2 m 1 m 0 k 2 k 2 m 1",
    "2345",
  ),
  "PC_DARTS_cifar": (
    "s3 1 k 0 s3 0 d3 1 s5 0 s3 1 a 0 d3 1",
    "2345",
    "s5 1 m 0 s5 1 s5 2 s3 0 s3 3 s3 1 s3 2",
    "2345",
  ),
  "PC_DARTS_image": (
    "k 1 s3 0 s3 0 k 1 s3 1 s3 3 s3 1 d5 4",
    "2345",
    "s3 0 k 1 d5 2 m 1 s3 2 s3 1 s5 0 s3 3",
    "2345",
  ),
  "PDARTS": (
    "k 0 d3 1 k 0 s3 1 s3 1 s3 3 s3 0 d5 4",
    "2345",
    "a 0 s5 1 s3 0 d5 2 m 0 d3 1 d3 1 d5 3",
    "2345",
  ),
  "NASNet": (
    "s5 1 s3 0 s5 0 s3 0 a 1 k 0 a 0 a 0 s3 1 k 1",
    "23456",
    "s5 1 s7 0 m 1 s7 0 a 1 s5 0 k 3 a 2 s3 2 m 1",
    "456",
  ),
  "AmoebaNet": (
    "a 0 m 1 s3 0 s5 2 s3 0 a 3 s3 1 k 1 k 0 a 1",
    "456",
    "a 0 s3 1 m 0 s7 2 s7 0 a 1 m 0 m 1 c71 0 s3 5",
    "346",
  ),
  "DrNAS_cifar10": (
    "s3 0 s5 1 s3 1 s3 2 k 0 s3 1 s3 2 d5 3",
    "2345",
    "m 0 s5 1 d5 2 s5 1 s5 1 d5 3 k 4 s5 1",
    "2345",
  ),
  "SNAS_mild": (
    "s3 0 s3 1 k 0 d3 1 k 0 k 1 k 0 s3 1",
    "2345",
    "m 0 m 1 m 1 k 2 m 1 k 2 m 0 d5 2",
    "2345",
  ),
}
NAMES = tuple(_PUBLISHED)

# Two 3x3 convolutions in a row beside an identity: a ResNet's block, written as a cell.
RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def published(name: str) -> SearchSpace:
  """The genotype of a paper by name, in DARTS' CIFAR network of 36 channels and 20 cells.

  Raises:
    SpaceError: the name is not in `NAMES`.
  """
  if name not in _PUBLISHED:
    raise SpaceError(choose_from("published genotype:", name, NAMES))
  normal, normal_output, reduce, reduce_output = _PUBLISHED[name]

  def cell(text: str, output: str) -> Cell:
    words = text.split()
    pairs = [[_SHORT[op], int(node)] for op, node in zip(words[::2], words[1::2], strict=True)]
    return _cell_of_pairs(pairs, [int(node) for node in output], name)

  cells = {"normal": cell(normal, normal_output), "reduce": cell(reduce, reduce_output)}
  return macro.cifar(SearchSpace(cells))


def load(name_or_file: str | pathlib.Path) -> SearchSpace:
  """A genotype by published name, from a file in any format, or from a NAS-Bench-201 string.

  Raises:
    SpaceError: neither a name nor a file, or the file is malformed; the message names file and
      field.
  """
  text = str(name_or_file)
  if text in _PUBLISHED:
    return published(text)
  if text.startswith("|"):
    return from_nasbench201(text)
  path = pathlib.Path(text)
  if not path.is_file():
    raise SpaceError(
      f"genotype: {text!r} is neither a file nor a published genotype ({', '.join(NAMES)})"
    )
  text = text_of(path, kind=SpaceError)
  try:
    return loads(text)
  except SpaceError as error:
    raise SpaceError(f"{path}: {error}") from None


def decided(source: str | pathlib.Path | SearchSpace) -> SearchSpace:
  """`load`, of a genotype only; a space that is loaded already is checked.

  Raises:
    SpaceError: see `load`; or it still holds choices, whose cells the message names.
  """
  given = isinstance(source, SearchSpace)
  found = source if given else load(source)
  if not found.is_genotype:
    raise SpaceError(
      f"{'genotype' if given else source}: still holds choices in {list(found.searched)}; name it "
      "as a space, or search it first"
    )
  return found


def loads(text: str) -> SearchSpace:
  """A genotype from text in any of the three formats."""
  if text.lstrip().startswith("|"):
    return from_nasbench201(text)
  try:
    read = document.parse(text)
  except SpaceError as error:
    if text.lstrip().startswith(("{", "[")):
      raise
    raise SpaceError(f"{error}; no NAS-Bench-201 string |op~0|+|op~0|op~1|+... either") from None
  if isinstance(read, dict) and "schema" not in read and "normal" in read:
    return from_darts(read)
  return SearchSpace.from_json(text)


def from_darts(genotype: dict[str, Any]) -> SearchSpace:
  """Reads DARTS' format: two `[op, node]` pairs per node, from node 2 on.

  Raises:
    SpaceError: a field is missing, unknown or malformed.
  """
  names = [f"{name}{part}" for name in ("normal", "reduce") for part in ("", "_concat")]
  fields = document.fields_of(genotype, names, names, "genotype")
  cells = {}
  for name in ("normal", "reduce"):
    pairs, output = (document.list_of(fields[field], field) for field in (name, f"{name}_concat"))
    cells[name] = _cell_of_pairs(pairs, output, name)
  return macro.cifar(SearchSpace(cells))


def to_darts(genotype: SearchSpace) -> dict[str, Any]:
  """Writes DARTS' format, the inverse of `from_darts`.

  Raises:
    SpaceError: a cell is missing, not decided, or has not two inputs and two edges per node.
  """
  written = {}
  for name in ("normal", "reduce"):
    cell = _decided(genotype, name)
    pairs = []
    for node in cell.nodes:
      incoming = [cell.edges[i] for i in cell.incoming(node)]
      if cell.inputs != 2 or len(incoming) != 2:
        raise SpaceError(
          f"cells.{name}: DARTS' format holds 2 inputs and 2 edges per node; this cell has "
          f"{cell.inputs} inputs, and node {node} has {len(incoming)} edges"
        )
      pairs += [[edge.ops[0], edge.src] for edge in incoming]
    written |= {name: pairs, f"{name}_concat": list(cell.output)}
  return written


def from_nasbench201(text: str) -> SearchSpace:
  """Reads NAS-Bench-201's string: the nodes joined by `+`, each `|op~src|op~src|...|`.

  >>> str(from_nasbench201("|nor_conv_3x3~0|+|skip_connect~0|none~1|").cells["cell"])
  '1: nor_conv_3x3(0) | 2: skip_connect(0) + none(1)'

  Raises:
    SpaceError: the string is malformed; the message shows the part.
  """
  edges = []
  for dst, node in enumerate(text.strip().split("+"), start=1):
    if not re.fullmatch(r"\|([^|~+\s]+~[0-9]{1,3}\|)+", node):
      raise SpaceError(f"node {dst}: {show(node)} is not of the form |op~0|op~1|...|")
    parts = [part.split("~") for part in node.strip("|").split("|")]
    sources = [int(src) for _, src in parts]
    if sources != list(range(dst)):
      valid = show(list(range(dst)))
      raise SpaceError(f"node {dst}: must list the inputs {valid}, got {show(sources)}")
    edges += [Edge(src, dst, (op,)) for (op, _), src in zip(parts, sources, strict=True)]
  last = edges[-1].dst
  return macro.nasbench201(SearchSpace({"cell": Cell(1, tuple(edges), (last,))}))


def to_nasbench201(genotype: SearchSpace) -> str:
  """Writes NAS-Bench-201's string, the inverse of `from_nasbench201`.

  Raises:
    SpaceError: there is no decided cell `cell` with one input, all edges and the last node as
      output.
  """
  cell = _decided(genotype, "cell")
  nodes = []
  for node in cell.nodes:
    incoming = sorted((cell.edges[i] for i in cell.incoming(node)), key=lambda edge: edge.src)
    if [edge.src for edge in incoming] != list(range(node)) or cell.inputs != 1:
      raise SpaceError(
        f"cells.cell: node {node} must have one edge from each of {list(range(node))}"
      )
    nodes.append("|" + "".join(f"{edge.ops[0]}~{edge.src}|" for edge in incoming))
  if cell.output != (cell.nodes[-1],):
    raise SpaceError(f"cells.cell.output: must be the last node, got {cell.output}")
  return "+".join(nodes)


def _decided(genotype: SearchSpace, name: str) -> Cell:
  if name not in genotype.cells:
    raise SpaceError(f"cells: this format needs a cell {name!r}, got {sorted(genotype.cells)}")
  if not genotype.cells[name].is_decided:
    raise SpaceError(f"cells.{name}: still holds a choice; only genotypes have this format")
  return genotype.cells[name]


def _cell_of_pairs(pairs: list, output: list, field: str) -> Cell:
  """A decided cell from `[op, node]` pairs, two per node."""
  if len(pairs) == 0 or len(pairs) % 2:
    raise SpaceError(f"{field}: must hold two [op, node] pairs per node, got {len(pairs)} pairs")
  edges = []
  for i, pair in enumerate(pairs):
    if not (
      isinstance(pair, list | tuple)
      and len(pair) == 2
      and isinstance(pair[0], str)
      and is_int(pair[1])
    ):
      raise SpaceError(f"{field}[{i}]: must be [op, node], got {show(pair)}")
    op, src = pair
    dst = 2 + i // 2
    if not 0 <= src < dst:
      raise SpaceError(f"{field}[{i}]: node {dst} can see nodes 0 to {dst - 1}, got {show(src)}")
    edges.append(Edge(src, dst, (op,)))
  try:
    return Cell(2, tuple(edges), tuple(output), keep=2)
  except SpaceError as error:
    # A Cell knows neither its name nor what this format calls the output and edges.
    message = str(error).replace("cell.output", f"{field}_concat", 1)
    raise SpaceError(message.replace("cell.edges", field, 1)) from None
