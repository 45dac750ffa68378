# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Zero-cost proxies: how good a network might become, from one batch and no training.

A proxy is a pure function `(subject, batch, key) -> scalar`, higher is better; a config names it
(`"naswot"`, `dict(name="zen", mixup=0.01)`). `subject` is a genotype's own network or a path
through a supernet (`dnas.estimate.subject`): both give the same score. Sums over weights are over
the kernels of convolutions and linear layers. `dnas.estimate.training_free` makes an evaluator.

Comparison of all: Abdelfattah et al. 2021 (arXiv:2101.08134).
"""

import jax
import jax.numpy as jnp

from dnas.estimate import subject as subjects
from dnas.estimate.subject import Batch, Subject
from dnas.nn.mode import Mode
from dnas.nn.network import image_to_float


def naswot(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """log |det K|, K_ij = number of ReLUs that images i and j switch alike, `[B, B]`.

  With codes c_i in {0, 1}^U this is K = C C^T + (1 - C)(1 - C)^T. Images that the network cannot
  tell apart make K singular: -inf.

  Source: Mellor et al. 2021 (arXiv:2006.04647), section 3.
  """
  del key
  image = image_to_float(batch["image"])
  kernel = jnp.zeros((len(image), len(image)))
  for output, weight in subjects.activations(subject, image):
    code = jnp.where(output.reshape(len(image), -1) > 0, 1.0, -1.0)
    kernel += weight * (code.shape[1] + code @ code.T) / 2
  return jnp.linalg.slogdet(kernel)[1]


def synflow(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """Sum over weights of |w| dR/d|w|,  R = sum of the logits of an image of ones, all weights |w|.

  Norms are left out, so that the network is linear in each layer. Computed in the type of the
  weights: products over forty layers leave the range of float32 (`Subject.double`).

  Source: Tanaka et al. 2020 (arXiv:2006.05467), section 5; as a score: arXiv:2101.08134.
  """
  return _saliency(subject, batch, lambda slope: slope)


def logsynflow(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """Sum over weights of |w| log(1 + dR/d|w|), R as in `synflow`.

  The logarithm keeps the first layers, whose slopes are astronomical, from being all that counts.

  Source: FreeREA, Cavagnero et al. 2023 (arXiv:2207.05135).
  """
  return _saliency(subject, batch, jnp.log1p)


def snip(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """Sum over weights of |w dL/dw|, L the cross-entropy of the batch.

  Source: Lee et al. 2019 (arXiv:1810.02340); as a score: arXiv:2101.08134.
  """
  del key
  gradient = jax.grad(lambda params: subject.loss(batch, params))(subject.params)
  pairs = zip(subjects.kernels(subject.params), subjects.kernels(gradient), strict=True)
  return sum((jnp.abs(w * g).sum() for w, g in pairs), start=jnp.zeros(()))


def grasp(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """-sum over weights of w (H g),  g = dL/dw and H the Hessian of the cross-entropy L.

  H g is the gradient of <g, stop(g)>: what the gradient's norm loses when the weight is taken out.

  Source: Wang et al. 2020 (arXiv:2002.07376), at temperature 1; as a score: arXiv:2101.08134.
  """
  del key
  gradient = jax.grad(lambda params: subject.loss(batch, params))
  still = jax.lax.stop_gradient(subjects.kernels(gradient(subject.params)))

  def product(params):
    now = subjects.kernels(gradient(params))
    return sum((jnp.vdot(a, b) for a, b in zip(now, still, strict=True)), start=jnp.zeros(()))

  curved = subjects.kernels(jax.grad(product)(subject.params))
  pairs = zip(subjects.kernels(subject.params), curved, strict=True)
  return -sum((jnp.vdot(w, h) for w, h in pairs), start=jnp.zeros(()))


def jacob_cov(subject: Subject, batch: Batch, key: jax.Array, *, k: float = 1e-5) -> jax.Array:
  """-sum over i of (log(l_i + k) + 1 / (l_i + k)),  l the eigenvalues of corr(J), `[B, B]`.

  J_b = gradient of the sum of image b's logits with respect to the image; corr is the correlation
  of its rows. Networks that react alike to all images score low. Rows without variance (a network
  that ignores its input) count as equal.

  Source: the first version of Mellor et al. (arXiv:2006.04647v1); arXiv:2101.08134.
  """
  del key
  image = image_to_float(batch["image"])
  rows = jax.grad(lambda x: subject.logits(x).sum())(image).reshape(len(image), -1)
  rows -= rows.mean(1, keepdims=True)
  norm = jnp.linalg.norm(rows, axis=1, keepdims=True)
  rows = jnp.where(norm > 0, rows / jnp.where(norm > 0, norm, 1), 0)
  silent = (norm == 0).astype(rows.dtype)
  # Rounding may leave eigenvalues of a singular matrix below 0.
  values = jnp.maximum(jnp.linalg.eigvalsh(rows @ rows.T + silent @ silent.T), 0)
  return -(jnp.log(values + k) + 1 / (values + k)).sum()


def grad_norm(subject: Subject, batch: Batch, key: jax.Array) -> jax.Array:
  """Sum over layers of ||dL/dW||_2, L the cross-entropy of the batch.

  Source: Abdelfattah et al. 2021 (arXiv:2101.08134), section 3.
  """
  del key
  gradient = jax.grad(lambda params: subject.loss(batch, params))(subject.params)
  norms = (jnp.linalg.norm(g) for g in subjects.kernels(gradient))
  return sum(norms, start=jnp.zeros(()))


def zen(subject: Subject, batch: Batch, key: jax.Array, *, mixup: float = 0.01) -> jax.Array:
  """log E ||f(x) - f(x + mixup e)||_F + sum over batch norms of log sqrt(mean of their variances).

  f are the features before the final norm and the pooling, kernels and x, e are drawn from
  N(0, 1). The batch's images give nothing but their shape. Norms that no signal reaches do not
  count; a network that ignores its input scores -inf.

  Args:
    subject, batch, key: as for every proxy; the key draws kernels and inputs.
    mixup: size of the perturbation.

  Source: Zen-NAS, Lin et al. 2021 (arXiv:2102.01063), algorithm 1.
  """
  params_key, x_key, e_key = jax.random.split(key, 3)
  params = _normal_kernels(params_key, subject.params)
  x = jax.random.normal(x_key, batch["image"].shape)
  e = jax.random.normal(e_key, batch["image"].shape)
  clean, variances = subjects.features(subject, params, x)
  moved, _ = subjects.features(subject, params, x + mixup * e)
  score = jnp.log(jnp.sqrt(jnp.square(clean - moved).sum((1, 2, 3))).mean())
  for variance, weight in variances:
    mean = variance.mean()
    there = (weight > 0) & (mean > 0)
    score += jnp.where(there, 0.5 * jnp.log(jnp.where(there, mean, 1)), 0)
  return score


# What leaves the range of float32 in a deep network: `training_free` computes it in float64.
DOUBLE = ("synflow", "logsynflow")


def _saliency(subject: Subject, batch: Batch, remap) -> jax.Array:
  """Sum over weights of |w| remap(dR/d|w|), see `synflow`."""
  linear = subjects.without_norms(subject)
  params = jax.tree.map(jnp.abs, linear.params)
  dtype = subjects.kernels(params)[0].dtype
  ones = jnp.ones((1, *batch["image"].shape[1:]), dtype)

  def total(params):
    return linear.network(params)(ones, linear.weights, Mode())[0].sum()

  slopes = subjects.kernels(jax.grad(total)(params))
  pairs = zip(subjects.kernels(params), slopes, strict=True)
  return sum(((w * remap(g)).sum() for w, g in pairs), start=jnp.zeros((), dtype))


def _normal_kernels(key: jax.Array, params):
  """The weights with kernels of N(0, 1), each drawn from a key that belongs to this very kernel.

  So a supernet and a genotype's network with the same weights are given the same draws. Equal
  shapes are drawn together, which is quicker to compile.
  """
  kernels = subjects.kernels(params)
  drawn: dict[int, jax.Array] = {}
  for shape in sorted({kernel.shape for kernel in kernels}):
    group = [i for i, kernel in enumerate(kernels) if kernel.shape == shape]
    first = jnp.stack([kernels[i].ravel()[0].astype(jnp.float32) for i in group])
    bits = jax.lax.bitcast_convert_type(first, jnp.uint32)
    keys = jax.vmap(lambda bits: jax.random.fold_in(key, bits))(bits)
    values = jax.vmap(lambda key, shape=shape: jax.random.normal(key, shape))(keys)
    drawn |= dict(zip(group, jnp.unstack(values), strict=True))
  order = iter(range(len(kernels)))
  return subjects.map_kernels(lambda kernel: drawn[next(order)].astype(kernel.dtype), params)
