# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search space as plain data; a genotype is a search space with no choice left.

An `Edge` lists the operations that may stand on it, a `Cell` is a directed acyclic graph of edges,
a `Stage` repeats a cell at one width, and a `SearchSpace` names the cells and strings the stages
together.

>>> from dnas.space import cells
>>> space = cells.nasbench201()
>>> space.size
15625
>>> import random
>>> genotype = space.sample(random.Random(0))
>>> genotype.is_genotype, space.is_genotype
(True, False)
"""

import dataclasses
import functools
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

SCHEMA = "dnas.space/1"

# One operation name per edge of a cell; None where the edge is dropped.
Choice = tuple[str | None, ...]
Choices = Mapping[str, Sequence[str | None]]


class SpaceError(ValueError):
  """A search space, genotype or decision is malformed; the message names the field."""


def _check(condition: bool, field: str, message: str) -> None:
  if not condition:
    raise SpaceError(f"{field}: {message}")


@dataclasses.dataclass(frozen=True)
class Edge:
  """A connection from node `src` to node `dst` and the operations that may stand on it."""

  src: int
  dst: int
  ops: tuple[str, ...]

  def __post_init__(self):
    object.__setattr__(self, "ops", tuple(self.ops))


@dataclasses.dataclass(frozen=True)
class Cell:
  """A directed acyclic graph whose nodes are feature maps; each node sums its incoming edges.

  Attributes:
    inputs: number of input nodes (0 .. inputs - 1). One input goes into the edges as it is; several
      are first brought to the stage's width and resolution (ReLU, 1x1 convolution, batch norm).
    edges: the connections; nodes from `inputs` on each have at least one incoming edge. Two edges
      may join the same nodes (NASNet's cells do).
    output: the nodes that are concatenated into the cell's output.
    keep: a genotype keeps exactly min(keep, incoming) edges of each node, and `none` cannot be
      chosen (DARTS keeps 2). None: it keeps every edge, and `none` is a choice like any other.
  """

  inputs: int
  edges: tuple[Edge, ...]
  output: tuple[int, ...]
  keep: int | None = None

  def __post_init__(self):
    object.__setattr__(self, "edges", tuple(self.edges))
    object.__setattr__(self, "output", tuple(self.output))
    self.validate("cell")

  def validate(self, field: str) -> None:
    """Raises SpaceError, naming a field below `field`, unless the cell is sound."""
    _check(_is_int(self.inputs) and self.inputs >= 1, f"{field}.inputs", "must be 1 or more")
    _check(len(self.edges) > 0, f"{field}.edges", "must hold at least one edge")
    for i, edge in enumerate(self.edges):
      at = f"{field}.edges[{i}]"
      _check(isinstance(edge, Edge), at, f"must be an Edge, got {edge!r}")
      _check(
        _is_int(edge.src) and edge.src >= 0, f"{at}.src", f"must be 0 or more, got {edge.src!r}"
      )
      _check(
        _is_int(edge.dst) and edge.dst >= self.inputs,
        f"{at}.dst",
        f"must be {self.inputs} or more (nodes below are inputs), got {edge.dst!r}",
      )
      _check(edge.src < edge.dst, at, f"must lead to a later node, got {edge.src} -> {edge.dst}")
      _check(len(edge.ops) > 0, f"{at}.ops", "must name at least one operation")
      for op in edge.ops:
        _check(isinstance(op, str) and op != "", f"{at}.ops", f"must hold names, got {op!r}")
      _check(len(set(edge.ops)) == len(edge.ops), f"{at}.ops", f"repeats a name: {edge.ops}")
      _check(
        self.keep is None or edge.ops != ("none",),
        f"{at}.ops",
        "must hold an operation besides 'none', which cannot be chosen where `keep` is set",
      )
    last = max(edge.dst for edge in self.edges)
    fed = {edge.dst for edge in self.edges}
    for node in range(self.inputs, last + 1):
      _check(node in fed, f"{field}.edges", f"node {node} has no incoming edge")
    _check(len(self.output) > 0, f"{field}.output", "must name at least one node")
    for node in self.output:
      _check(
        _is_int(node) and self.inputs <= node <= last,
        f"{field}.output",
        f"must hold nodes {self.inputs} to {last}, got {node!r}",
      )
    _check(len(set(self.output)) == len(self.output), f"{field}.output", "repeats a node")
    _check(
      self.keep is None or (_is_int(self.keep) and self.keep >= 1),
      f"{field}.keep",
      f"must be 1 or more, or None, got {self.keep!r}",
    )

  @property
  def nodes(self) -> range:
    """The nodes that are computed (the inputs left out)."""
    return range(self.inputs, max(edge.dst for edge in self.edges) + 1)

  def incoming(self, node: int) -> tuple[int, ...]:
    """Indices of the edges that lead to `node`."""
    return tuple(i for i, edge in enumerate(self.edges) if edge.dst == node)

  def kept(self, node: int) -> int:
    """How many incoming edges of `node` a genotype has."""
    incoming = len(self.incoming(node))
    return incoming if self.keep is None else min(self.keep, incoming)

  def candidates(self, edge: Edge) -> tuple[str, ...]:
    """The operations that a genotype may have on `edge`."""
    return edge.ops if self.keep is None else tuple(op for op in edge.ops if op != "none")

  @property
  def is_decided(self) -> bool:
    """Whether no choice is left: one operation an edge, no surplus edge."""
    return all(len(edge.ops) == 1 for edge in self.edges) and all(
      self.kept(node) == len(self.incoming(node)) for node in self.nodes
    )

  @property
  def size(self) -> int:
    """Number of genotypes, exact.

    prod over nodes of e_k(n_1 .. n_m): the elementary symmetric polynomial of degree k = kept(node)
    in the numbers of candidates of its m incoming edges (for k = m: their product).
    """
    total = 1
    for node in self.nodes:
      coefficients = [1]  # of prod(1 + n_i t), lowest degree first
      for i in self.incoming(node):
        n = len(self.candidates(self.edges[i]))
        coefficients = [
          a + n * b for a, b in zip([*coefficients, 0], [0, *coefficients], strict=True)
        ]
      total *= coefficients[self.kept(node)]
    return total

  def check_choice(self, choice: Sequence[str | None], field: str) -> Choice:
    """`choice` as a tuple; SpaceError unless it picks one genotype of the cell."""
    choice = tuple(choice)
    _check(
      len(choice) == len(self.edges),
      field,
      f"must have one entry for each of the {len(self.edges)} edges, got {len(choice)}",
    )
    for i, (edge, op) in enumerate(zip(self.edges, choice, strict=True)):
      valid = self.candidates(edge)
      _check(
        op is None or op in valid, f"{field}[{i}]", f"{op!r} is not a choice; valid: {list(valid)}"
      )
    for node in self.nodes:
      chosen = sum(choice[i] is not None for i in self.incoming(node))
      _check(
        chosen == self.kept(node),
        field,
        f"node {node} must keep {self.kept(node)} of its edges, got {chosen}",
      )
    return choice

  def decide(self, choice: Sequence[str | None], field: str = "choice") -> "Cell":
    """The genotype cell that `choice` (one operation or None per edge) picks."""
    choice = self.check_choice(choice, field)
    edges = [
      Edge(edge.src, edge.dst, (op,))
      for edge, op in zip(self.edges, choice, strict=True)
      if op is not None
    ]
    return dataclasses.replace(self, edges=tuple(edges))

  def choice_of(self, decided: "Cell", field: str = "genotype") -> Choice:
    """The choice that leads from this cell to `decided`; SpaceError if none does."""
    choice: list[str | None] = [None] * len(self.edges)
    for edge in decided.edges:
      _check(len(edge.ops) == 1, field, f"edge {edge.src} -> {edge.dst} is not decided: {edge.ops}")
      free = [
        i
        for i, e in enumerate(self.edges)
        if (e.src, e.dst) == (edge.src, edge.dst)
        and choice[i] is None
        and edge.ops[0] in self.candidates(e)
      ]
      _check(
        len(free) > 0, field, f"{edge.ops[0]} on {edge.src} -> {edge.dst} is not in this space"
      )
      choice[free[0]] = edge.ops[0]
    return self.check_choice(choice, field)

  def sample(self, rng: random.Random) -> Choice:
    """A choice drawn uniformly from the cell's `size` genotypes."""
    choice: list[str | None] = [None] * len(self.edges)
    for node in self.nodes:
      subsets = list(itertools.combinations(self.incoming(node), self.kept(node)))
      weights = [
        math.prod(len(self.candidates(self.edges[i])) for i in subset) for subset in subsets
      ]
      for i in rng.choices(subsets, weights)[0]:
        choice[i] = rng.choice(self.candidates(self.edges[i]))
    return tuple(choice)

  def neighbours(self, choice: Choice) -> Iterator[Choice]:
    """Every choice that differs in one decision: another operation, or another edge into a node."""
    for i, op in enumerate(choice):
      if op is None:
        continue
      edge = self.edges[i]
      for other in self.candidates(edge):
        if other != op:
          yield (*choice[:i], other, *choice[i + 1 :])
      for j in self.incoming(edge.dst):
        if choice[j] is not None:
          continue
        # The operation moves along where it can; an edge without it takes any of its own.
        candidates = self.candidates(self.edges[j])
        for moved in (op,) if op in candidates else candidates:
          changed = list(choice)
          changed[i], changed[j] = None, moved
          yield tuple(changed)

  def __str__(self) -> str:
    """The cell in words: `2: sep_conv_3x3(0) + skip_connect(1) | 3: ...`."""
    return " | ".join(
      f"{node}: "
      + " + ".join(
        f"{'/'.join(self.edges[i].ops)}({self.edges[i].src})" for i in self.incoming(node)
      )
      for node in self.nodes
    )


@dataclasses.dataclass(frozen=True)
class Stage:
  """`repeats` cells of one kind at one width; the first has `stride`.

  Attributes:
    cell: name of a cell of the space.
    repeats: number of cells, 1 or more.
    channels: width of each node; the output has `channels * len(cell.output)`.
    stride: 1, or 2 to halve the resolution in the first cell.
  """

  cell: str
  repeats: int
  channels: int
  stride: int = 1


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """Cells with choices, and the network that they stand in.

  Attributes:
    cells: cell name -> Cell. Cells that no stage uses are allowed (a neck's fusion cell).
    stages: the backbone, from the image on.
    stem: how the image enters: a name in `dnas.nn.stem` (`conv3x3`, `conv3x3_stride2`, `imagenet`
      ...).
    stem_channels: the stem's output channels.
    pool_norm: whether batch norm follows a pooling operation while searching (DARTS yes,
      NAS-Bench-201 no).
    final_norm: whether batch norm and ReLU precede the classifier (NAS-Bench-201 yes, DARTS no).
  """

  cells: Mapping[str, Cell]
  stages: tuple[Stage, ...] = ()
  stem: str = "conv3x3"
  stem_channels: int = 16
  pool_norm: bool = True
  final_norm: bool = False

  def __post_init__(self):
    object.__setattr__(self, "cells", MappingProxyType(dict(self.cells)))
    object.__setattr__(self, "stages", tuple(self.stages))
    _check(len(self.cells) > 0, "cells", "must hold at least one cell")
    for name, cell in self.cells.items():
      _check(isinstance(name, str) and name != "", "cells", f"must have names, got {name!r}")
      _check(isinstance(cell, Cell), f"cells.{name}", f"must be a Cell, got {cell!r}")
    for i, stage in enumerate(self.stages):
      at = f"stages[{i}]"
      _check(isinstance(stage, Stage), at, f"must be a Stage, got {stage!r}")
      _check(
        stage.cell in self.cells, f"{at}.cell", f"{stage.cell!r} is none of {sorted(self.cells)}"
      )
      for field in ("repeats", "channels"):
        value = getattr(stage, field)
        _check(_is_int(value) and value >= 1, f"{at}.{field}", f"must be 1 or more, got {value!r}")
      _check(
        _is_int(stage.stride) and stage.stride in (1, 2),
        f"{at}.stride",
        f"must be 1 or 2, got {stage.stride!r}",
      )
    _check(
      isinstance(self.stem, str) and self.stem != "", "stem", f"must be a name, got {self.stem!r}"
    )
    _check(
      _is_int(self.stem_channels) and self.stem_channels >= 1,
      "stem_channels",
      f"must be 1 or more, got {self.stem_channels!r}",
    )
    for field in ("pool_norm", "final_norm"):
      value = getattr(self, field)
      _check(isinstance(value, bool), field, f"must be true or false, got {value!r}")

  def __hash__(self):
    return hash((tuple(self.cells.items()), self.stages, self.stem, self.stem_channels))

  def __reduce__(self):  # a mapping proxy cannot be pickled or copied
    return functools.partial(SearchSpace, **(self._fields() | {"cells": dict(self.cells)})), ()

  def _fields(self) -> dict[str, Any]:
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

  def replace(self, **changes: Any) -> "SearchSpace":
    """A copy with some fields replaced."""
    return dataclasses.replace(self, **changes)

  @property
  def is_genotype(self) -> bool:
    """Whether no choice is left."""
    return all(cell.is_decided for cell in self.cells.values())

  @property
  def searched(self) -> tuple[str, ...]:
    """Names of the cells that still hold a choice, sorted."""
    return tuple(sorted(name for name, cell in self.cells.items() if not cell.is_decided))

  @property
  def size(self) -> int:
    """Number of genotypes, exact: the product over the cells."""
    return math.prod(cell.size for cell in self.cells.values())

  def decide(self, choices: Choices) -> "SearchSpace":
    """The genotype that `choices` picks.

    Args:
      choices: for each searched cell, one operation per edge, None where the edge is dropped (only
        where the cell's `keep` says so).

    Raises:
      SpaceError: a cell is missing or unknown, or an entry is not a choice.
    """
    unknown = sorted(set(choices) - set(self.cells))
    _check(not unknown, "choices", f"{unknown} are no cells; valid: {sorted(self.cells)}")
    missing = sorted(set(self.searched) - set(choices))
    _check(not missing, "choices", f"{missing} are missing")
    cells = {
      name: cell.decide(choices[name], f"choices.{name}") if name in choices else cell
      for name, cell in self.cells.items()
    }
    return self.replace(cells=cells)

  def choices(self, genotype: "SearchSpace") -> dict[str, Choice]:
    """The inverse of `decide`; SpaceError if `genotype` is not in this space."""
    missing = sorted(set(self.searched) - set(genotype.cells))
    _check(not missing, "genotype.cells", f"{missing} are missing")
    return {
      name: self.cells[name].choice_of(genotype.cells[name], f"genotype.cells.{name}")
      for name in self.searched
    }

  def sample(self, rng: random.Random) -> "SearchSpace":
    """A genotype drawn uniformly from the `size` genotypes of the space."""
    return self.decide({name: self.cells[name].sample(rng) for name in self.searched})

  def neighbours(self, genotype: "SearchSpace") -> Iterator[dict[str, Choice]]:
    """The choices of every genotype that differs from `genotype` in one decision."""
    choices = self.choices(genotype)
    for name in self.searched:
      for changed in self.cells[name].neighbours(choices[name]):
        yield {**choices, name: changed}

  def mutate(self, genotype: "SearchSpace", rng: random.Random) -> "SearchSpace":
    """A genotype that differs from `genotype` in one decision, drawn uniformly from its neighbours.

    Raises:
      SpaceError: `genotype` is not in this space, or is all that the space holds.
    """
    neighbours = list(self.neighbours(genotype))
    _check(len(neighbours) > 0, "genotype", "is the only one in this space: nothing to mutate")
    return self.decide(rng.choice(neighbours))

  def to_json(self) -> str:
    """The space as JSON text, one cell edge a line; `from_json` gives an equal space back."""
    cells = {
      name: {
        "inputs": cell.inputs,
        "edges": [{"src": e.src, "dst": e.dst, "ops": list(e.ops)} for e in cell.edges],
        "output": list(cell.output),
        "keep": cell.keep,
      }
      for name, cell in self.cells.items()
    }
    stages = [dataclasses.asdict(stage) for stage in self.stages]
    document = {"schema": SCHEMA, **self._fields(), "cells": cells, "stages": stages}
    return _pretty(document) + "\n"

  @staticmethod
  def from_json(text: str) -> "SearchSpace":
    """Reads what `to_json` wrote.

    Raises:
      SpaceError: not JSON, another schema, or a field missing, unknown or malformed; the message
        names it.
    """
    try:
      document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
      raise SpaceError(f"not JSON: {error}") from None
    _check(isinstance(document, dict), "document", "must be a JSON object")
    _check(
      document.get("schema") == SCHEMA,
      "schema",
      f"must be {SCHEMA!r}, got {document.get('schema')!r}",
    )
    names = {f.name for f in dataclasses.fields(SearchSpace)}
    fields = _fields_of(
      {k: v for k, v in document.items() if k != "schema"}, names, {"cells"}, "space"
    )
    _check(isinstance(fields["cells"], dict), "cells", "must be an object of cells by name")
    fields["cells"] = {name: _cell_of(v, f"cells.{name}") for name, v in fields["cells"].items()}
    stages = fields.get("stages", [])
    _check(isinstance(stages, list), "stages", "must be a list")
    fields["stages"] = tuple(
      Stage(
        **_fields_of(
          stage,
          {"cell", "repeats", "channels", "stride"},
          {"cell", "repeats", "channels"},
          f"stages[{i}]",
        )
      )
      for i, stage in enumerate(stages)
    )
    for i, stage in enumerate(fields["stages"]):
      _check(
        isinstance(stage.cell, str), f"stages[{i}].cell", f"must be a name, got {stage.cell!r}"
      )
    return SearchSpace(**fields)

  def __str__(self) -> str:
    """The searched or decided cells in words, one a line."""
    return "\n".join(f"{name} {cell}" for name, cell in self.cells.items())


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _fields_of(value: Any, valid: set[str], required: set[str], field: str) -> dict[str, Any]:
  _check(isinstance(value, dict), field, f"must be an object, got {value!r}")
  unknown = sorted(set(value) - valid)
  _check(not unknown, field, f"has unknown fields {unknown}; valid: {sorted(valid)}")
  missing = sorted(required - set(value))
  _check(not missing, field, f"lacks {missing}")
  return dict(value)


def _cell_of(value: Any, field: str) -> Cell:
  valid = {"inputs", "edges", "output", "keep"}
  fields = _fields_of(value, valid, valid - {"keep"}, field)
  for name in ("edges", "output"):
    _check(isinstance(fields[name], list), f"{field}.{name}", "must be a list")
  edges = []
  for i, edge in enumerate(fields["edges"]):
    names = {"src", "dst", "ops"}
    entry = _fields_of(edge, names, names, f"{field}.edges[{i}]")
    _check(isinstance(entry["ops"], list), f"{field}.edges[{i}].ops", "must be a list of names")
    for op in entry["ops"]:
      _check(isinstance(op, str), f"{field}.edges[{i}].ops", f"must hold names, got {op!r}")
    edges.append(Edge(**entry))
  for node in fields["output"]:
    _check(_is_int(node), f"{field}.output", f"must hold node numbers, got {node!r}")
  try:
    return Cell(fields["inputs"], tuple(edges), tuple(fields["output"]), fields.get("keep"))
  except SpaceError as error:  # a Cell alone does not know its name
    raise SpaceError(str(error).replace("cell", field, 1)) from None


def _pretty(value: Any, indent: int = 0) -> str:
  """JSON with one line for each object that holds no further object."""
  pad = "  " * (indent + 1)
  nested = isinstance(value, dict | list) and any(
    isinstance(v, dict) for v in (value.values() if isinstance(value, dict) else value)
  )
  if not nested:
    return json.dumps(value)
  if isinstance(value, dict):
    body = [f"{pad}{json.dumps(k)}: {_pretty(v, indent + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(body) + "\n" + "  " * indent + "}"
  body = [pad + _pretty(v, indent + 1) for v in value]
  return "[\n" + ",\n".join(body) + "\n" + "  " * indent + "]"
