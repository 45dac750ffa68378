# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Collectives are counted as they stand in a program, and cost on a ring what the formula says."""

import os
import subprocess
import sys

import jax
import pytest

from dnas import config as configs
from dnas.tables import scaling, weak_scaling
from dnas.tables.scaling import Collective

PROGRAM = """
  %all-reduce.1 = f32[64,3]{1,0} all-reduce(%x), channel_id=1, to_apply=%add
  %ar = (f32[8]{0}, bf16[2,2]{1,0}, f32[]) all-reduce(%a, %b, %c), channel_id=2
  %fusion = f32[9]{0} fusion(%all-reduce.1), kind=kLoop
  %gte = f32[8]{0} get-tuple-element(%ar), index=0
  %ag = u32[2]{0} all-gather-start(%y), channel_id=3
"""


def test_collectives_of_a_program():
  assert scaling.collectives(PROGRAM) == [
    Collective("all-reduce", 4 * 64 * 3, 1),
    Collective("all-reduce", 4 * 8 + 2 * 4 + 4, 3),
    Collective("all-gather", 8, 1),
  ]


def test_a_ring():
  found = [Collective("all-reduce", 10**9, 1), Collective("all-reduce", 0, 1)]
  # Two chips: each sends half of the bytes twice, at 1 GB/s; two messages of 1 us for each.
  assert scaling.ring_ms(found, 2, 1.0, 1.0) == pytest.approx(1000 + 2 * 2 * 1e-3)
  assert scaling.ring_ms(found, 4, 1.0, 0.0) == pytest.approx(1500)
  assert scaling.ring_ms(found, 1, 1.0, 1.0) == 0


def test_a_process_of_weak_scaling_has_one_device(monkeypatch):
  """Also where the table's own process has eight, as the list of the tables says."""
  monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
  words = [sys.executable, "-c", "import jax; print(jax.device_count())"]
  assert weak_scaling._result(weak_scaling._start(words, "localhost:1", 1, 0)) == 1


CODE = """
import jax, jax.numpy as jnp, numpy as np
from dnas import mesh
from dnas import config as configs
from dnas.tables import scaling, weak_scaling
devices = mesh.make()
w = mesh.replicate(jnp.ones((16, 4)), devices)
x = mesh.shard_batch(np.ones((8, 16), np.float32), devices)
step = jax.jit(jax.grad(lambda w, x: jnp.mean((x @ w) ** 2)))
found = scaling.collectives(step.lower(w, x).compile().as_text())
assert {c.kind for c in found} == {"all-reduce"}, found
assert sum(c.bytes for c in found) == 16 * 4 * 4, found
print("counted")
"""


@pytest.mark.slow
def test_the_gradient_of_a_real_program_is_reduced_once():
  done = subprocess.run(
    [sys.executable, "-c", CODE],
    env={
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    },
    capture_output=True,
    text=True,
    check=False,
    timeout=200,
  )
  assert done.stdout == "counted\n", done.stderr[-2000:]


def test_the_counter_of_the_loopback_interface(tmp_path):
  (tmp_path / "dev").write_text("Inter-| Receive\n eth0: 7 1\n    lo: 1234 5 0\n")
  assert weak_scaling.loopback_bytes(tmp_path / "dev") == 1234
  assert weak_scaling.loopback_bytes() >= 0


@pytest.mark.slow
def test_two_processes_send_what_their_program_says(root):
  config = configs.load(
    root / "configs" / "digits.py",
    {
      "space": '{"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
      "search.network": '{"name": "detector", "channels": [4], "stem_channels": 4}',
      "search.batch_size": 8,
    },
  )
  seen = weak_scaling.measure(config, 2, steps=5)
  assert seen["ms"] > 0
  # Each sends its gradients at least once; what else ran on this machine is in the number, too.
  params = weak_scaling.prepare(config).state.params
  assert seen["sent_bytes"] >= 2 * 4 * sum(leaf.size for leaf in jax.tree.leaves(params))
