# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""REINFORCE: a policy over genotypes, moved towards those that score above the average."""

import functools
import math
import random
from collections.abc import Sequence

from dnas.errors import check_number
from dnas.space.cell import Cell
from dnas.space.space import SearchSpace
from dnas.strategy.ask_tell import (
  Metrics,
  PlainChoices,
  Proposal,
  State,
  Strategy,
  StrategyError,
  score_of,
  searched,
)

# One row of numbers per edge, one number per candidate (`Cell.candidates`).
Rows = list[list[float]]
ADAM = ("logits", "first", "second")  # what an optimiser step changes, of the same shape each
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's defaults


def reinforce(
  space: SearchSpace,
  lr: float = 0.01,
  momentum: float = 0.9,
  entropy: float = 0.0,
  spread: float = 1e-3,
) -> Strategy:
  """logits += Adam((R - b) d log p(x) / d logits), R = score - entropy * log p(x), x ~ p.

  p is the policy of `log_policy`. b is the moving average of R with bias correction, R included:
  b_t = (sum over s <= t of m^(t-s) R_s) / (sum over s <= t of m^(t-s)). As E[-log p] is the
  policy's entropy, the bonus makes the expected step the gradient of E[score] + entropy * H(p).
  With a supernet's shared weights as the evaluator this is ENAS' controller without its LSTM.

  A candidate that scores NaN or infinity moves nothing. Where several are open at a time, the
  gradient is that of the policy that drew them.

  Args:
    space: to be searched.
    lr: Adam's learning rate, 0.01 as for NATS-Bench (0.001 hardly moves in 100 queries).
    momentum: m of the moving average, in (0, 1): at 0 b is R itself, so that nothing is learned.
    entropy: weight of the entropy bonus, in units of the score; the benchmark has none.
    spread: standard deviation of the initial logits.

  Raises:
    StrategyError: an argument is out of range.

  Source: Williams 1992, Machine Learning 8; Dong and Yang 2020 (arXiv:2001.00326), section 4, with
    what their code does (D-X-Y/AutoDL-Projects: Adam, 0.9, 1e-3 N(0, 1), this baseline).
  """
  check_number("reinforce: lr", lr, least=0, kind=StrategyError)
  check_number("reinforce: momentum", momentum, above=0, below=1, kind=StrategyError)
  check_number("reinforce: entropy", entropy, least=0, kind=StrategyError)
  check_number("reinforce: spread", spread, least=0, kind=StrategyError)
  cells = [(name, space.cells[name]) for name in searched(space)]
  zeros = lambda: {name: [[0.0] * len(c.candidates(e)) for e in c.edges] for name, c in cells}

  def init() -> State:
    # The logits are drawn by the first ask, which has a generator.
    moments = {"first": zeros(), "second": zeros(), "steps": 0}
    return {"logits": None, **moments, "sum": 0.0, "weight": 0.0}

  def ask(state: State, rng: random.Random) -> tuple[Proposal, State]:
    if state["logits"] is None:
      drawn = {
        name: [[spread * rng.gauss(0, 1) for _ in row] for row in rows]
        for name, rows in zeros().items()
      }
      state = {**state, "logits": drawn}
    choices: PlainChoices = {}
    gradient, log_p = {}, 0.0
    for name, cell in cells:
      rows = state["logits"][name]
      choices[name] = draw(cell, rows, rng)
      value, gradient[name] = log_policy(cell, rows, choices[name])
      log_p += value
    return {"choices": choices, "gradient": gradient, "log_p": log_p}, state

  def tell(state: State, proposal: Proposal, metrics: Metrics) -> State:
    reward = score_of(metrics) - entropy * proposal["log_p"]
    if not math.isfinite(reward):
      return state
    total = momentum * state["sum"] + (1 - momentum) * reward
    weight = momentum * state["weight"] + (1 - momentum)
    advantage = reward - total / weight if weight else 0.0
    steps = state["steps"] + 1
    moved: State = {"steps": steps, "sum": total, "weight": weight, **{key: {} for key in ADAM}}
    for name, rows in proposal["gradient"].items():
      old = zip(*(state[key][name] for key in ADAM), strict=True)
      new = [
        _adam(parts, [advantage * g for g in row], lr, steps)
        for parts, row in zip(old, rows, strict=True)
      ]
      for key, parts in zip(ADAM, zip(*new, strict=True), strict=True):
        moved[key][name] = list(parts)
    return moved

  return Strategy(init, ask, tell)


