# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a config, section by section: which must be set, and what the others are unset.

Sections that are not here (`task`, `space`, `search.network`, ...) name a function and its
arguments: see `naming.py`. What a field means stands in `configs/digits.py`, or here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Section(NamedTuple):
  """What a section may hold.

  Attributes:
    required: the fields that must be set.
    optional: field -> what it is where it is not set.
  """

  required: tuple[str, ...]
  optional: Mapping[str, Any]


# A search by gradient. What is optional, DARTS has none of.
_SEARCH = Section(
  (
    *("network", "steps", "warmup_steps", "batch_size", "weight_share", "relaxation"),
    *("hypergradient", "weight_optimizer", "alpha_optimizer", "discretize"),
  ),
  {
    # Logits of edges, normalised over those that enter a node (PC-DARTS).
    "edge_weights": False,
    # Functions of dnas/strategy/regularization.py.
    "penalties": (),
    "perturbation": None,
    "weight_penalty": None,
    # A function of dnas/strategy/freezing.py.
    "freezing": None,
    # The last share of the bilevel steps over which alpha is averaged for the decision.
    "average": 0.0,
    # Fields of dnas.nn.supernet.Supernet.
    "supernet": {},
    # So many batches make one update, of the weights and of alpha.
    "accumulate": 1,
    # Drop-path while searching: the rate at the end, rising linearly from 0.
    "drop_path": 0.0,
    # Drop-out behind skip connections: the rate at first, falling to e^-3 of it.
    "skip_dropout": 0.0,
    # Overrides of these settings, one dict a stage, with `keep` and `inherit`: see dnas.search.
    "stages": (),
    # The fields of `search.projection`: a search that ends by perturbation.
    "projection": None,
    # The fields of `search.watch`.
    "watch": {},
    # A function of dnas/strategy/diagnostics.py: (eigenvalues) -> index or None.
    "stop": None,
  },
)

# A search by a strategy that asks and an estimate that answers: see dnas.explore.
_STRATEGY = Section(
  ("network", "strategy", "estimate", "budget"),
  {
    # Processes that evaluate, so many candidates at a time; 0: this one. Part of what is searched:
    # a strategy that asks for two at once knows less when it asks for the second.
    "workers": 0,
    # True: those processes are started by hand, on any machines that share the run's folder, with
    # the same command line and `--worker`. One that dies loses an evaluation, which another
    # repeats.
    "elsewhere": False,
    # "params", "macs": of the network that a candidate would be trained in, among its metrics.
    "costs": (),
  },
)

_SECTIONS = {
  "": Section(
    ("seed", "data", "task", "checkpoint", "log"),
    {
      # So many searches (seed, seed + 1, ...) at once, in one program.
      "seeds": 1,
      "mesh": {},
      "space": None,
      "search": None,
      "cost": {},
      "train": None,
      "evaluate": None,
    },
  ),
  # Devices: seeds are split over `seed`, batches over `data` (-1: all that are left).
  "mesh": Section((), {"seed": 1, "data": -1}),
  "data": Section(
    ("spec", "size", "train_split", "augment", "threads"),
    # See dnas.data.pipeline.Pipeline.
    {"content": None, "interpolation": "area"},
  ),
  # Every so many steps the search is observed (dnas.strategy.observe), with so many Hessian-vector
  # products on one batch; 0: never, none. The agreement is that of so many genotypes. Three
  # products cost as much as 2.3 steps of the quickstart's search (2 % of it) and 22 CPU seconds to
  # compile, measured on 2 CPU cores: with both, 3 % of the CPU time of its run.
  "search.watch": Section((), {"every_steps": 0, "hessian_steps": 3, "genotypes": 5}),
  # See dnas.strategy.projection.
  "search.projection": Section((), {"batches": 4, "tune_steps": 20, "seed": 0}),
  # What the network may cost: see dnas.hardware.
  "cost": Section(
    (),
    {
      # Budgets: the most that the genotype may cost; None: no limit. energy_mj is an estimate.
      "latency_ms": None,
      "macs": None,
      "params": None,
      "energy_mj": None,
      # A function of dnas/cost/objective.py for gradients, and the cost that it gets.
      "objective": None,
      "priced": "latency_ms",
      # How fast the multipliers of budgets move, a step of alpha.
      "rate": 0.05,
      # A latency table (scripts/profile.py); None: latency.json of the run's folder.
      "table": None,
      # Fields of dnas.cost.latency.Protocol.
      "latency": {},
      # Arguments of dnas.cost.energy.estimate_mj: precision, weights_in, activations_in.
      "energy": {},
    },
  ),
  "train": Section(
    ("steps", "batch_size", "optimizer", "ema", "drop_path"),
    {
      # None keeps the network of the search.
      "network": None,
      # Widens or narrows the stages to so many MACs; None leaves them.
      "macs": None,
      # So many batches make one update.
      "accumulate": 1,
      # What a fine-tuning starts from, written by dnas.finetune; None: from scratch.
      "start": None,
    },
  ),
  "evaluate": Section(("split", "batch_size"), {}),
  "checkpoint": Section(("every_steps", "every_minutes", "keep", "keep_best", "max_skipped"), {}),
  "log": Section(("every_steps", "words_every_steps"), {}),
}

NAMES = tuple(filter(None, ("search", *_SECTIONS)))
"""The sections, by their dotted names."""


def section(name: str, given: Any) -> Section:
  """What the section `name` may hold, of which `given` is there; without a name: the whole config.

  A section that names a function has no fields of its own.
  """
  if name == "search":
    return _SEARCH if given.get("strategy") is None else _STRATEGY
  return _SECTIONS.get(name, Section((), {}))
