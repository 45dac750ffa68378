# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The black-box strategies by name.

Each is a function (space, **arguments) -> `ask_tell.Strategy`; a config names one as
`dict(name="evolution", population=20)`, `ask_tell.explore` and `history.run` run it.
"""

from dnas.strategy.evolution import evolution
from dnas.strategy.local_search import local_search
from dnas.strategy.nsga2 import nsga2
from dnas.strategy.random_search import random_search
from dnas.strategy.reinforce import reinforce
from dnas.strategy.successive_halving import successive_halving

__all__ = [
  "evolution",
  "local_search",
  "nsga2",
  "random_search",
  "reinforce",
  "successive_halving",
]
