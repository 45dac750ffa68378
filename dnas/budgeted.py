# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The genotype that a search decides for keeps the budgets of `config.cost`, by measurement."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from dnas import mesh, runs, trees
from dnas.config import Config
from dnas.errors import DnasError
from dnas.files import json_of
from dnas.hardware import Priced, trained
from dnas.progress import say
from dnas.space.space import SearchSpace
from dnas.strategy import budgets
from dnas.strategy.alpha import AlphaLike
from dnas.strategy.discretize import Discretize

ATTEMPTS = 6  # genotypes that are measured until one is within a budget of latency


def keep(
  config: Config,
  priced: Priced,
  decide: Discretize,
  space: SearchSpace,
  alpha: AlphaLike,
  workdir: pathlib.Path,
  measure: Callable[[SearchSpace], float],
) -> SearchSpace:
  """The decided genotype, whose latency was measured to be within its budget; and `cost.json`.

  A prediction may be too low. Where the network is slower than allowed, the genotype is decided
  anew within a budget that is smaller by as much as it was too slow.

  Args:
    config: of the search.
    priced: costs and budgets.
    decide: alpha -> genotype.
    space, alpha: what is decided.
    workdir: gets `cost.json`: the budgets, the genotype and what it costs. If it is there for
      these budgets and this alpha, it has the result.
    measure: genotype in its trained network -> milliseconds.

  Raises:
    DnasError: no genotype that was measured is within the budget of latency.
  """
  done = workdir / "cost.json"
  about = {"budgets": dict(priced.budgets), "alpha": trees.fingerprint(alpha)}
  if done.exists():  # A later measurement might decide otherwise.
    before = json_of(done)
    if {name: before.get(name) for name in about} == about:
      return SearchSpace.from_dict(before["genotype"])
  limits, slowest = dict(priced.budgets), priced.budgets.get("latency_ms")
  tried: list[float] = []
  for left in reversed(range(ATTEMPTS)):
    try:
      genotype = budgets.within(decide, priced.costs, limits)(space, alpha)
    except DnasError:
      if not tried:
        raise
      break  # What alpha has pruned leaves none; the error below says what was measured.
    record: dict[str, Any] = dict(about)
    network = trained(config, genotype)
    record |= {name: model.of(genotype) for name, model in priced.costs.items()}
    if slowest is not None:
      tried.append(mesh.of_first(measure(network)))
      if tried[-1] > slowest:  # Others on the machine make a measurement too long, never too short.
        tried[-1] = min(tried[-1], mesh.of_first(measure(network)))
      record["latency_ms_measured"] = tried[-1]
      if tried[-1] > slowest:
        smaller = _smaller(space, priced, genotype, limits, slowest / tried[-1], last=left <= 1)
        if smaller is None:
          break
        say(f"measured {tried[-1]:.4g} ms > {slowest:.4g} ms: decided anew")
        limits["latency_ms"] = smaller
        continue
    record["genotype"] = genotype.to_dict()
    runs.write(done, json.dumps(record, indent=2) + "\n")
    return genotype
  raise DnasError(
    f"config.cost.latency_ms = {slowest}: {len(tried)} genotypes that should keep it were measured "
    f"at {', '.join(f'{ms:.4g}' for ms in tried)} ms. Reachable: {min(tried):.4g} ms"
  )


def _smaller(
  space: SearchSpace,
  priced: Priced,
  genotype: SearchSpace,
  limits: Mapping[str, float],
  share: float,
  last: bool,
) -> float | None:
  """The next budget of predicted latency; None where the cheapest genotype was measured already.

  Smaller by as much as the genotype was too slow, and never its own again; but what is reachable is
  known only once the cheapest genotype has been measured, so that comes last.
  """
  model = dataclasses.replace(priced.costs["latency_ms"], dead_is_free=False)
  others = {name: limit for name, limit in limits.items() if name != "latency_ms"}
  least = budgets.cheapest(space, priced.costs, "latency_ms", others)
  own = model.of(genotype)
  if least is None or own <= least * (1 + 1e-9):
    return None
  wanted = min(limits["latency_ms"] * 0.98 * max(share, 0.5), own * (1 - 1e-6))
  return least * (1 + 1e-9) if last else max(wanted, least * (1 + 1e-9))
