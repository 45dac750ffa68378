# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Regularisation of a search: penalties on alpha, and perturbations under which weights are
trained.

A penalty is a function `(alpha, progress) -> scalar` that is added to the loss of the alpha step. A
perturbation is a function `(key, loss, weights, progress) -> weights` that moves the mixing weights
in the weight step, where `loss(weights)` is that step's loss; no gradient flows through the move.
Every public function returns one or the other, so that a config can name it. `progress` runs from 0
to 1.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from dnas.errors import DnasError
from dnas.strategy.alpha import Alpha

AlphaLike = Mapping[str, Sequence[jax.Array]]
Penalty = Callable[[AlphaLike, jax.Array], jax.Array]
Perturbation = Callable[[jax.Array, Callable[[Alpha], jax.Array], Alpha, jax.Array], Alpha]


def beta_decay(scale: float = 50.0) -> Penalty:
  """scale * progress * mean over edges of log sum_o exp(alpha[e][o]).

  Its gradient is softmax(alpha): the larger weights decay faster, which keeps them from running
  away from each other. The weight of the penalty rises linearly from 0.

  Source: beta-DARTS (Ye et al. 2022, arXiv:2203.01665), eq. 11 and section 4.1 (0 to 50).
  """
  _check_scale("beta_decay", scale)

  def penalty(alpha: AlphaLike, progress: jax.Array) -> jax.Array:
    return scale * progress * _edge_mean(jax.nn.logsumexp, alpha)

  return penalty


def zero_one(scale: float = 10.0) -> Penalty:
  """-scale * mean over edges and operations of (sigmoid(alpha) - 1/2)^2.

  It pushes each operation's sigmoid to 0 or 1, so that little is lost by deciding.

  Source: FairDARTS (Chu et al. 2020, arXiv:1911.12126), eq. 4.
  """
  _check_scale("zero_one", scale)

  def penalty(alpha: AlphaLike, progress: jax.Array) -> jax.Array:
    del progress
    undecided = lambda logits: jnp.mean((jax.nn.sigmoid(logits) - 0.5) ** 2)
    return -scale * _edge_mean(undecided, alpha)

  return penalty


def dirichlet_anchor(scale: float = 1e-3) -> Penalty:
  """scale * sum over edges of KL(Dirichlet(beta) || Dirichlet(1)), beta = elu(alpha) + 1.

  KL = lgamma(s) - lgamma(O) - sum_o lgamma(beta_o) + sum_o (beta_o - 1) (psi(beta_o) - psi(s)),
  where s = sum_o beta_o. The anchor is the uniform distribution over the simplex: beta can neither
  grow without bound (no exploration left) nor vanish (samples at the corners, wild gradients).

  Source: DrNAS (Chen et al. 2021, arXiv:2006.10355), eq. 2 with the anchor 1.
  """
  _check_scale("dirichlet_anchor", scale)

  def divergence(logits: jax.Array) -> jax.Array:
    beta = jnp.maximum(jax.nn.elu(logits) + 1, 1e-6)
    total = jnp.sum(beta)
    pull = jnp.sum((beta - 1) * (digamma(beta) - digamma(total)))
    return gammaln(total) - gammaln(1.0 * beta.size) - jnp.sum(gammaln(beta)) + pull

  def penalty(alpha: AlphaLike, progress: jax.Array) -> jax.Array:
    del progress
    edges = sum(len(edges) for edges in alpha.values())
    return scale * edges * _edge_mean(divergence, alpha)

  return penalty


def random_perturbation(radius: float = 0.3) -> Perturbation:
  """w <- w + u, u ~ U[-r, r] for each operation, with r = radius * progress.

  The weights minimise the mean loss around the architecture, which flattens it there.

  Args:
    radius: largest change of a mixing weight at the end of the search.

  Source: SDARTS-RS (Chen and Hsieh 2020, arXiv:2002.05283), eq. 5.
  """
  _check_scale("random_perturbation", radius)

  def perturb(key, loss, weights, progress):
    del loss
    return jax.tree.map(jnp.add, weights, _uniform(key, weights, radius * progress))

  return perturb


def adversarial_perturbation(radius: float = 0.3, steps: int = 7) -> Perturbation:
  """w <- w + d, d ~ argmax over |d_o| <= r of loss(w + d), with r = radius * progress.

  Approximated by projected gradient ascent from a uniform start: d <- clip(d + (2 r / steps)
  sign(dloss/dw), -r, r). Each of its steps costs one gradient.

  Args:
    radius: largest change of a mixing weight at the end of the search.
    steps: 1 or more.

  Raises:
    DnasError: `radius` negative or `steps` below 1.

  Source: SDARTS-ADV (Chen and Hsieh 2020, arXiv:2002.05283), eq. 6; Madry et al. 2018 (1706.06083).
  """
  _check_scale("adversarial_perturbation", radius)
  if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
    raise DnasError(f"adversarial_perturbation: steps must be 1 or more, got {steps!r}")

  def perturb(key, loss, weights, progress):
    r = radius * progress
    moved = _uniform(key, weights, r)
    for _ in range(steps):  # written out: see hypergradient._repeat
      slope = jax.grad(loss)(jax.tree.map(jnp.add, weights, moved))
      climb = lambda d, g: jnp.clip(d + 2 * r / steps * jnp.sign(g), -r, r)
      moved = jax.tree.map(climb, moved, slope)
    return jax.tree.map(jnp.add, weights, moved)

  return perturb


def _edge_mean(function: Callable[[jax.Array], jax.Array], alpha: AlphaLike) -> jax.Array:
  """The mean of function(logits) over all edges; edges of equal length in one vmap."""
  leaves = jax.tree.leaves(dict(alpha))
  sizes = sorted({leaf.size for leaf in leaves})
  stacks = [jnp.stack([leaf for leaf in leaves if leaf.size == size]) for size in sizes]
  return jnp.concatenate([jax.vmap(function)(stack) for stack in stacks]).mean()


def _uniform(key: jax.Array, weights: Alpha, radius: jax.Array) -> Alpha:
  """U[-radius, radius] for each weight."""
  leaves, tree = jax.tree.flatten(weights)
  noise = jax.random.uniform(key, (sum(leaf.size for leaf in leaves),), minval=-1, maxval=1)
  parts = jnp.split(radius * noise, np.cumsum([leaf.size for leaf in leaves])[:-1])
  return jax.tree.unflatten(tree, [p.astype(w.dtype) for p, w in zip(parts, leaves, strict=True)])


def _check_scale(name: str, value: float) -> None:
  if not value >= 0:
    raise DnasError(f"{name}: the strength must be 0 or more, got {value!r}")
