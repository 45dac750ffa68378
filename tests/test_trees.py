# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Weight files give back every bit, and nothing but a clean error for a file that is none."""

import io
import json
import random
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from dnas import mesh as mesh_lib
from dnas import trees


def weights():
  rng = np.random.default_rng(0)
  kernel = rng.normal(size=(2, 3)).astype(np.float32)
  kernel[0, 0], kernel[1, 1] = np.nan, -0.0
  return {
    "file": {"kernel": jnp.asarray(kernel), "half": jnp.asarray(kernel, jnp.bfloat16)},
    "alpha": (jnp.ones(3), jnp.zeros((0, 2))),
    "tiny": jnp.asarray(kernel, jnp.float8_e4m3fn),
    "int4": np.array([1, -2], ml_dtypes.int4),
    "layers": {0: jnp.int32(1), 10: np.float16(2)},
    "key": jax.random.key(3),
    "rbg": jax.random.split(jax.random.key(3, impl="rbg")),
    "count": 3,
    "temperature": 0.1,
    "done": True,
  }


def test_a_weight_file_gives_back_every_bit(tmp_path):
  tree = weights()
  trees.save_tree(tmp_path / "w.npz", tree)
  again = trees.load_tree(tmp_path / "w.npz", tree)
  assert jax.tree.structure(again) == jax.tree.structure(tree)
  assert trees.fingerprint(again) == trees.fingerprint(tree)
  for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(again), strict=True):
    assert type(new) is type(old)
  abstract = jax.eval_shape(lambda: {"w": tree["file"]["half"], "key": tree["key"]})
  trees.save_tree(tmp_path / "small.npz", {"w": tree["file"]["half"], "key": tree["key"]})
  small = trees.load_tree(tmp_path / "small.npz", abstract)
  assert small["w"].dtype == jnp.bfloat16
  assert bool(jax.random.bits(small["key"]) == jax.random.bits(tree["key"]))


def test_numpy_reads_it_and_equal_trees_give_equal_files(tmp_path):
  trees.save_tree(tmp_path / "a.npz", weights())
  trees.save_tree(tmp_path / "b.npz", weights())
  assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
  with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
    assert file["alpha/0"].tolist() == [1, 1, 1]


def test_leaves_go_to_the_sharding_of_the_template(tmp_path):
  trees.save_tree(tmp_path / "w.npz", {"w": jnp.ones(4), "key": jax.random.key(0)})
  sharding = mesh_lib.replicated(mesh_lib.make())
  template = {
    "w": jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharding),
    "key": jax.device_put(jax.random.key(9), sharding),
  }
  again = trees.load_tree(tmp_path / "w.npz", template)
  assert again["w"].sharding == sharding
  assert again["key"].committed
  assert not trees.load_tree(tmp_path / "w.npz", {"w": jnp.ones(4), "key": jax.random.key(1)})[
    "key"
  ].committed


def test_a_file_of_another_network_names_the_leaves(tmp_path):
  trees.save_tree(tmp_path / "w.npz", {f"layer{i}": jnp.ones(i + 1) for i in range(9)})
  message = (
    r"w\.npz does not fit the run: 'layer0' is float32\[1\] in it, float32\[2\] .*and 4 more"
  )
  with pytest.raises(trees.CheckpointError, match=message):
    trees.load_tree(tmp_path / "w.npz", {f"layer{i}": jnp.ones(i + 2) for i in range(9)})


def test_fingerprint_sees_names_dtypes_and_bits():
  prints = [
    trees.fingerprint(tree)
    for tree in (
      {"a": jnp.zeros(2)},
      {"b": jnp.zeros(2)},
      {"a": -jnp.zeros(2)},
      {"a": jnp.zeros(2, jnp.int32)},
      {"a": jnp.zeros((2, 1))},
      {"a": jax.random.key_data(jax.random.key(0))},
      {"a": jax.random.key(0)},
    )
  ]
  assert len(set(prints)) == len(prints)
  assert trees.fingerprint({"a": np.zeros(2, np.float32)}) == prints[0]


def test_any_damage_is_a_clean_error(tmp_path):
  path = tmp_path / "w.npz"
  tree = weights()
  trees.save_tree(path, tree)
  sound, rng = path.read_bytes(), random.Random(0)
  messages = []
  for number in range(400):
    data = bytearray(sound)
    if number % 4 == 0:
      data = data[: rng.randrange(len(data))]
    else:
      for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    try:
      # The names of unused header fields may change without harm, but never a value.
      assert trees.fingerprint(trees.load_tree(path, tree)) == trees.fingerprint(tree)
    except trees.CheckpointError as error:
      messages.append(str(error))
  assert len(messages) > 300
  assert all("w.npz" in message for message in messages)


@pytest.mark.parametrize(
  "header",
  ["[]", "3", "null", "{", '{"a": 3}', '{"a": {}}', '{"a": {"shape": [1], "dtype": "object"}}'],
)
def test_hostile_headers(tmp_path, header):
  with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
    archive.writestr("dnas.json", header)
  with pytest.raises(trees.CheckpointError, match=r"w\.npz"):
    trees.load_tree(tmp_path / "w.npz", {"a": jnp.ones(1)})


def test_a_header_that_lies_about_a_shape(tmp_path):
  trees.save_tree(tmp_path / "w.npz", {"a": jnp.ones(4)})
  with zipfile.ZipFile(tmp_path / "w.npz") as archive:
    header = json.loads(archive.read("dnas.json"))
    entry = archive.read("a.npy")
  header["a"]["shape"] = [5]
  with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
    archive.writestr("dnas.json", json.dumps(header))
    archive.writestr("a.npy", entry)
  with pytest.raises(trees.CheckpointError, match=r"w\.npz is broken: the bits of 'a'"):
    trees.load_tree(tmp_path / "w.npz", {"a": jnp.ones(5)})


def test_no_pickle_is_loaded(tmp_path):
  entry = io.BytesIO()
  np.save(entry, np.array([print], object), allow_pickle=True)
  header = {"a": {"shape": [1], "dtype": "float32", "kind": "array", "crc32": 0}}
  with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
    archive.writestr("dnas.json", json.dumps(header))
    archive.writestr("a.npy", entry.getvalue())
  with pytest.raises(trees.CheckpointError, match="allow_pickle"):
    trees.load_tree(tmp_path / "w.npz", {"a": jnp.ones(1)})


def test_zip_bombs_are_refused(tmp_path):
  with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.npy", bytes(10_000_000))
  with pytest.raises(trees.CheckpointError, match="unpacks to 10000000 bytes; at most 1000000"):
    trees.load_tree(tmp_path / "w.npz", {}, max_bytes=1_000_000)


def test_files_that_are_missing_or_something_else(tmp_path):
  with pytest.raises(trees.CheckpointError, match="there is no such file"):
    trees.load_tree(tmp_path / "missing.npz", {})
  with pytest.raises(trees.CheckpointError, match="no weight file"):
    trees.load_tree(tmp_path, {})
  (tmp_path / "x.npz").write_text("hello")
  with pytest.raises(trees.CheckpointError, match="no weight file"):
    trees.load_tree(tmp_path / "x.npz", {})
