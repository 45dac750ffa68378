# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pytrees as named host arrays and back, bit for bit: for checkpoints, weight files, fingerprints.

A leaf is named by its path, `weights/stem/conv/kernel`. Leaves are arrays of any dtype on any
sharding, typed PRNG keys, NumPy arrays and Python numbers.
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnas.errors import DnasError
from dnas.files import atomic_write, check_archive
from dnas.mesh import is_key

_HEADER = "dnas.json"
_MAX_BYTES = 1 << 35


class CheckpointError(DnasError):
  """A checkpoint or weight file cannot be written, cannot be read, or does not fit the run."""


def named_leaves(tree: Any) -> dict[str, Any]:
  """The leaves of a tree by path.

  Raises:
    CheckpointError: two paths read the same, as in {"a/b": 1, "a": {"b": 2}}.
  """
  leaves: dict[str, Any] = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if name in leaves:
      raise CheckpointError(f"two leaves have the same path {name!r}")
    leaves[name] = leaf
  return leaves


def to_host(name: str, leaf: Any) -> tuple[np.ndarray | jax.Array, dict[str, Any]]:
  """A leaf as an array that the run cannot change any more, and its description.

  The description is JSON: `shape`, `dtype`, `kind` ("array", "int", "float", "bool", or the
  implementation of a PRNG key) and `crc32` of its bytes. Only an array that is split over
  processes stays on its devices, and has no crc32.

  Raises:
    CheckpointError: the leaf is neither an array nor a number; `name` is in the message.
  """
  kind = _kind(name, leaf)
  dtype, shape = str(getattr(leaf, "dtype", kind)), list(np.shape(leaf))
  if is_key(leaf):
    leaf = jax.random.key_data(leaf)
  if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
    # A copy, because the run may donate its own before the writing is done.
    return leaf.copy(), {"shape": shape, "dtype": dtype, "kind": kind, "crc32": None}
  value = np.array(leaf, order="C")
  return value, {"shape": shape, "dtype": dtype, "kind": kind, "crc32": crc32(value)}


def from_host(value: np.ndarray, like: Any, kind: str) -> Any:
  """`value` as a leaf of the kind, and on the devices, of the leaf `like`."""
  if is_key(like):
    sharding = getattr(like, "sharding", None) if getattr(like, "committed", True) else None
    data = jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)
    return jax.random.wrap_key_data(from_host(value, data, "array"), impl=kind)
  if isinstance(like, (bool, int, float)):
    return type(like)(value.item())
  if isinstance(like, np.generic):
    return value[()]
  if isinstance(like, np.ndarray):
    return value
  if getattr(like, "sharding", None) is None or not getattr(like, "committed", True):
    return jnp.array(value)
  if jax.process_count() == 1:
    return jax.device_put(value, like.sharding, may_alias=False)
  return jax.make_array_from_callback(value.shape, like.sharding, lambda index: value[index])


def check_fits(described: Mapping[str, Mapping[str, Any]], template: Any, source: str) -> None:
  """That arrays so described are the leaves of `template`.

  Raises:
    CheckpointError: names up to five leaves that are missing, left over, or of another shape or
      dtype, after `source`.
  """
  wanted = named_leaves(template)
  faults = [f"{name!r} is not in it" for name in wanted if name not in described]
  faults += [f"{name!r} is not in the run" for name in described if name not in wanted]
  for name, leaf in wanted.items():
    if name in described:
      kind = _kind(name, leaf)
      here = (list(np.shape(leaf)), str(getattr(leaf, "dtype", kind)))
      there = (described[name]["shape"], described[name]["dtype"])
      if here != there:
        faults.append(f"{name!r} is {there[1]}{there[0]} in it, {here[1]}{here[0]} in the run")
  if faults:
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    raise CheckpointError(f"{source} does not fit the run: {'; '.join(faults[:5])}{more}")


def crc32(value: np.ndarray) -> int:
  """The checksum of an array's bytes."""
  data: Any = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
  return zlib.crc32(data)


def _stored_dtype(description: Mapping[str, Any]) -> np.dtype:
  """The NumPy dtype in which a leaf with this description lies on disk."""
  kinds = {"int": "int64", "float": "float64", "bool": "bool"}
  if _is_key_data(description):
    return np.dtype(np.uint32)
  return np.dtype(jnp.dtype(kinds.get(description["kind"], description["dtype"])))


