# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""When single operations stop learning, while the rest of the supernet goes on.

Every public function returns a `Freezing`, so that a config can name it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.errors import check_count, check_number
from dnas.trees import named_leaves

PyTree = Any


class Freezing(NamedTuple):
  """A rule as two pure functions.

  Attributes:
    init: params -> state, arrays.
    update: (state, train_gradient, validation_gradient) -> (state, learns); both gradients are like
      params, and `learns` is a tree like params of scalars, 1 where the weights move and 0 where
      they stay.
  """

  init: Callable[[PyTree], PyTree]
  update: Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]


def gradient_matching(threshold: float = 0.4, window: int = 20) -> Freezing:
  """An operation stops for good once mean over `window` steps of cos(g_train, g_val) < threshold.

  g_train and g_val are the gradients of the operation's weights on a batch of either part of the
  data: where they disagree the operation learns its training data by heart, which alpha, trained on
  the other part, answers by turning to operations without weights.

  The operations are the subtrees of params below a key "ops" (see `nn.mixed.MixedOp`); other
  weights always learn. Steps are counted in windows, not sliding.

  Args:
    threshold: in [-1, 1].
    window: 1 or more.

  Raises:
    DnasError: an argument out of range.

  Source: OLES (Jiang et al. 2023, NeurIPS), algorithm 1. Both values as in the authors' code
  (PasaLab/oles, train_search.py), which compares with the gradient of the step before and averages
  cosines of output channels, where here one cosine is taken over all weights of the operation.
  """
  check_number("gradient_matching: threshold", threshold, least=-1, most=1)
  check_count("gradient_matching: window", window, 1)

  def init(params: PyTree) -> PyTree:
    count = len(_operations(_owners(params)))
    return {
      "sum": jnp.zeros(count, jnp.float32),
      "steps": jnp.zeros((), jnp.int32),
      "frozen": jnp.zeros(count, bool),
    }

  def update(state: PyTree, train_gradient: PyTree, validation_gradient: PyTree):
    owners, (leaves, tree) = _owners(train_gradient), jax.tree.flatten(train_gradient)
    cosines = _cosines(owners, leaves, jax.tree.leaves(validation_gradient))
    total, steps = state["sum"] + cosines, state["steps"] + 1
    full = steps == window
    frozen = state["frozen"] | (full & (total < threshold * window))
    state = {
      "sum": jnp.where(full, 0, total),
      "steps": jnp.where(full, 0, steps),
      "frozen": frozen,
    }
    index = _operations(owners)
    learns = [
      jnp.ones((), leaf.dtype) if owner is None else (~frozen[index[owner]]).astype(leaf.dtype)
      for owner, leaf in zip(owners, leaves, strict=True)
    ]
    return state, jax.tree.unflatten(tree, learns)

  return Freezing(init, update)


def _cosines(owners: Sequence[str | None], a: Sequence[Any], b: Sequence[Any]) -> jax.Array:
  """The cosine of two gradients, given by their leaves, for each operation: `[operations]`."""
  index = _operations(owners)
  products = [[jnp.zeros(())] * 3 for _ in index]
  for owner, x, y in zip(owners, a, b, strict=True):
    if owner is not None:
      terms = jnp.vdot(x, y), jnp.vdot(x, x), jnp.vdot(y, y)
      before = products[index[owner]]
      products[index[owner]] = [old + new for old, new in zip(before, terms, strict=True)]
  dot, xx, yy = jnp.array(products).T if index else jnp.zeros((3, 0))
  # An operation that nothing flows through (a hard sample left it out) says nothing: 1.
  norm = jnp.sqrt(xx) * jnp.sqrt(yy)
  return jnp.where(norm > 0, dot / jnp.where(norm > 0, norm, 1), 1.0)


def _operations(owners: Sequence[str | None]) -> dict[str, int]:
  """Each operation and its number, in the order of the leaves."""
  names = dict.fromkeys(owner for owner in owners if owner is not None)
  return {name: i for i, name in enumerate(names)}


def _owners(params: PyTree) -> list[str | None]:
  """For each leaf the operation that it belongs to: its path up to what follows the last "ops"."""
  owners: list[str | None] = []
  for path in named_leaves(params):
    names = path.split("/")
    at = max((i for i, name in enumerate(names) if name == "ops"), default=len(names))
    inside = at + 1 < len(names)
    owners.append("/".join(names[: at + 2]) if inside else None)
  return owners
