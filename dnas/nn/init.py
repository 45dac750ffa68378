# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Initial weights, drawn on the host: a network of a thousand layers is built without compiling."""

import math

import jax
import numpy as np

PRIOR = 0.01  # what an untrained head of a detector says of any class


class Rngs:
  """A stream of initial weights; the same seed gives the same weights on every device.

  Stands where Flax layers expect `nnx.Rngs` (`rngs.params()` is a key), so that an operation may
  use them, and gives our own layers NumPy arrays.

  Args:
    seed: a number or a JAX key (not traced); None gives zeros at once, for networks that are only
      counted.
  """

  def __init__(self, seed: int | jax.Array | None):
    self._zeros = seed is None
    if seed is None:
      words = [0]
    elif isinstance(seed, int):
      words = [seed]
    else:
      words = [int(word) for word in np.asarray(jax.random.key_data(seed)).ravel()]
    self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

  def uniform(self, shape: tuple[int, ...], bound: float) -> np.ndarray:
    """float32 U(-bound, bound) of the given shape."""
    if self._zeros:
      return np.broadcast_to(np.float32(0), shape)  # takes no memory, however wide
    return (bound * (2 * self._generator.random(shape, np.float32) - 1)).astype(np.float32)

  def params(self) -> jax.Array:
    """A fresh JAX key, for layers of Flax."""
    return jax.random.key(int(self._generator.integers(2**31)))

  __call__ = params


def prior_bias(classes: int) -> np.ndarray:
  """-log((1 - p) / p), p = PRIOR: the logits that say p of each class; float32 `[classes]`.

  Most places show nothing, and a loss over all of them starts small so (1708.02002, section 3.3).
  """
  return np.full((classes,), -math.log((1 - PRIOR) / PRIOR), np.float32)
