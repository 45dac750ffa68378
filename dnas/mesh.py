# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Devices: one mesh for one device, eight, or many hosts.

A mesh has the axis `data`, over which batches are split, and may have others (`seed`, independent
runs side by side). Parameters are replicated. Under `jax.jit` a program sees whole arrays, so that
a mean over the batch is the mean over the global batch, whatever the mesh.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dnas.errors import DnasError

_SYNC_POINTS = itertools.count(1)


class MeshError(DnasError):
  """The devices cannot be arranged as asked, or a batch cannot be split over them."""


def make(axes: Mapping[str, int] | None = None, devices: Sequence[Any] | None = None) -> Mesh:
  """A mesh of all devices, of all processes.

  Args:
    axes: sizes by name, `{"seed": 2, "data": 4}`; one may be -1: as many as are left. None:
      `{"data": number of devices}`. An axis `data` of size 1 is added where none is given.
    devices: default: `jax.devices()`.

  Raises:
    MeshError: the sizes do not multiply to the number of devices.
  """
  devices = list(jax.devices() if devices is None else devices)
  sizes = dict({"data": -1} if axes is None else axes)
  sizes.setdefault("data", 1)
  if bad := [f"{k}={v!r}" for k, v in sizes.items() if type(v) is not int or (v < 1 and v != -1)]:
    raise MeshError(f"mesh axes {', '.join(bad)}: a size is a positive integer, or -1 for the rest")
  known = int(np.prod([size for size in sizes.values() if size > 0]))
  open_axes = [name for name, size in sizes.items() if size == -1]
  if len(open_axes) == 1 and len(devices) % known == 0:
    sizes[open_axes[0]] = len(devices) // known
  elif open_axes or known != len(devices):
    raise MeshError(
      f"mesh axes {sizes} do not fit {len(devices)} devices ({devices[0].platform}): the product "
      "of the sizes has to be that number, and at most one size may be -1"
    )
  return jax.make_mesh(
    tuple(sizes.values()), tuple(sizes), (AxisType.Auto,) * len(sizes), devices=devices
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of parameters: each device holds all of an array."""
  return NamedSharding(mesh, PartitionSpec())


def _over_batch(mesh: Mesh) -> NamedSharding:
  """The sharding of a batch [B, ...]: each device holds B / mesh.shape["data"] examples."""
  return NamedSharding(mesh, PartitionSpec("data"))


def over_seeds(mesh: Mesh) -> NamedSharding:
  """The sharding of what is stacked over seeds, [S, ...]: S / mesh.shape["seed"] on each device."""
  return NamedSharding(mesh, PartitionSpec("seed"))


def replicate(tree: Any, mesh: Mesh, sharding: NamedSharding | None = None) -> Any:
  """A copy of `tree` (arrays, typed keys) on each device of the mesh, or split as in `sharding`.

  It shares no memory with `tree`, so that it may be donated. With several processes each passes
  the same values; no data is exchanged, and equality is not checked here (`Checkpointer.save`
  does).
  """
  sharding = sharding or replicated(mesh)
  if jax.process_count() == 1:
    return jax.tree.map(lambda x: jax.device_put(x, sharding, may_alias=False), tree)

  def put(leaf: Any) -> jax.Array:
    if is_key(leaf):
      return jax.random.wrap_key_data(
        put(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf)
      )
    value = np.array(leaf)
    return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

  return jax.tree.map(put, tree)


def local(tree: Any) -> Any:
  """A replicated tree as arrays of this process alone, as `replicate` takes them."""
  if jax.process_count() == 1:
    return tree

  def take(leaf: Any) -> jax.Array:
    if is_key(leaf):
      return jax.random.wrap_key_data(
        take(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf)
      )
    return jnp.asarray(np.asarray(leaf))

  return jax.tree.map(take, tree)


def shard_batch(batch: Any, mesh: Mesh) -> Any:
  """A batch split over the axis `data`: leaves [B, ...] on the host -> global arrays.

  Args:
    batch: a tree of arrays whose first axis is the batch. With several processes each passes the
      part of the examples that `share` says.
    mesh: from `make`.

  Raises:
    MeshError: the examples of a leaf do not divide over its devices; names the leaf.
  """
  sharding = _over_batch(mesh)
  here = _places(mesh)[jax.process_index()]
  local = len(here) < mesh.shape["data"] or jax.process_count() > 1

  def put(path: Any, leaf: Any) -> jax.Array:
    if np.ndim(leaf) == 0 or np.shape(leaf)[0] % len(here):
      raise MeshError(
        f"batch{jax.tree_util.keystr(path)} has the shape {np.shape(leaf)}: its first axis has to "
        f"divide by the {len(here)} devices of the mesh axis 'data'"
        + (" that belong to this process" if local else "")
      )
    if not local:
      return jax.device_put(leaf, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

  return jax.tree_util.tree_map_with_path(put, batch)


def share(mesh: Mesh) -> tuple[int, int]:
  """(i, n): of n equal parts of a batch, in order, this process passes the i-th to `shard_batch`.

  Processes at the same places along `data` (with other seeds) pass the same part.

  Raises:
    MeshError: the places of two processes overlap without being the same, or are not as many.
  """
  places = _places(mesh)
  parts = sorted(set(places.values()))
  if sum(map(len, parts)) != mesh.shape["data"] or len(set(map(len, parts))) > 1:
    raise MeshError(
      f"mesh axes {dict(mesh.shape)} give {len(places)} processes parts of a batch that overlap or "
      f"are not equal: places along 'data' by process {places}; valid are sizes by which each "
      "process fills all places, or as many as any other and none of theirs"
    )
  return parts.index(places[jax.process_index()]), len(parts)


def _places(mesh: Mesh) -> dict[int, tuple[int, ...]]:
  """Process -> the places along `data` that its devices fill, in ascending order."""
  axis = mesh.axis_names.index("data")
  found: dict[int, set[int]] = {}
  for index, device in np.ndenumerate(mesh.devices):
    found.setdefault(device.process_index, set()).add(index[axis])
  return {process: tuple(sorted(places)) for process, places in found.items()}


def all_noticed(noticed: Callable[[], bool]) -> bool:
  """Whether to save and end now because of SIGTERM; the same answer in all processes.

  With several processes JAX's own service hears the signal, and has them agree on a call that none
  has made yet; `noticed` is for one.
  """
  if jax.process_count() == 1:
    return noticed()
  # Counted over all loops of the process: the service waits for a number beyond all it has seen.
  return multihost_utils.reached_preemption_sync_point(next(_SYNC_POINTS))


def of_first(value: float) -> float:
  """The first process's number in all processes of the run: a measurement is not repeatable."""
  if jax.process_count() == 1:
    return value
  return float(multihost_utils.broadcast_one_to_all(np.float64(value)))


def of_any(value: bool) -> bool:
  """Whether it is true in any process of the run; the same answer in all."""
  if jax.process_count() == 1:
    return value
  return bool(np.any(multihost_utils.process_allgather(np.asarray(value))))


def meet(place: str) -> None:
  """Waits for all processes of the run; each passes the same words."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(place)


def is_key(leaf: Any) -> bool:
  """Whether `leaf` is an array of typed PRNG keys."""
  return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