def stored(description: Mapping[str, Any], leaf: Any) -> np.ndarray:
  """A NumPy array as a leaf like `leaf` lies on disk, without memory of its own."""
  data = jax.eval_shape(jax.random.key_data, leaf) if _is_key_data(description) else None
  shape = description["shape"] if data is None else data.shape
  return np.broadcast_to(np.zeros((), _stored_dtype(description)), shape)


def _is_key_data(description: Mapping[str, Any]) -> bool:
  return str(description["dtype"]).startswith("key<")


def fingerprint(tree: Any) -> str:
  """A hash of all paths, dtypes, shapes and bits: equal if and only if the trees are."""
  digest = hashlib.sha256()
  for name, leaf in sorted(named_leaves(tree).items()):
    value, description = to_host(name, leaf)
    digest.update(json.dumps([name, description["shape"], description["dtype"]]).encode())
    digest.update(np.asarray(value).tobytes())
  return digest.hexdigest()


def save_tree(path: str | os.PathLike, tree: Any) -> None:
  """Writes a tree to one file, atomically: a plain .npz that NumPy reads too.

  Each leaf is an entry under its path. Dtypes that NumPy lacks (bfloat16) are stored as unsigned
  integers of the same width; the entry `dnas.json` tells what they are. Equal trees give equal
  files.

  Raises:
    OSError: the file cannot be written.
  """
  header: dict[str, Any] = {}
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w") as archive:
    for name, leaf in named_leaves(tree).items():
      value, header[name] = to_host(name, leaf)
      if isinstance(value, jax.Array):
        raise CheckpointError(f"{path}: {name!r} is split over processes; gather it first")
      if value.dtype.isbuiltin != 1:
        value = value.view(f"u{value.dtype.itemsize}")
      with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, value, allow_pickle=False)
    archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(header))
  atomic_write(path, buffer.getbuffer())


def load_tree(path: str | os.PathLike, template: Any, max_bytes: int = _MAX_BYTES) -> Any:
  """Reads what `save_tree` wrote.

  Args:
    path: the file.
    template: a tree of arrays or `jax.ShapeDtypeStruct`, for its structure, kinds and shardings.
    max_bytes: files that unpack to more are refused (a stranger's file may be a zip bomb).

  Raises:
    CheckpointError: the file is missing, is broken (checksums), or does not fit the template.
  """
  path = pathlib.Path(path)
  try:
    header, values = _read_npz(path, max_bytes)
  except FileNotFoundError as error:
    raise CheckpointError(f"{path}: there is no such file") from error
  except CheckpointError:
    raise
  except _BROKEN as error:
    raise CheckpointError(f"{path} is no weight file, or broken: {error}") from error
  check_fits(header, template, str(path))
  leaves = [from_host(values[n], x, header[n]["kind"]) for n, x in named_leaves(template).items()]
  return jax.tree.unflatten(jax.tree.structure(template), leaves)


# What NumPy, zipfile and json raise for files that are not what they should be.
_BROKEN = (
  ValueError,
  KeyError,
  TypeError,
  AttributeError,
  OSError,
  EOFError,
  OverflowError,
  MemoryError,
  RuntimeError,
  zipfile.BadZipFile,
  zlib.error,
)


def _read_npz(path: pathlib.Path, max_bytes: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """The header and the arrays of a weight file, with their checksums compared."""
  check_archive(path, max_bytes, CheckpointError)
  with np.load(path, allow_pickle=False) as file:
    header = json.loads(file[_HEADER])
    values = {name: file[f"{name}.npy"].view(_stored_dtype(header[name])) for name in header}
  for name, value in values.items():
    shape = header[name]["shape"] + (list(value.shape[-1:]) if _is_key_data(header[name]) else [])
    if crc32(value) != header[name]["crc32"] or list(value.shape) != shape:
      raise CheckpointError(f"{path} is broken: the bits of {name!r} changed")
  return header, values


def _kind(name: str, leaf: Any) -> str:
  if is_key(leaf):
    # The name within `key<name>` is short ("fry"); this one is what wrap_key_data takes.
    return str(jax.random.key_impl(leaf)) if isinstance(leaf, jax.Array) else "key"
  for kind in (bool, int, float):
    if type(leaf) is kind:
      return kind.__name__
  if isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)):
    return "array"
  raise CheckpointError(
    f"leaf {name!r} is a {type(leaf).__name__}; only arrays and numbers are saved in a tree"
  )