def log_policy(cell: Cell, logits: Rows, choice: Sequence[str | None]) -> tuple[float, Rows]:
  """log p(x) = sum over chosen (e, o) of logits[e][o] - log Z, and its gradient in the logits.

  Z is the sum over all genotypes of the cell. It factors over the nodes, into e_k(Z_1 .. Z_m) with
  Z_e = sum over o of exp(logits[e][o]): the polynomial of `Cell.size`, k = kept(node). Equal logits
  are the uniform distribution over genotypes. Where all edges are kept it is a softmax per edge.
  The gradient is 1[(e, o) chosen] - P(e, o).

  Args:
    cell: with choices.
    logits: [E][O], O over the candidates of each edge.
    choice: one operation per edge, None where the edge is dropped.

  Returns:
    log p, and the gradient [E][O].
  """
  log_p = 0.0
  gradient: Rows = [[] for _ in cell.edges]
  for edges, kept in _groups(cell):
    weights, masses, top = _masses(logits, edges)
    total = _symmetric(masses, kept)
    log_p -= math.log(total) + kept * top
    for j, i in enumerate(edges):
      others = masses[:j] + masses[j + 1 :]
      share = _symmetric(others, kept - 1) / total  # P(edge i stays) / Z_i
      gradient[i] = [-share * weight for weight in weights[j]]
      op = choice[i]
      if op is not None:
        o = _candidates(cell)[i].index(op)
        gradient[i][o] += 1.0
        log_p += logits[i][o]
  return log_p, gradient


def draw(cell: Cell, logits: Rows, rng: random.Random) -> list[str | None]:
  """A choice drawn from the policy of `log_policy`, edge by edge."""
  choice: list[str | None] = [None] * len(cell.edges)
  for edges, left in _groups(cell):
    weights, masses, _ = _masses(logits, edges)
    for j, i in enumerate(edges):
      rest = masses[j + 1 :]
      if left <= len(rest):  # else every edge from here on stays
        without = _symmetric(rest, left)
        if rng.random() * (without + masses[j] * _symmetric(rest, left - 1)) < without:
          continue
      choice[i] = rng.choices(_candidates(cell)[i], weights[j])[0]
      left -= 1
  return choice


@functools.cache
def _groups(cell: Cell) -> list[tuple[tuple[int, ...], int]]:
  """The edges among which a number is kept, and the number: nodes, or edges that always stay."""
  groups = []
  for node in cell.nodes:
    edges, kept = cell.incoming(node), cell.kept(node)
    groups += [((i,), 1) for i in edges] if kept == len(edges) else [(edges, kept)]
  return groups


@functools.cache
def _candidates(cell: Cell) -> list[tuple[str, ...]]:
  return [cell.candidates(edge) for edge in cell.edges]


def _masses(logits: Rows, edges: Sequence[int]) -> tuple[Rows, list[float], float]:
  """exp(logits - top) of some edges, their sums, and top, the largest of these logits."""
  top = max(map(max, [logits[i] for i in edges]))
  weights = [[math.exp(value - top) for value in logits[i]] for i in edges]
  return weights, list(map(sum, weights)), top


def _symmetric(values: Sequence[float], degree: int) -> float:
  """e_degree(values): the elementary symmetric polynomial; e_0 = 1, 0 beyond their number."""
  if degree < 0 or degree > len(values):
    return 0.0
  if degree == len(values):
    return math.prod(values)
  sums = [1.0] + [0.0] * degree
  for value in values:
    for k in range(degree, 0, -1):
      sums[k] += value * sums[k - 1]
  return sums[degree]


def _adam(
  parts: tuple[list[float], ...], gradient: list[float], lr: float, steps: int
) -> tuple[list[float], list[float], list[float]]:
  """One step of Adam (1412.6980, algorithm 1) uphill: values, first and second moments."""
  values, first, second = parts
  a, b = BETAS
  first = [a * m + (1 - a) * g for m, g in zip(first, gradient, strict=True)]
  second = [b * v + (1 - b) * g * g for v, g in zip(second, gradient, strict=True)]
  unbias_a, unbias_b = 1 - a**steps, 1 - b**steps
  moved = [
    value + lr * (m / unbias_a) / (math.sqrt(v / unbias_b) + EPSILON)
    for value, m, v in zip(values, first, second, strict=True)
  ]
  return moved, first, second
