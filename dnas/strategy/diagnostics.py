# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a search looks like from outside: curvature, entropy, skips, agreement; and when to stop.

These run between steps, on the host. Only the Hessian-vector product is compiled, once.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import numpy as np

from dnas.errors import DnasError, check_count, check_number
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import AlphaLike

__all__ = ["stop_by_eigenvalue"]  # What a config may name.


class Spectrum(NamedTuple):
  """The ends of a Hessian's spectrum.

  Attributes:
    lowest: the smallest eigenvalue.
    highest: the largest.
  """

  lowest: float
  highest: float

  @property
  def dominant(self) -> float:
    """The eigenvalue of largest magnitude."""
    return max(self, key=abs)


def hessian_spectrum(loss: Callable[..., jax.Array], steps: int = 20) -> Callable[..., Spectrum]:
  """(alpha, *args) -> the ends of the spectrum of d2 loss(alpha, *args) / dalpha2.

  Lanczos: in the orthonormal basis of span{v, Hv, H2v, ...} the Hessian is a tridiagonal T, whose
  extreme eigenvalues approach the Hessian's from inside, fastest where they stand apart. With full
  reorthogonalisation, in float64 on the host; exact once `steps` reaches the number of logits. The
  products Hv are the jvp of the gradient: exact, two gradients each.

  Args:
    loss: (alpha, *args) -> scalar, for a relaxation that has a second derivative. Pass what changes
      (weights, batch) as args, so that it is compiled once.
    steps: number of Hessian-vector products, 1 or more.

  Raises:
    DnasError: `steps` below 1; when called: a product that is not finite.

  Source: Lanczos 1950; Golub and Van Loan 2013, section 10.1. The quantity: RobustDARTS (Zela
    et al. 2020, arXiv:1909.09656), section 4.
  """
  check_count("hessian_spectrum: steps", steps, 1)

  @jax.jit
  def product(alpha: Any, v: jax.Array, args: tuple) -> jax.Array:
    flat, unravel = jax.flatten_util.ravel_pytree(alpha)
    slope = jax.grad(lambda point: loss(unravel(point), *args))
    return jax.jvp(slope, (flat,), (v.astype(flat.dtype),))[1]

  def spectrum(alpha: Any, *args: Any) -> Spectrum:
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(alpha))
    v = np.random.default_rng(0).normal(size=size)
    basis, diagonal, off = [v / np.linalg.norm(v)], [], []
    for _ in range(min(steps, size)):
      w = np.asarray(product(alpha, basis[-1].astype(np.float32), args), np.float64)
      if not np.isfinite(w).all():
        raise DnasError("hessian_spectrum: a Hessian-vector product is not finite")
      scale = np.linalg.norm(w)
      diagonal.append(float(w @ basis[-1]))
      for _ in range(2):  # twice is enough (Kahan)
        w = w - np.array(basis).T @ (np.array(basis) @ w)
      off.append(float(np.linalg.norm(w)))
      # Within rounding of the products the space is exhausted.
      if off[-1] <= 1e-5 * max(scale, max(map(abs, diagonal))):
        break
      basis.append(w / off[-1])
    n = len(diagonal)
    tridiagonal = np.diag(diagonal) + np.diag(off[: n - 1], 1) + np.diag(off[: n - 1], -1)
    eigenvalues = np.linalg.eigvalsh(tridiagonal)
    return Spectrum(float(eigenvalues[0]), float(eigenvalues[-1]))

  return spectrum


def stop_by_eigenvalue(
  history: Sequence[float], window: int = 5, ratio: float = 0.75
) -> int | None:
  """The i - window at which mean(i - window) / mean(i) < ratio first, or None.

  mean(i) averages the last `window` dominant eigenvalues up to i. The curvature of the validation
  loss in alpha grows before a search collapses: end it then, and take the architecture it had
  `window` evaluations ago.

  Args:
    history: dominant eigenvalues, one an evaluation (an epoch, in the paper).
    window: k, 1 or more.
    ratio: in (0, 1).

  Returns:
    Index into `history` of the architecture to return; None while the search may go on.

  Raises:
    DnasError: an argument out of range.

  Source: DARTS-ES in RobustDARTS (Zela et al. 2020, arXiv:1909.09656), section 4.3 (k = 5, 0.75).
  """
  check_count("stop_by_eigenvalue: window", window, 1)
  check_number("stop_by_eigenvalue: ratio", ratio, above=0, below=1)
  values = np.asarray(history, np.float64)
  smooth = [values[max(0, i - window + 1) : i + 1].mean() for i in range(len(values))]
  for i in range(2 * window - 1, len(values)):
    if smooth[i - window] < ratio * smooth[i]:
      return i - window
  return None


def stopped_at(
  stop: Callable[[Sequence[float]], int | None],
  steps: Sequence[int],
  eigenvalues: Sequence[float],
  warmup_steps: int,
) -> int | None:
  """The place in `steps` of the observation that a search ends with; None while it may go on.

  What was observed in the warm-up does not count: alpha stood still.

  Args:
    stop: such as `stop_by_eigenvalue` with its arguments bound.
    steps: of the observations so far, rising.
    eigenvalues: what was observed there.
    warmup_steps: of the search.
  """
  first = sum(step <= warmup_steps for step in steps)
  index = stop(eigenvalues[first:]) if first < len(steps) else None
  return None if index is None else first + index


def edge_entropies(alpha: AlphaLike) -> dict[str, np.ndarray]:
  """H[e] = -sum_o p_o log p_o, p = softmax(alpha[e]), in nats: one array [E] per cell."""

  def one(logits: Any) -> float:
    logits = np.asarray(logits, np.float64)
    p = np.exp(logits - logits.max())
    p = p / p.sum()
    return float(-np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0)))

  return {name: np.array([one(logits) for logits in edges]) for name, edges in alpha.items()}


def skip_share(genotype: SearchSpace, skip: str = "skip_connect") -> float:
  """The share of a genotype's edges that carry `skip`: 1 is a collapsed search.

  Raises:
    DnasError: an edge is not decided.
  """
  ops = [op for name in genotype.cells for _, _, op in _edges(genotype, name)]
  return ops.count(skip) / len(ops)


def agreement(genotypes: Sequence[SearchSpace]) -> float:
  """Mean over pairs of |A and B| / |A or B|, the edges (cell, src, dst, op) of two genotypes.

  1: all equal. 0: no two share an edge. Of one genotype it is 1.

  Raises:
    DnasError: no genotypes, or an edge that is not decided.
  """
  if not genotypes:
    raise DnasError("agreement: genotypes must hold at least one")
  bags = [
    collections.Counter((name, *edge) for name in g.cells for edge in _edges(g, name))
    for g in genotypes
  ]
  pairs = [(a, b) for i, a in enumerate(bags) for b in bags[:i]]
  shares = [(a & b).total() / (a | b).total() for a, b in pairs]
  return float(np.mean(shares)) if shares else 1.0


def _edges(genotype: SearchSpace, name: str) -> list[tuple[int, int, str]]:
  edges = genotype.cells[name].edges
  for i, edge in enumerate(edges):
    if len(edge.ops) != 1:
      raise DnasError(f"genotype.cells.{name}.edges[{i}]: is not decided, holds {edge.ops}")
  return [(edge.src, edge.dst, edge.ops[0]) for edge in edges]
