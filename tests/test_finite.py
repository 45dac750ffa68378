# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Skipped steps are counted in time and in order; what went wrong is found in the program."""

import dataclasses
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import finite
from dnas.errors import DnasError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  w: jax.Array
  step: jax.Array
  key: jax.Array


def state(w: float, step: int, key: jax.Array) -> State:
  return State(jnp.float32(w), jnp.int32(step), key)


@pytest.mark.parametrize(
  ("loss", "norm", "skipped"),
  [(1, 1, 0), (math.nan, 1, 1), (1, math.inf, 1), (-math.inf, 1, 1), (1, None, 0)],
)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_state_is_kept_where_a_metric_is_not_finite(backend, loss, norm, skipped, monkeypatch):
  """In the form for CPUs and in that for others, both on what there is here."""
  monkeypatch.setattr(finite.jax, "default_backend", lambda: backend)

  @jax.jit
  def step(old, report):
    new = dataclasses.replace(old, w=old.w + 1, step=old.step + 1)
    return finite.skip_unless_finite(old, new, report, "loss", "norm")

  report = {"loss": jnp.float32(loss), "other": jnp.float32(math.nan)}
  report |= {} if norm is None else {"norm": jnp.bfloat16(norm)}
  after, report = step(state(5, 3, jax.random.key(0)), report)
  assert (float(after.w), int(after.step)) == (5 + 1 - skipped, 4)
  assert int(report["skipped"]) == skipped
  assert report["skipped"].dtype == jnp.int32


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("seed", range(4))
def test_the_limit_is_noticed_at_the_very_step(limit, seed):
  rng = np.random.default_rng(seed)
  steps = (rng.random(400) < 0.97 ** (6 / limit)).astype(int).tolist()
  expected, in_a_row = None, 0
  for i, skipped in enumerate(steps):
    in_a_row = in_a_row + 1 if skipped else 0
    if in_a_row == limit:
      expected = i
      break
  skips = finite.Skips(limit)
  noticed = next((i for i, skipped in enumerate(steps) if skips.see(np.int32(skipped))), None)
  assert noticed == expected
  seen = steps if expected is None else steps[: expected + 1]
  assert skips.counts() == {"total": sum(seen), "in_a_row": in_a_row}


def test_counts_go_on_after_a_restart_and_sound_steps_are_read_late():
  skips = finite.Skips(4, total=7, in_a_row=3)
  assert skips.see(np.int32(1))
  read = []

  class Watched:
    def __int__(self):
      read.append(1)
      return 0

  skips = finite.Skips(10)
  for _ in range(9):
    assert not skips.see(Watched())
  assert not read
  assert not skips.see(Watched())
  assert len(read) == 1
  with pytest.raises(DnasError, match="max_skipped must be a whole number, 1 or more, got 0"):
    finite.Skips(0)


def test_the_operation_that_broke_is_named_with_its_line():
  @jax.jit
  def loss(w, x):
    return jnp.sum(jnp.sqrt(w * x))  # sqrt'(0) is infinite.

  found = finite.values(jax.value_and_grad(loss), jnp.float32(100), jnp.array([0.0, 4.0]))
  words = finite.explain(found)
  assert "first infinity in div [2] (test_finite.py:" in words
  assert "first NaN in mul [2] (test_finite.py:" in words
  assert words.partition("first NaN")[2].partition(";")[0].endswith(", backward pass")
  assert "largest finite values: 400 in mul [2] (test_finite.py:" in words
  assert found[0].largest == 400


@pytest.mark.parametrize("package", ["/src/dnas", "/lib/site-packages/dnas"])
def test_lines_of_the_package_are_named_wherever_it_lies(package, monkeypatch):
  """Those of libraries and of this module itself are not."""
  monkeypatch.setattr(finite, "__file__", f"{package}/finite.py")
  files = [f"{package}/finite.py", f"{package}/nn/head.py", "/lib/site-packages/jax/numpy.py"]
  frames = [types.SimpleNamespace(file_name=name, line_num=7) for name in [*files, "/src/me.py"]]
  source = types.SimpleNamespace(traceback=types.SimpleNamespace(frames=frames))
  equation = types.SimpleNamespace(primitive=jax.lax.exp_p, source_info=source)
  assert finite._where(equation, (2,), False) == "exp [2] (nn/head.py:7 < me.py:7)"


def test_values_repeat_the_program_and_enter_what_it_calls():
  @jax.checkpoint
  def part(x):
    return jnp.exp(x)

  def function(key, x):
    y = jax.lax.scan(lambda c, v: (c + v, c), jnp.float32(0), part(x))[0]
    return y * jax.random.uniform(key)

  found = finite.values(jax.jit(function), jax.random.key(3), jnp.array([1.0, 2.0]))
  assert any(value.where.startswith("exp [2]") for value in found)
  assert all(math.isfinite(value.largest) for value in found)
  expected = function(jax.random.key(3), jnp.array([1.0, 2.0]))
  assert found[-1].largest == pytest.approx(float(expected), rel=1e-6)
  assert finite.explain(found).startswith("largest finite values: 10.1 in scan []")


def test_a_report_is_said_with_the_numbers_of_each_seed():
  report = {"loss": jnp.float32(math.nan), "skipped": jnp.int32(1), "norm": jnp.float32(12345.678)}
  report["seeds/loss"] = jnp.array([1.25, math.nan])
  report["seeds/skipped"] = jnp.array([0, 1])
  said = "loss nan, norm 1.235e+04, seeds/loss [1.25, nan], seeds/skipped [0, 1]"
  assert finite.describe(report) == said
