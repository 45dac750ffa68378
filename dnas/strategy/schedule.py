# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How far a search is, and what changes in a supernet's forward pass over it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnas.nn.mode import Mode
from dnas.nn.supernet import Supernet


class Drops(NamedTuple):
  """What a search drops out.

  Attributes:
    path: rate of drop-path at the end; it rises linearly from 0.
    skip: rate of the drop-out behind skip connections at first; it falls to e^-3 of it.
  """

  path: float = 0.0
  skip: float = 0.0


NO_DROPS = Drops()


def progress_at(step: Any, steps: int, warmup_steps: int) -> jax.Array:
  """How far a search of `steps` steps is before its `step`: 0 in the warm-up, 1 at its end."""
  searched = jnp.asarray(step - warmup_steps, jnp.float32)
  return jnp.clip(searched / (steps - warmup_steps), 0, 1)


def mode_at(
  progress: jax.Array | float,
  train: bool,
  key: jax.Array | None,
  supernet: Supernet,
  drops: Drops = NO_DROPS,
) -> Mode:
  """The mode of a pass at progress t in [0, 1] of a search.

  Drop-path has the rate `drops.path` t (RobustDARTS, 1909.09656, section 5.1), the drop-out behind
  skips `drops.skip` exp(-3 t), and the auxiliary skip the weight 1 - t (DARTS-, 2009.01027, section
  3.3).

  The fall of skip drop-out is that of P-DARTS' code (chenxin061/pdarts, train_search.py:
  exp(-0.2 e) over 15 epochs), which lets it fall linearly in the warm-up, where here it stays.
  """
  return Mode(
    train,
    key,
    drop_path=drops.path * progress if drops.path else None,
    skip_dropout=drops.skip * jnp.exp(-3.0 * progress) if drops.skip else None,
    auxiliary_skip=1.0 - progress if supernet.auxiliary_skip else None,
  )
