# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How a forward pass is meant: training or not, its randomness, drop-path."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["key", "drop_path", "path", "skip_dropout", "auxiliary_skip"],
  meta_fields=["train"],
)
@dataclasses.dataclass(frozen=True)
class Mode:
  """Passed through every module's call, `module(x, mode)`; a pytree, where `train` is static.

  Attributes:
    train: batch statistics (and their tracking), drop-path and auxiliary heads are on.
    key: source of randomness; only noise and drop-path need one.
    drop_path: probability that an operation's output is dropped for an example (a number or a
      traced scalar, so that a schedule does not recompile); None turns it off.
    path: where in the network we are; each place draws from its own key.
    skip_dropout: rate of drop-out behind skip connections of a supernet (a number or a traced
      scalar, as above); None turns it off. (P-DARTS, 1904.12760, section 3.3.)
    auxiliary_skip: weight of a supernet's auxiliary skip connections; None leaves them out.
  """

  train: bool = False
  key: jax.Array | None = None
  drop_path: jax.Array | float | None = None
  path: tuple[int, ...] = ()
  skip_dropout: jax.Array | float | None = None
  auxiliary_skip: jax.Array | float | None = None

  def at(self, index: int) -> "Mode":
    """The mode for the `index`-th part of the present place."""
    return dataclasses.replace(self, path=(*self.path, index))

  def random_key(self, purpose: str) -> jax.Array:
    """The key of this place, folded from `key` and `path` only when it is asked for.

    Raises:
      ValueError: no key was given.
    """
    return random_keys([self], purpose)[0]


def random_keys(modes: Sequence[Mode], purpose: str) -> jax.Array:
  """The keys of places equally deep in one network, `[n]`: all at once, which is less to compile.

  Raises:
    ValueError: no key was given.
  """
  if modes[0].key is None:
    raise ValueError(f"{purpose} draws random numbers: pass Mode(key=jax.random.key(seed))")
  keys = jnp.stack([mode.key for mode in modes if mode.key is not None])
  for indices in zip(*(mode.path for mode in modes), strict=True):
    keys = jax.vmap(jax.random.fold_in)(keys, jnp.stack([jnp.uint32(i) for i in indices]))
  return keys
