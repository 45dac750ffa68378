# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Black-box search as two pure functions: ask for a candidate, tell how good it is.

    state = strategy.init()
    proposal, state = strategy.ask(state, rng)               # proposal["choices"] -> a genotype
    state = strategy.tell(state, proposal, {"score": 0.93})

States and proposals are plain data (dicts, lists, strings, numbers): JSON gives equal ones back. A
strategy draws from the given `rng` only, and several proposals may be open at a time. `explore` is
the loop around it; query i draws from a generator of its own, seeded by (seed, i), so that a
history of results is all that is needed to go on at any query.

>>> import random
>>> from dnas.space import cells
>>> from dnas.strategy.random_search import random_search
>>> strategy = random_search(cells.nasbench201())
>>> proposal, state = strategy.ask(strategy.init(), random.Random(0))
>>> len(proposal["choices"]["cell"]), strategy.tell(state, proposal, {"score": 0.5})
(6, {})
"""

import collections
import dataclasses
import functools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dnas.errors import DnasError, check_count
from dnas.space.space import SearchSpace

# Cell name -> one operation or None per edge; lists, not tuples, since JSON has no others.
PlainChoices = dict[str, list[str | None]]
State = dict[str, Any]
Proposal = dict[str, Any]
Metrics = Mapping[str, float]
# (genotype, key of jax.random) -> numbers by name; a higher "score" is better. One that can look
# longer or shorter says at how many lengths in its attribute `rungs`, and is called with
# (genotype, key, rung), rung 0 being the shortest.
Evaluator = Callable[..., Metrics]


class StrategyError(DnasError):
  """A strategy was given an argument, a result or a history that it cannot work with."""


@dataclasses.dataclass(frozen=True)
class Strategy:
  """A black-box strategy over one search space.

  Attributes:
    init: () -> the state before the first query.
    ask: (state, rng) -> (proposal, state). `proposal["choices"]` is what `SearchSpace.decide`
      takes, `proposal["rung"]` the length at which it is to be judged (absent: 0); whatever else
      is in it is for `tell`.
    tell: (state, proposal, metrics) -> state. Proposals may be told in any order.
    rungs: at how many lengths it asks; the evaluator needs as many (`check_rungs`).
    costs: names of numbers that `tell` needs besides the score.
  """

  init: Callable[[], State]
  ask: Callable[[State, random.Random], tuple[Proposal, State]]
  tell: Callable[[State, Proposal, Metrics], State]
  rungs: int = 1
  costs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Query:
  """One evaluated candidate.

  Attributes:
    number: counted from 1, in the order of asking, which is also that of telling.
    asked: how many candidates had been asked for when this one was told.
    choices: the candidate.
    metrics: what the evaluator said of it.
    rung: the length at which it was judged, 0 the shortest.
  """

  number: int
  asked: int
  choices: PlainChoices
  metrics: dict[str, float]
  rung: int = 0


def explore(
  strategy: Strategy,
  submit: Callable[..., Callable[[], Metrics]],
  *,
  budget: int,
  seed: int,
  ahead: int = 1,
  told: Sequence[Query] = (),
) -> Iterator[Query]:
  """Asks and tells until `budget` candidates have been evaluated; yields each once it is told.

  Results are told in the order of asking, whenever they arrive: equal seeds give equal histories
  for any number of processes. The price is that a slow candidate keeps others waiting.

  Args:
    strategy: what to run.
    submit: (choices, number) -> a function that waits for the result; with a strategy that has
      several rungs (choices, number, rung). It may start the evaluation in another process.
    budget: number of queries in all.
    seed: of all that the strategy draws.
    ahead: how many candidates may be open at a time.
    told: the queries of an earlier call with this strategy and seed; they are told again without
      being evaluated, and not yielded.

  Raises:
    StrategyError: an argument is out of range, `told` is not what this strategy and seed would
      have asked, a rung is asked for that the strategy does not have, or a result has no number
      `score`.
  """
  if budget < len(told) or budget < 1:
    raise StrategyError(f"budget: {budget} queries, but {len(told)} have been made already")
  check_count("ahead", ahead, 1, StrategyError)
  state, asked = strategy.init(), 0
  waiting: collections.deque = collections.deque()
  for number in range(1, budget + 1):
    known = told[number - 1] if number <= len(told) else None
    wanted = known.asked if known else max(asked, min(budget, number - 1 + ahead))
    while asked < max(wanted, number):
      proposal, state = strategy.ask(state, random.Random(f"{seed} {asked}"))
      asked += 1
      call = proposal["choices"], asked, *_rungs(strategy, proposal, asked)
      waiting.append((proposal, submit(*call) if asked > len(told) else None))
    proposal, result = waiting.popleft()
    rung = proposal.get("rung", 0)
    if known and (known.choices, known.rung) != (proposal["choices"], rung):
      raise StrategyError(
        f"query {number}: the history has {known.choices} at rung {known.rung}, this strategy and "
        f"seed ask for {proposal['choices']} at rung {rung}; it belongs to another strategy, "
        "space, seed or version"
      )
    metrics = known.metrics if known else _numbers(result(), number)
    state = strategy.tell(state, proposal, metrics)
    if not known:
      yield Query(number, asked, proposal["choices"], metrics, rung)


def at_once(evaluate: Callable[..., Metrics]) -> Callable:
  """An evaluation in this process as a `submit` of `explore`: done when its result is wanted."""
  return lambda *call: functools.partial(evaluate, *call)


def check_rungs(strategy: Strategy, evaluator: Any) -> None:
  """StrategyError unless the evaluator has as many rungs as the strategy asks for.

  Fewer could not answer; further ones would never be looked at, which nobody means who gives them.
  """
  there = getattr(evaluator, "rungs", 1)
  if strategy.rungs != there:
    raise StrategyError(
      f"strategy and estimate: the strategy asks at {strategy.rungs} rung(s), the estimate has "
      f"{there} length(s). Valid: as many lengths (at_lengths) as a strategy with rungs has "
      "(successive_halving); neither for all others"
    )


def comparable(queries: Sequence[Query]) -> list[Query]:
  """The queries of the highest rung reached: scores of other lengths say nothing about theirs.

  A rung counts as reached when something has a score there: if all that got so far has diverged
  (NaN, -inf), the rung below decides.
  """
  has_score = lambda query: score_of(query.metrics) > -math.inf
  top = max(((has_score(query), query.rung) for query in queries), default=(False, 0))[1]
  return [query for query in queries if query.rung == top]


def best(queries: Sequence[Query]) -> Query:
  """The highest score of the `comparable` ones, the first of equals; NaN counts as lowest."""
  return max(comparable(queries), key=lambda query: score_of(query.metrics))


def score_of(metrics: Metrics, name: str = "score") -> float:
  """`metrics[name]`, -inf for NaN: a candidate whose training diverged is worse than any other.

  Raises:
    StrategyError: the evaluator gave no such number.
  """
  value = _given(metrics, name)
  return -math.inf if math.isnan(value) else value


class Rewarded:
  """An evaluator whose score is a reward of quality and cost; the quality is kept as `quality`.

  `Rewarded(evaluator, cost.objective.weighted_product(5.0), "latency_ms")`.
  (A class and no closure, because an evaluator may be sent to other processes.)

  Args:
    evaluator: gives `score` and the cost.
    reward: of `cost.objective`: (quality, cost) -> reward.
    cost: name of the cost among the evaluator's numbers.
  """

  def __init__(self, evaluator: Evaluator, reward: Callable[[float, float], float], cost: str):
    self.evaluator, self.reward, self.cost = evaluator, reward, cost
    self.rungs: int = getattr(evaluator, "rungs", 1)

  def __call__(self, genotype: Any, key: Any, *rung: int) -> Metrics:
    """The evaluator's numbers with `score` the reward.

    Raises:
      StrategyError: the evaluator gave no such cost.
    """
    metrics = dict(self.evaluator(genotype, key, *rung))
    quality, cost = _given(metrics, "score"), _given(metrics, self.cost)
    return {**metrics, "quality": quality, "score": self.reward(quality, cost)}


def sampler(space: SearchSpace) -> Callable[[random.Random], PlainChoices]:
  """rng -> choices drawn uniformly from the space (`space.sample`, without building the cells)."""
  cells = [(name, space.cells[name]) for name in searched(space)]
  return lambda rng: {name: list(cell.sample(rng)) for name, cell in cells}


def neighbourhood(space: SearchSpace) -> Callable[[PlainChoices], list[PlainChoices]]:
  """choices -> all choices that differ in one decision (`Cell.neighbours`)."""
  cells = [(name, space.cells[name]) for name in searched(space)]

  def neighbours(choices: PlainChoices) -> list[PlainChoices]:
    return [
      {**choices, name: list(changed)}
      for name, cell in cells
      for changed in cell.neighbours(tuple(choices[name]))
    ]

  return neighbours


def searched(space: SearchSpace) -> tuple[str, ...]:
  """`space.searched`; StrategyError for a space without choices."""
  if space.is_genotype:
    raise StrategyError("the space is a genotype: it leaves nothing to search")
  if space.size < 2:
    raise StrategyError("the space holds one genotype: it leaves nothing to search")
  return space.searched


def _rungs(strategy: Strategy, proposal: Proposal, number: int) -> tuple[int, ...]:
  """The rung of a proposal as a further argument; none for a strategy that has but one."""
  rung = proposal.get("rung", 0)
  if rung not in range(strategy.rungs):
    raise StrategyError(
      f"query {number}: the strategy asks at rung {rung}; it has {strategy.rungs}, counted from 0"
    )
  return (rung,) if strategy.rungs > 1 else ()


def _given(metrics: Metrics, name: str) -> float:
  if name not in metrics:
    raise StrategyError(f"the evaluator gave no {name!r}; it gave: {', '.join(metrics) or '-'}")
  return metrics[name]


def _numbers(metrics: Metrics, number: int) -> dict[str, float]:
  try:
    numbers = {name: float(value) for name, value in metrics.items()}
  except (AttributeError, TypeError, ValueError) as error:
    raise StrategyError(f"query {number}: the evaluator gave {metrics!r}, no numbers") from error
  score_of(numbers)
  return numbers
