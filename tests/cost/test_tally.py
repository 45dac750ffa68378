# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The tally: heard only while somebody listens, the innermost listener first, errors included."""

import pytest
from flax import nnx

from dnas.cost import tally


def test_listening():
  layer = nnx.Module()
  tally.record(layer, 1)
  assert not tally.active()
  with tally.listening() as outer:
    tally.record(layer, 2)
    with tally.listening() as inner:
      assert tally.active()
      tally.record(layer, 3)
    tally.record(layer, 4)
  assert [macs for _, macs in outer] == [2, 4]
  assert inner == [(layer, 3)]
  assert not tally.active()


def test_an_error_ends_it():
  with pytest.raises(KeyError), tally.listening():
    raise KeyError
  assert not tally.active()
