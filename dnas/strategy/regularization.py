# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Regularisation of a search: penalties on alpha and on the weights, and perturbations.

A penalty is a function `(alpha, progress) -> scalar` that is added to the loss of the alpha step. A
perturbation is a function `(key, loss, weights, progress) -> weights` that moves the mixing weights
in the weight step, where `loss(weights)` is that step's loss; no gradient flows through the move.
A weight penalty is a function `(loss, params, weights, layers, progress) -> gradient like params`
that is added to the gradient of the weight step, where `loss(params, weights)` is its loss, and
`layers` says at how many places of the network each cell stands. Every public function returns one
of them, so that a config can name it. `progress` runs from 0 to 1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from dnas.errors import DnasError, check_count, check_number
from dnas.strategy.alpha import Alpha, AlphaLike

Penalty = Callable[[AlphaLike, jax.Array], jax.Array]
Perturbation = Callable[[jax.Array, Callable[[Alpha], jax.Array], Alpha, jax.Array], Alpha]
WeightPenalty = Callable[
  [Callable[[Any, Alpha], jax.Array], Any, Alpha, Mapping[str, int], jax.Array], Any
]


def beta_decay(scale: float = 50.0) -> Penalty:
  """scale * progress * mean over edges of log sum_o exp(alpha[e][o]).

  Its gradient is softmax(alpha): the larger weights decay faster, which keeps them from running
  away from each other. The weight of the penalty rises linearly from 0.

  Source: beta-DARTS (Ye et al. 2022, arXiv:2203.01665), eq. 11 and section 4.1. That the ramp ends
  at 50 and that it is the mean over edges: the authors' code (Sunshine-Ye/Beta-DARTS,
  optimizers/darts/architect.py: `weights = 0 + 50*epoch/100`).
  """
  check_number("beta_decay: scale", scale, least=0)

  def penalty(alpha: AlphaLike, progress: jax.Array) -> jax.Array:
    return scale * progress * _edge_mean(jax.nn.logsumexp, alpha)

  return penalty


