# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search computes the same on one device and on eight; batch norm is over the global batch."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys
import jax, jax.numpy as jnp, numpy as np
from dnas import config as configs, data, mesh, method
from dnas.search import _pipeline, space_of, task_of

config = configs.load(sys.argv[1], [
  '--config.space={"name": "dense", "ops": ["skip_connect", "nor_conv_1x1"], "nodes": 2}',
  '--config.search.network={"name": "detector", "channels": [4], "stem_channels": 4}',
  "--config.search.batch_size=16", "--config.search.warmup_steps=0", "--config.search.steps=4",
  *sys.argv[2:]])
source = data.load("digits", "train")
task = task_of(config, source)
made = method.make(method.settings_of(config.search), task, space_of(config))
streams = [iter(_pipeline(config, config.search, source, part, 0)) for part in ("weights", "alpha")]
batches = [[next(stream) for stream in streams] for _ in range(3)]
assert jax.device_count() == 8
ends = []
for devices in (jax.devices()[:1], jax.devices()):
  where = mesh.make(devices=devices)
  state = mesh.replicate(made.machine.init(jax.random.key(0)), where)
  for pair in batches:
    state, metrics = made.machine.step(state, *(mesh.shard_batch(batch, where) for batch in pair))
  assert len(state.step.sharding.device_set) == len(devices)
  assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state.alpha))
  ends.append(jax.device_get((state.params, state.stats, state.alpha, metrics)))
for one, eight in zip(*map(jax.tree.leaves, ends), strict=True):
  np.testing.assert_allclose(one, eight, rtol=2e-3, atol=2e-5)
print("equal")
"""

FIRST = '--config.search.hypergradient={"name": "first_order"}'
SECOND = '--config.search.hypergradient={"name": "unrolled"}'
SINGLE = (
  '--config.search.relaxation={"name": "straight_through",'
  ' "relaxation": {"name": "gumbel_softmax"}}'
)


@pytest.mark.slow  # The default suite has the mesh itself on eight devices: test_mesh.py.
@pytest.mark.parametrize(
  "fields",
  [
    (FIRST,),
    (SECOND,),
    (FIRST, SINGLE),
  ],
  ids=["first_order", "unrolled", "single_path"],
)
def test_a_search_on_one_device_equals_that_on_eight(root, fields):
  done = subprocess.run(
    [sys.executable, "-c", CODE, str(root / "configs" / "digits.py"), *fields],
    env={
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    },
    capture_output=True,
    text=True,
    check=False,
    timeout=200,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout == "equal\n"
