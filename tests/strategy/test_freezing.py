# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import naming
from dnas.errors import DnasError
from dnas.strategy import freezing

PARAMS = {
  "stem": {"kernel": jnp.ones(3)},
  "cells": {0: {"edges": {0: {"ops": {1: {"a": jnp.ones(2), "b": jnp.ones(2)}, 3: jnp.ones(4)}}}}},
}


def like(op1, op3, stem=1.0):
  """Gradients: every number of an operation the same, but for the second leaf of the first."""
  ops = {1: {"a": jnp.full(2, op1[0]), "b": jnp.full(2, op1[1])}, 3: jnp.full(4, op3)}
  return {"stem": {"kernel": jnp.full(3, stem)}, "cells": {0: {"edges": {0: {"ops": ops}}}}}


def run(rule, pairs):
  state, update = rule.init(PARAMS), jax.jit(rule.update)
  learns = None
  for train, validation in pairs:
    state, learns = update(state, train, validation)
  flat = lambda tree: {
    "op1": tree["cells"][0]["edges"][0]["ops"][1]["a"],
    "op3": tree["cells"][0]["edges"][0]["ops"][3],
    "stem": tree["stem"]["kernel"],
  }
  return {name: int(value) for name, value in flat(learns).items()}


def test_every_rule_is_here():
  assert set(naming.functions(freezing)) == {"gradient_matching"}


def test_an_operation_whose_gradients_disagree_stops_for_good():
  rule = freezing.gradient_matching(0.4, window=3)
  # cos of op1: (1*1 - 1*1) / 2 = 0 over both of its leaves; of op3: 1.
  apart = (like((1.0, 1.0), 1.0), like((1.0, -1.0), 2.0, stem=-1.0))
  assert run(rule, [apart] * 2) == {"op1": 1, "op3": 1, "stem": 1}
  assert run(rule, [apart] * 3) == {"op1": 0, "op3": 1, "stem": 1}
  together = (like((1.0, 1.0), 1.0), like((1.0, 1.0), 1.0))
  assert run(rule, [apart] * 3 + [together] * 6) == {"op1": 0, "op3": 1, "stem": 1}


def test_it_is_the_mean_over_the_window_that_counts():
  rule = freezing.gradient_matching(0.4, window=2)
  apart = (like((1.0, 1.0), 1.0), like((1.0, -1.0), 1.0))
  together = (like((1.0, 1.0), 1.0), like((1.0, 1.0), 1.0))
  assert run(rule, [apart, together])["op1"] == 1  # 0.5
  assert run(rule, [apart, together, apart, apart])["op1"] == 0
  assert run(rule, [together, apart, apart, together])["op1"] == 1  # windows do not slide


def test_an_operation_that_was_not_sampled_says_nothing():
  rule = freezing.gradient_matching(0.4, window=1)
  assert run(rule, [(like((0.0, 0.0), 1.0), like((0.0, 0.0), 1.0))])["op1"] == 1


def test_the_state_is_arrays():
  state = freezing.gradient_matching().init(PARAMS)
  assert jax.tree.map(lambda x: (x.shape, str(x.dtype)), state) == {
    "sum": ((2,), "float32"),
    "steps": ((), "int32"),
    "frozen": ((2,), "bool"),
  }
  assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))
  np.testing.assert_array_equal(state["frozen"], False)


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"threshold": 1.5}, r"threshold must be in \[-1, 1\], got 1.5"),
    ({"threshold": "0"}, r"threshold must be a number \(in \[-1, 1\]\), got '0'"),
    ({"window": 0}, "window must be a whole number"),
  ],
)
def test_arguments_out_of_range(settings, message):
  with pytest.raises(DnasError, match=message):
    freezing.gradient_matching(**settings)
