# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Four relaxations with each hypergradient, on the first problem of `landscape`."""

import dataclasses
from collections.abc import Sequence

from dnas.strategy import hypergradient as hg
from dnas.strategy import relaxation as rx
from dnas.strategy.landscape import CHANCE
from dnas.strategy.planted import run, wilson_interval

PARTS = {
  "relaxation": {
    "softmax": rx.softmax(),
    "gumbel_softmax": rx.gumbel_softmax(),
    "straight_through": rx.straight_through(),
    "sparsemax": rx.sparsemax(),
  },
  "hypergradient": {
    "first_order": hg.first_order(),
    "unrolled": hg.unrolled(),
    "finite_difference": hg.finite_difference(),
    "implicit_neumann": hg.implicit(hg.neumann()),
    "implicit_cg": hg.implicit(hg.cg(damping=0.1)),
  },
}


@dataclasses.dataclass(frozen=True)
class Row:
  """One pair's line of the table.

  Attributes:
    relaxation: its name in PARTS.
    hypergradient: likewise.
    seeds: number of searches.
    rate: how many found the planted operation of the edge that the seed singles out, of 1.
    interval: 95 % Wilson interval of `rate`.
    chance: what guessing gives.
    genotype_rate: how many found the whole genotype, of 1.
  """

  relaxation: str
  hypergradient: str
  seeds: int
  rate: float
  interval: tuple[float, float]
  chance: float
  genotype_rate: float


def pairs(relaxation: str | None = None, hypergradient: str | None = None) -> list[tuple[str, str]]:
  """The names of all pairs, or of those with one relaxation or hypergradient."""
  return [
    (r, h)
    for r in PARTS["relaxation"]
    for h in PARTS["hypergradient"]
    if relaxation in (None, r) and hypergradient in (None, h)
  ]


def row(relaxation: str, hypergradient: str, seeds: Sequence[int]) -> Row:
  """Runs a pair by its names; the arguments are as for `run`."""
  parts = PARTS["relaxation"][relaxation], PARTS["hypergradient"][hypergradient]
  result = run(*parts, seeds)
  return Row(
    relaxation,
    hypergradient,
    result.seeds,
    result.edge_successes / result.seeds,
    wilson_interval(result.edge_successes, result.seeds),
    CHANCE,
    result.genotype_successes / result.seeds,
  )
