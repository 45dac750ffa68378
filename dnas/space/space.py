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
import math
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dnas.space import document
from dnas.space.cell import Cell, Choice, Edge
from dnas.space.checks import SpaceError, as_tuple, check, is_int, show

__all__ = ["Cell", "Choice", "Choices", "Edge", "SearchSpace", "SpaceError", "Stage"]

SCHEMA = "dnas.space/1"
# A file from a stranger is not to fill the memory; published networks have 50 cells at most.
MAX_CELLS = 10_000
MAX_CHANNELS = 65_536

Choices = Mapping[str, Sequence[str | None]]


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
    if not isinstance(self.cells, Mapping):  # not by `check`, which would write out each cell
      raise SpaceError(f"cells: must be by name, got {show(self.cells)}")
    object.__setattr__(self, "cells", MappingProxyType(dict(self.cells)))
    object.__setattr__(self, "stages", as_tuple(self.stages, "stages", "stages"))
    check(len(self.cells) > 0, "cells", "must hold at least one cell")
    for name, cell in self.cells.items():
      check(isinstance(name, str) and name != "", "cells", f"must have names, got {show(name)}")
      if not isinstance(cell, Cell):
        raise SpaceError(f"cells.{name}: must be a Cell, got {show(cell)}")
    for i, stage in enumerate(self.stages):
      if not isinstance(stage, Stage):
        raise SpaceError(f"stages[{i}]: must be a Stage, got {show(stage)}")
      self._validate_stage(stage, f"stages[{i}]")
    total = sum(stage.repeats for stage in self.stages)
    check(total <= MAX_CELLS, "stages", f"hold {total} cells; valid: at most {MAX_CELLS}")
    check(
      isinstance(self.stem, str) and self.stem != "",
      "stem",
      f"must be a name, got {show(self.stem)}",
    )
    _check_count(self.stem_channels, MAX_CHANNELS, "stem_channels")
    for field in ("pool_norm", "final_norm"):
      value = getattr(self, field)
      check(isinstance(value, bool), field, f"must be true or false, got {show(value)}")

  def _validate_stage(self, stage: Stage, at: str) -> None:
    check(
      isinstance(stage.cell, str) and stage.cell in self.cells,
      f"{at}.cell",
      f"{show(stage.cell)} is none of {sorted(self.cells)}",
    )
    _check_count(stage.repeats, MAX_CELLS, f"{at}.repeats")
    _check_count(stage.channels, MAX_CHANNELS, f"{at}.channels")
    check(
      is_int(stage.stride) and stage.stride in (1, 2),
      f"{at}.stride",
      f"must be 1 or 2, got {show(stage.stride)}",
    )

  def __hash__(self):
    return hash((frozenset(self.cells.items()), self.stages, self.stem, self.stem_channels))

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
    if not isinstance(choices, Mapping):
      raise SpaceError(f"choices: must be by cell, got {show(choices)}")
    unknown = sorted(set(choices) - set(self.cells), key=str)
    check(not unknown, "choices", f"{unknown} are no cells; valid: {sorted(self.cells)}")
    missing = sorted(set(self.searched) - set(choices))
    check(not missing, "choices", f"{missing} are missing")
    cells = {
      name: cell.decide(choices[name], f"choices.{name}") if name in choices else cell
      for name, cell in self.cells.items()
    }
    return self.replace(cells=cells)

  def choices(self, genotype: "SearchSpace") -> dict[str, Choice]:
    """The inverse of `decide`; SpaceError if `genotype` is not in this space.

    Stages do not matter, and a genotype may lack cells that this space leaves no choice in.
    """
    missing = sorted(set(self.searched) - set(genotype.cells))
    check(not missing, "genotype.cells", f"{missing} are missing")
    found = {
      name: cell.choice_of(genotype.cells[name], f"genotype.cells.{name}")
      for name, cell in self.cells.items()
      if name in genotype.cells
    }
    return {name: found[name] for name in self.searched}

  def sample(self, rng: random.Random) -> "SearchSpace":
    """A genotype drawn uniformly from the `size` genotypes of the space."""
    return self.decide({name: self.cells[name].sample(rng) for name in self.searched})

  def to_dict(self) -> dict[str, Any]:
    """The space as the value of a JSON document; `from_dict` gives an equal space back."""
    cells = {name: document.write_cell(cell) for name, cell in self.cells.items()}
    stages = [dataclasses.asdict(stage) for stage in self.stages]
    return {"schema": SCHEMA, **self._fields(), "cells": cells, "stages": stages}

  def to_json(self) -> str:
    """The same as text, one cell edge a line; `from_json` gives an equal space back."""
    return document.pretty(self.to_dict()) + "\n"

  @staticmethod
  def from_json(text: str) -> "SearchSpace":
    """Reads what `to_json` wrote. Raises SpaceError: not JSON, or as `from_dict`."""
    return SearchSpace.from_dict(document.parse(text))

  @staticmethod
  def from_dict(value: Any) -> "SearchSpace":
    """Reads what `to_dict` gave, which stays as it is.

    Raises:
      SpaceError: another schema, or a field missing, unknown or malformed; the message names it.
    """
    check(isinstance(value, dict), "document", f"must be a JSON object, got {show(value)}")
    read = dict(value)
    schema = read.pop("schema", None)
    check(schema == SCHEMA, "schema", f"must be {SCHEMA!r}, got {show(schema)}")
    names = [f.name for f in dataclasses.fields(SearchSpace)]
    fields = document.fields_of(read, names, {"cells"}, "space")
    cells = fields["cells"]
    check(isinstance(cells, dict), "cells", f"must be an object, got {show(cells)}")
    fields["cells"] = {
      name: document.read_cell(cell, f"cells.{name}") for name, cell in cells.items()
    }
    names = [f.name for f in dataclasses.fields(Stage)]
    fields["stages"] = tuple(
      Stage(**document.fields_of(stage, names, set(names) - {"stride"}, f"stages[{i}]"))
      for i, stage in enumerate(document.list_of(fields.get("stages", []), "stages"))
    )
    return SearchSpace(**fields)

  def __str__(self) -> str:
    """The searched or decided cells in words, one a line."""
    return "\n".join(f"{name} {cell}" for name, cell in self.cells.items())


def _check_count(value: Any, most: int, field: str) -> None:
  check(is_int(value) and 1 <= value <= most, field, f"must be 1 to {most}, got {show(value)}")
