# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Modes: each place of a network draws from its own key, and only when asked."""

import jax
import numpy as np
import pytest

from dnas.nn.mode import Mode


def test_places_have_keys_of_their_own():
  mode = Mode(key=jax.random.key(0))
  keys = [
    mode.random_key("x"),
    mode.at(0).random_key("x"),
    mode.at(1).random_key("x"),
    mode.at(0).at(1).random_key("x"),
    mode.at(1).at(0).random_key("x"),
  ]
  assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == len(keys)
  assert mode.at(1).at(0).random_key("y") == mode.at(1).at(0).random_key("x")


def test_no_key():
  with pytest.raises(ValueError, match=r"drop-path draws random numbers: pass Mode\(key="):
    Mode(train=True).at(3).random_key("drop-path")
