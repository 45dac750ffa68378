# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""One device equals eight; batches that do not divide are refused."""

import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import mesh as lib

EIGHT_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from dnas import mesh as lib

assert jax.device_count() == 8
params = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
batch = {"x": np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32), "y": np.arange(16)}
loss = lambda p, b: jnp.mean((b["x"] @ p) ** 2) + jnp.mean(b["y"])
step = jax.jit(jax.value_and_grad(loss))
expected = jax.device_get(step(params, batch))
for axes in (None, {"data": 8}, {"seed": 2, "data": -1}, {"data": 4, "seed": 2}, {"seed": 8}):
  mesh = lib.make(axes)
  split = lib.shard_batch(batch, mesh)
  assert len(split["x"].sharding.device_set) == 8
  assert split["x"].addressable_shards[0].data.shape == (16 // mesh.shape["data"], 3)
  value, gradient = step(lib.replicate(params, mesh), split)
  assert gradient.is_fully_replicated
  np.testing.assert_allclose(value, expected[0], rtol=1e-6)
  np.testing.assert_allclose(gradient, expected[1], rtol=1e-5)
try:
  lib.shard_batch({"a": {"x": np.ones((12, 3))}}, lib.make())
except lib.MeshError as error:
  assert "batch['a']['x'] has the shape (12, 3)" in str(error), error
  assert "divide by the 8 devices" in str(error), error
else:
  raise AssertionError("12 examples were split over 8 devices")
print("equal")
"""


OPERATIONS = """
import jax, jax.numpy as jnp
from dnas import mesh, naming
from dnas.nn import functional, ops
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.tables.scaling import collectives

devices = mesh.make()
for name, build in naming.functions(ops).items():
  static, params, stats = functional.split(build(4, 4, 2, affine=True, rngs=Rngs(0)))
  params = mesh.replicate(params, devices)

  def loss(x, params):
    return (static.merge(params, stats)(x, Mode(key=jax.random.key(0))) ** 2).mean()

  step = jax.jit(jax.grad(loss, (0, 1)), compiler_options={"xla_backend_optimization_level": 0})
  x = mesh.shard_batch(jnp.ones((4, 7, 7, 4)), devices)
  kinds = {c.kind for c in collectives(step.lower(x, params).compile().as_text())}
  if not kinds <= {"all-reduce"}:
    print(name, kinds)
"""


ASSIGNERS = """
import jax, numpy as np
from dnas import mesh
from dnas.detection import assign, boxes
from dnas.tables.scaling import collectives

devices, rng = mesh.make(), np.random.default_rng(0)
points, strides = boxes.anchor_points(((4, 4), (2, 2)), (8, 16))
batch = {
  "scores": rng.random((4, 20, 3), np.float32),
  "boxes": rng.random((4, 20, 4), np.float32),
  "targets": assign.Targets(
    rng.random((4, 5, 4), np.float32), np.zeros((4, 5), np.int32), np.ones((4, 5), bool)
  ),
}
for assigner in (assign.task_aligned, assign.atss):
  run = lambda scores, boxes, targets: assigner(scores, boxes, points, strides, targets)
  step = jax.jit(run).lower(**mesh.shard_batch(batch, devices))
  if found := collectives(step.compile().as_text()):
    print(assigner.__name__, found)
"""


def python(code: str, *arguments: str, **environment: str) -> str:
  done = subprocess.run(
    [sys.executable, "-W", "error", "-c", code, *arguments],
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
    check=False,
    timeout=120,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_eight_devices_compute_what_one_computes():
  flags = "--xla_force_host_platform_device_count=8"
  assert python(EIGHT_DEVICES, XLA_FLAGS=flags, JAX_PLATFORMS="cpu") == "equal\n"


def test_no_operation_sends_images_between_devices():
  """Only statistics and gradients of weights are exchanged."""
  flags = "--xla_force_host_platform_device_count=2"
  assert python(OPERATIONS, XLA_FLAGS=flags, JAX_PLATFORMS="cpu") == ""


def test_no_assigner_needs_what_other_devices_hold():
  flags = "--xla_force_host_platform_device_count=2"
  assert python(ASSIGNERS, XLA_FLAGS=flags, JAX_PLATFORMS="cpu") == ""


def test_the_default_mesh_has_all_devices_on_the_batch_axis():
  mesh = lib.make()
  assert dict(mesh.shape) == {"data": jax.device_count()}


@pytest.mark.parametrize(
  ("axes", "message"),
  [
    ({"data": 3 * jax.device_count()}, "do not fit .* devices"),
    ({"data": -1, "seed": -1}, "at most one size may be -1"),
    ({"data": -1, "seed": 1000}, "do not fit"),
    ({"data": 0}, "data=0: a size is a positive integer"),
    ({"data": 1.5}, "data=1.5: a size"),
  ],
)
def test_meshes_that_do_not_fit(axes, message):
  with pytest.raises(lib.MeshError, match=message):
    lib.make(axes)


def test_replicate_keeps_values_types_and_keys_and_shares_no_memory():
  mesh = lib.make()
  tree = {
    "bf16": jnp.arange(4, dtype=jnp.bfloat16),
    "numpy": np.arange(3),
    "key": jax.random.key(3),
    "nested": (jnp.int32(2),),
  }
  copy = lib.replicate(tree, mesh)
  assert copy["bf16"].dtype == jnp.bfloat16
  assert jnp.array_equal(jax.random.key_data(copy["key"]), jax.random.key_data(tree["key"]))
  assert copy["nested"][0].sharding == lib.replicated(mesh)
  jax.jit(lambda x: x + 1, donate_argnums=0)(copy["bf16"])
  assert not tree["bf16"].is_deleted()
  np.testing.assert_array_equal(np.asarray(tree["bf16"], np.float32), [0, 1, 2, 3])


def test_a_scalar_is_no_batch():
  with pytest.raises(lib.MeshError, match=r"batch\['n'\] has the shape \(\)"):
    lib.shard_batch({"n": 3}, lib.make())


def test_no_two_loops_of_a_process_count_the_same_points_to_end_at(monkeypatch):
  """The service of several processes agrees on a number that has to be larger than any before."""
  points = []
  service = lambda point: points.append(point) or False
  monkeypatch.setattr(lib.multihost_utils, "reached_preemption_sync_point", service)
  assert lib.all_noticed(lambda: True)
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  for _ in range(2):  # loops
    for _ in range(3):
      assert not lib.all_noticed(lambda: True)
  assert points == list(range(points[0], points[0] + 6))


def of_processes(owners: list[list[int]]):
  """What `share` looks at in a mesh with the axes `seed` and `data`, from each device's process."""
  device = np.vectorize(lambda owner: types.SimpleNamespace(process_index=owner), otypes="O")
  shape = dict(zip(("seed", "data"), np.shape(owners)))
  return types.SimpleNamespace(axis_names=("seed", "data"), shape=shape, devices=device(owners))


@pytest.mark.parametrize(
  ("owners", "shares"),
  [
    ([[0, 0, 0, 0]], [(0, 1)]),
    ([[0, 0, 1, 1]], [(0, 2), (1, 2)]),
    ([[1, 1, 0, 0]], [(1, 2), (0, 2)]),
    ([[0, 0], [1, 1]], [(0, 1), (0, 1)]),  # Each process has a seed, and needs all of the batch.
    ([[0, 0, 1, 1], [2, 2, 3, 3]], [(0, 2), (1, 2), (0, 2), (1, 2)]),
    ([[0, 1, 0, 1]], [(0, 2), (1, 2)]),
  ],
)
def test_a_process_passes_the_part_of_a_batch_that_its_devices_take(owners, shares, monkeypatch):
  for process, expected in enumerate(shares):
    monkeypatch.setattr(jax, "process_index", lambda process=process: process)
    assert lib.share(of_processes(owners)) == expected


@pytest.mark.parametrize("owners", [[[0, 0, 1], [1, 2, 2]], [[0, 0, 0, 1]]])
def test_processes_whose_parts_of_a_batch_overlap(owners):
  with pytest.raises(lib.MeshError, match=r"axes \{'seed': .*\} give . processes parts .* overlap"):
    lib.share(of_processes(owners))
