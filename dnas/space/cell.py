# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Edges and cells as plain data, and the choices that they hold.

>>> from dnas.space.cell import Cell, Edge
>>> cell = Cell(1, (Edge(0, 1, ("none", "skip_connect")), Edge(0, 1, ("skip_connect",))), (1,))
>>> cell.size, str(cell.decide(("none", "skip_connect")))
(2, '1: none(0) + skip_connect(0)')
"""

import dataclasses
import random
from collections.abc import Iterator, Sequence

from dnas.space.checks import SpaceError, as_tuple, check, is_int, show

# One operation name per edge of a cell; None where the edge is dropped.
Choice = tuple[str | None, ...]

# Looking for a node's edges is quadratic, a file from a stranger is not to take hours, and `match`
# goes as deep as there are parallel edges; published cells have 30 edges at most.
MAX_EDGES = 500


@dataclasses.dataclass(frozen=True)
class Edge:
  """A connection from node `src` to node `dst` and the operations that may stand on it."""

  src: int
  dst: int
  ops: tuple[str, ...]

  def __post_init__(self):
    object.__setattr__(self, "ops", as_tuple(self.ops, "edge.ops", "names of operations"))


@dataclasses.dataclass(frozen=True)
class Cell:
  """A directed acyclic graph whose nodes are feature maps; each node sums its incoming edges.

  Attributes:
    inputs: number of input nodes (0 .. inputs - 1). One input goes into the edges as it is; several
      are first brought to the stage's width and resolution (ReLU, 1x1 convolution, batch norm).
    edges: the connections; nodes from `inputs` on each have at least one incoming edge. Two edges
      may join the same nodes (NASNet's cells do); their places tell them apart.
    output: the nodes that are concatenated into the cell's output.
    keep: a genotype keeps exactly min(keep, incoming) edges of each node, and `none` cannot be
      chosen (DARTS keeps 2). None: it keeps every edge, and `none` is a choice like any other.
  """

  inputs: int
  edges: tuple[Edge, ...]
  output: tuple[int, ...]
  keep: int | None = None

  def __post_init__(self):
    object.__setattr__(self, "edges", as_tuple(self.edges, "cell.edges", "edges"))
    object.__setattr__(self, "output", as_tuple(self.output, "cell.output", "node numbers"))
    self.validate("cell")

  def validate(self, field: str) -> None:
    """Raises SpaceError, naming a field below `field`, unless the cell is sound."""
    check(
      is_int(self.inputs) and self.inputs >= 1,
      f"{field}.inputs",
      f"must be 1 or more, got {show(self.inputs)}",
    )
    check(
      self.keep is None or (is_int(self.keep) and self.keep >= 1),
      f"{field}.keep",
      f"must be 1 or more, or None, got {show(self.keep)}",
    )
    count = len(self.edges)
    check(0 < count <= MAX_EDGES, f"{field}.edges", f"must be 1 to {MAX_EDGES}, got {count}")
    for i, edge in enumerate(self.edges):
      if not isinstance(edge, Edge):  # not by `check`, which would write out each edge
        raise SpaceError(f"{field}.edges[{i}]: must be an Edge, got {show(edge)}")
      self._validate_edge(edge, f"{field}.edges[{i}]")
    last = max(edge.dst for edge in self.edges)
    fed = {edge.dst for edge in self.edges}
    for node in range(self.inputs, last + 1):
      check(node in fed, f"{field}.edges", f"node {node} has no incoming edge")
    check(len(self.output) > 0, f"{field}.output", "must name at least one node")
    for node in self.output:
      check(
        is_int(node) and self.inputs <= node <= last,
        f"{field}.output",
        f"must hold nodes {self.inputs} to {last}, got {show(node)}",
      )
    check(len(set(self.output)) == len(self.output), f"{field}.output", "repeats a node")

  def _validate_edge(self, edge: Edge, at: str) -> None:
    check(
      is_int(edge.src) and edge.src >= 0, f"{at}.src", f"must be 0 or more, got {show(edge.src)}"
    )
    check(
      is_int(edge.dst) and edge.dst >= self.inputs,
      f"{at}.dst",
      f"must be {self.inputs} or more (nodes below are inputs), got {show(edge.dst)}",
    )
    check(edge.src < edge.dst, at, f"must lead to a later node, got {edge.src} -> {edge.dst}")
    check(len(edge.ops) > 0, f"{at}.ops", "must name at least one operation")
    for op in edge.ops:
      check(isinstance(op, str) and op != "", f"{at}.ops", f"must hold names, got {show(op)}")
    check(len(set(edge.ops)) == len(edge.ops), f"{at}.ops", f"repeats a name: {show(edge.ops)}")
    check(
      self.keep is None or edge.ops != ("none",),
      f"{at}.ops",
      "must hold an operation besides 'none', which cannot be chosen where `keep` is set",
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

  def _ways(self, node: int) -> list[list[int]]:
    """ways[j][k]: in how many ways k of the incoming edges from the j-th on can be decided.

    ways[j] are the coefficients of the product over i >= j of (1 + n_i t), lowest degree first, n_i
    the number of candidates of the i-th incoming edge.
    """
    ways = [[1]]
    for i in reversed(self.incoming(node)):
      n, rest = len(self.candidates(self.edges[i])), ways[0]
      ways.insert(0, [a + n * b for a, b in zip([*rest, 0], [0, *rest], strict=True)])
    return ways

  @property
  def size(self) -> int:
    """Number of genotypes, exact.

    prod over nodes of e_k(n_1 .. n_m): the elementary symmetric polynomial of degree k = kept(node)
    in the numbers of candidates of its m incoming edges (for k = m: their product).
    """
    total = 1
    for node in self.nodes:
      total *= self._ways(node)[0][self.kept(node)]
    return total

  def check_choice(self, choice: Sequence[str | None], field: str) -> Choice:
    """`choice` as a tuple; SpaceError unless it picks one genotype of the cell."""
    choice = as_tuple(choice, field, "an operation or None for each edge")
    check(
      len(choice) == len(self.edges),
      field,
      f"must have one entry for each of the {len(self.edges)} edges, got {len(choice)}",
    )
    for i, (edge, op) in enumerate(zip(self.edges, choice, strict=True)):
      valid = self.candidates(edge)
      check(
        op is None or op in valid,
        f"{field}[{i}]",
        f"{show(op)} is not a choice; valid: {list(valid)}",
      )
    for node in self.nodes:
      chosen = sum(choice[i] is not None for i in self.incoming(node))
      check(
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

  def match(self, decided: "Cell", field: str = "genotype") -> tuple[int, ...]:
    """For each edge of `decided`, the index of the edge of this cell that it decides.

    Raises:
      SpaceError: `decided` is not among this cell's genotypes (in any order of its edges).
    """
    for name in ("inputs", "output"):
      mine, its = getattr(self, name), getattr(decided, name)
      check(its == mine, f"{field}.{name}", f"must be {show(mine)} in this space, got {show(its)}")
    owner: dict[int, int] = {}  # edge of this cell -> edge of `decided`

    def place(k: int, tried: set[int]) -> bool:  # augmenting paths: parallel edges may have to move
      src, dst, (op,) = dataclasses.astuple(decided.edges[k])
      fits = [
        i
        for i, edge in enumerate(self.edges)
        if (edge.src, edge.dst) == (src, dst) and op in self.candidates(edge)
      ]
      for i in sorted(fits, key=lambda i: i in owner):  # free places first
        if i in tried:
          continue
        tried.add(i)
        if i not in owner or place(owner[i], tried):
          owner[i] = k
          return True
      return False

    for k, edge in enumerate(decided.edges):
      where = f"{edge.src} -> {edge.dst}"
      check(len(edge.ops) == 1, field, f"edge {where} is not decided: {show(edge.ops)}")
      check(place(k, set()), field, f"{edge.ops[0]} on {where} is not in this space")
    return tuple(sorted(owner, key=lambda i: owner[i]))

  def choice_of(self, decided: "Cell", field: str = "genotype") -> Choice:
    """The choice that leads from this cell to `decided`; SpaceError if none does."""
    choice: list[str | None] = [None] * len(self.edges)
    for i, edge in zip(self.match(decided, field), decided.edges, strict=True):
      choice[i] = edge.ops[0]
    return self.check_choice(choice, field)

  def sample(self, rng: random.Random) -> Choice:
    """A choice drawn uniformly from the cell's `size` genotypes."""
    choice: list[str | None] = [None] * len(self.edges)
    for node in self.nodes:
      ways, left = self._ways(node), self.kept(node)
      for j, i in enumerate(self.incoming(node)):
        # Of the ways[j][left] completions, this many leave the edge out.
        without = ways[j + 1][left] if left < len(ways[j + 1]) else 0
        if rng.randrange(ways[j][left]) >= without:
          choice[i] = rng.choice(self.candidates(self.edges[i]))
          left -= 1
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