def zero_one(scale: float = 10.0) -> Penalty:
  """-scale * mean over edges and operations of (sigmoid(alpha) - 1/2)^2.

  It pushes each operation's sigmoid to 0 or 1, so that little is lost by deciding.

  Source: FairDARTS (Chu et al. 2020, arXiv:1911.12126), eq. 4. The strength of 10, and that it is a
  mean: the authors' code (xiaomi-automl/FairDARTS, fairdarts/separate_loss.py and
  train_search.py: `aux_loss_weight`).
  """
  check_number("zero_one: scale", scale, least=0)

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

  Source: DrNAS (Chen et al. 2021, arXiv:2006.10355), eq. 2 with the anchor 1. The authors' code
  (xiangning-chen/DrNAS, 201-space/train_search_progressive.py) has the scale 1e-3 for its default,
  which is weight decay on alpha instead, and calls for another with this divergence: the value here
  is not theirs.
  """
  check_number("dirichlet_anchor: scale", scale, least=0)

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


def random_perturbation(radius: float = 0.3, radius_start: float = 0.03) -> Perturbation:
  """w <- P(w + u), u ~ U[-r, r] for each operation, r = radius_start + progress (radius - ...).

  P clips at 0 and scales each edge back to the sum of weights that it had: onto the simplex, where
  it was there. The weights minimise the mean loss around the architecture, which flattens it there.

  Args:
    radius: r at the end of the search.
    radius_start: r at its beginning.

  Raises:
    DnasError: a radius is negative.

  Source: SDARTS-RS (Chen and Hsieh 2020, arXiv:2002.05283), eq. 5. Both radii: the authors' code
  (xiangning-chen/SmoothDARTS, nasbench201/train_search.py: `epsilon_alpha`).
  """
  check_number("random_perturbation: radius", radius, least=0)
  check_number("random_perturbation: radius_start", radius_start, least=0)

  def perturb(key, loss, weights, progress):
    del loss
    r = radius_start + progress * (radius - radius_start)
    return jax.tree.map(_moved, weights, _uniform(key, weights, r))

  return perturb


def adversarial_perturbation(
  radius: float = 0.3, steps: int = 7, radius_start: float = 0.03
) -> Perturbation:
  """w <- P(w + d), d ~ argmax over |d_o| <= r of loss(P(w + d)); r and P as `random_perturbation`.

  Approximated by projected gradient ascent from a uniform start: d <- clip(d + (2 r / steps)
  sign(dloss/dw), -r, r). Each of its steps costs one gradient. Where the loss has not grown, w
  stays as it is.

  Args:
    radius: r at the end of the search.
    steps: 1 or more.
    radius_start: r at its beginning.

  Raises:
    DnasError: a radius is negative or `steps` below 1.

  Source: SDARTS-ADV (Chen and Hsieh 2020, arXiv:2002.05283), eq. 6; Madry et al. 2018 (1706.06083).
  7 steps of 2 r / steps: `Linf_PGD_alpha` of the authors' later code (ruocwang/darts-pt,
  attacker/perturb.py), which attacks with running batch statistics, where here the batch's count.
  """
  check_number("adversarial_perturbation: radius", radius, least=0)
  check_number("adversarial_perturbation: radius_start", radius_start, least=0)
  check_count("adversarial_perturbation: steps", steps, 1)

  def perturb(key, loss, weights, progress):
    r = radius_start + progress * (radius - radius_start)
    move = _uniform(key, weights, r)
    for _ in range(steps):  # written out: see `solvers._repeat`
      slope = jax.grad(loss)(jax.tree.map(_moved, weights, move))
      climb = lambda d, g: jnp.clip(d + 2 * r / steps * jnp.sign(g), -r, r)
      move = jax.tree.map(climb, move, slope)
    moved = jax.tree.map(_moved, weights, move)
    worse = loss(moved) > loss(weights)
    return jax.tree.map(lambda new, old: jnp.where(worse, new, old), moved, weights)

  return perturb


def layer_alignment(scale: float = 0.125) -> WeightPenalty:
  """- scale * progress * dLambda/dparams, where Lambda is how far the layers agree about alpha.

  Lambda = mean over cells and over pairs of places l < m of cos(g_l, g_m), where g_l = dloss/dw_l
  is the gradient of the mixing weights of the cell at its l-th place alone. DARTS' shared alpha
  follows their sum, in which the layers near the output outweigh the others.

  With u = dLambda/dg, held fixed, dLambda/dparams = d/dparams <u, g(params)>: one jvp of the
  gradient, exact (the authors' code takes a difference quotient). Cells that stand at one place
  only do not count.

  Args:
    scale: lambda, which the penalty reaches linearly.

  Raises:
    DnasError: `scale` negative; when called: no cell stands at two places.

  Source: Lambda-DARTS (Movahedi et al. 2023, arXiv:2210.07998), section 4; scale and ramp: the
  authors' code (dr-faustus/Lambda-DARTS, sota/cnn/train_search.py), which aligns normal cells only.
  """
  check_number("layer_alignment: scale", scale, least=0)

  def penalty(loss, params, weights, layers, progress):
    several = [name for name in weights if layers.get(name, 0) > 1]
    if not several:
      raise DnasError(
        f"layer_alignment: needs a cell that stands at two or more places, got {dict(layers)}"
      )
    spread = lambda name: lambda w: jnp.broadcast_to(w, (layers[name], *w.shape))
    layered = {name: tuple(map(spread(name), weights[name])) for name in several}
    at = lambda some: {**weights, **some}
    gradient = jax.grad(lambda some: loss(params, at(some)))(layered)
    direction = jax.grad(_agreement)(gradient)
    slope = lambda some: jax.grad(lambda p: loss(p, at(some)))(params)
    _, rise = jax.jvp(slope, (layered,), (direction,))
    return jax.tree.map(lambda x: -scale * progress * x, rise)

  return penalty


def _agreement(gradients: Mapping[str, Sequence[jax.Array]]) -> jax.Array:
  """The mean over cells, and over pairs of layers, of the cosine of their gradients."""
  cosines = []
  for edges in gradients.values():
    rows = jnp.concatenate(list(edges), axis=-1)  # [layers, all weights of the cell]
    # Not 0/0 where nothing flows through a layer.
    unit = rows * jax.lax.rsqrt(jnp.sum(rows**2, -1, keepdims=True) + 1e-24)
    # |sum of units|^2 = sum of |unit|^2 + twice the sum over pairs.
    pairs = len(rows) * (len(rows) - 1)
    cosines.append((jnp.sum(jnp.sum(unit, 0) ** 2) - jnp.sum(unit**2)) / pairs)
  return jnp.mean(jnp.stack(cosines))


def _moved(weights: jax.Array, move: jax.Array) -> jax.Array:
  """weights + move, clipped at 0 and scaled to the sum of `weights`."""
  moved = jnp.maximum(weights + move, 0)
  total = jnp.sum(moved)
  scaled = moved * (jnp.sum(weights) / jnp.where(total > 0, total, 1))
  return jnp.where(total > 0, scaled, weights)


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
