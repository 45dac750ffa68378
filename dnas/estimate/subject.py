# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a zero-cost proxy looks at: a classifier that has not been trained, as a tree of arrays.

The same functions serve a genotype's own network (`weights` empty) and a path through a supernet.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from dnas.errors import DnasError
from dnas.nn import functional, layers, mixed
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.network import Network, Weights, image_to_float
from dnas.nn.norm import BatchNorm
from dnas.space.space import SearchSpace

Batch = Mapping[str, Any]  # `image` uint8 [B, H, W, 3], `label` int [B]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Subject:
  """A network with its weights, as a pytree: `jit`, `grad` and `vmap` take it as it is.

  Attributes:
    static: the network without its arrays.
    params, stats: weights and batch statistics.
    weights: mixing weights of the searched cells, one-hot; `{}` for a genotype's own network.
  """

  static: functional.Static = dataclasses.field(metadata=dict(static=True))
  params: Any
  stats: Any
  weights: Weights

  def network(self, params: Any = None) -> Network:
    """The module, by default with the subject's own weights."""
    return self.static.merge(self.params if params is None else params, self.stats)

  def logits(self, image: jax.Array, params: Any = None) -> jax.Array:
    """`[B, classes]` of float images `[B, H, W, 3]`, with the batch's own statistics."""
    return self.network(params)(image, self.weights, Mode(train=True))[0]

  def loss(self, batch: Batch, params: Any = None) -> jax.Array:
    """Mean cross-entropy of a batch, scalar, as a function of the weights."""
    logits = self.logits(image_to_float(batch["image"]), params)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

  def on(self, weights: Weights) -> "Subject":
    """The same supernet on another path."""
    return dataclasses.replace(self, weights=weights)

  def double(self) -> "Subject":
    """The subject in float64; to be called where JAX allows it (`jax.enable_x64`)."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), self)


def subject(space: SearchSpace, classes: int, seed: int | jax.Array) -> Subject:
  """A classifier for `space` with fresh weights, in the form that searching gives it (`search`).

  For a space with choices it is the supernet, on no path yet: see `Subject.on`.
  """
  network = Network(space, classes, search=True, rngs=Rngs(seed))
  static, params, stats = functional.split(network)
  params, stats = jax.tree.map(jnp.asarray, (params, stats))
  return Subject(static, params, stats, {})


def check(batch: Batch, at_least: int = 1) -> Batch:
  """The batch, if a classifier can be run on it.

  Raises:
    DnasError: a field is missing, is not of the right kind or shape, or holds too few images.
  """
  for name in ("image", "label"):
    if name not in batch:
      raise DnasError(f"batch: has no {name!r}, but {sorted(batch)}")
  image, label = batch["image"], batch["label"]
  if image.ndim != 4 or image.shape[-1] != 3 or image.dtype != jnp.uint8:
    raise DnasError(
      f"batch.image: must be uint8 [B, H, W, 3], got {image.dtype} {list(image.shape)}"
    )
  if label.shape != image.shape[:1] or not jnp.issubdtype(label.dtype, jnp.integer):
    raise DnasError(
      f"batch.label: must be integers [{len(image)}], got {label.dtype} {list(label.shape)}"
    )
  if len(image) < at_least:
    raise DnasError(f"batch.image: needs {at_least} images or more, got {len(image)}")
  return {"image": image, "label": label}


def kernels(tree: Any) -> list[jax.Array]:
  """The kernels of convolutions and linear layers in a tree of weights or gradients, in order."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return [leaf for place, leaf in leaves if _keys(place)[-1] == "kernel"]


def map_kernels(function: Callable[[jax.Array], jax.Array], tree: Any) -> Any:
  """The tree with `function` applied to its kernels and all else as it is."""
  change = lambda place, leaf: function(leaf) if _keys(place)[-1] == "kernel" else leaf
  return jax.tree_util.tree_map_with_path(change, tree)


def activations(subject: Subject, image: jax.Array) -> list[tuple[jax.Array, jax.Array | float]]:
  """What each ReLU of the network puts out, `[B, ...]`, and the mixing weight of its operation.

  Those ReLUs that are modules are seen (`layers.Function(jax.nn.relu)`, which a `Sequence` makes of
  the bare function), as by a hook in PyTorch; not one that an operation calls within.
  """
  network = subject.network()
  names = network.backbone.names
  seen: list[tuple[jax.Array, jax.Array | float]] = []

  def recorder(weight: jax.Array | float):
    def relu(x: jax.Array) -> jax.Array:
      seen.append((jax.nn.relu(x), weight))
      return seen[-1][0]

    return relu

  for place, node in list(nnx.iter_graph(network)):
    if isinstance(node, mixed.Cell):
      node.fused = False  # Fused cells share one ReLU between operations.
    if isinstance(node, layers.Function) and node.function is jax.nn.relu:
      node.function = recorder(weight_at(place, names, subject.weights))
  network(image, subject.weights, Mode(train=True))
  return seen


def features(
  subject: Subject, params: Any, image: jax.Array
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array | float]]]:
  """The backbone's last output, and the variances in its batch norms.

  Returns:
    `[B, H', W', C]`; for each batch norm the (unbiased) variance of the batch, `[C]`, and the
    mixing weight of its operation.
  """
  network = subject.static.merge(params, jax.tree.map(jnp.zeros_like, subject.stats))
  momentum = {
    place: node.momentum for place, node in nnx.iter_graph(network) if isinstance(node, BatchNorm)
  }
  output = network.backbone(image, subject.weights, Mode(train=True))[-1]
  tracked = jax.tree_util.tree_leaves_with_path(functional.stats_of(network))
  variances = []
  for keys, value in ((_keys(place), value) for place, value in tracked):
    if keys[0] == "backbone" and keys[-1] == "var":
      # From statistics that were zero a norm has moved to (1 - momentum) times the batch's.
      weight = weight_at(keys, network.backbone.names, subject.weights)
      variances.append((value / (1 - momentum[keys[:-1]]), weight))
  return output, variances


def weight_at(path: Sequence[Any], names: Sequence[str], weights: Weights):
  """The mixing weight of the operation that a part of a `Network` belongs to; 1 outside of cells.

  What lies off a path through a supernet has weight 0: it changes neither features nor gradients,
  and whoever counts what a network holds (activations, norms) multiplies by this.

  Args:
    path: of a module or an array in a `Network`, `("backbone", "cells", 3, "edges", 0, "ops", 1)`
      and whatever follows.
    names: the kind of each cell, `network.backbone.names`.
    weights: mixing weights of the searched cells.
  """
  if tuple(path[:2]) != ("backbone", "cells") or len(path) < 7 or path[3] != "edges":
    return 1.0
  name: Any = names[path[2]]
  return weights[name][path[4]][path[6]] if name in weights else 1.0


def without_norms(subject: Subject) -> Subject:
  """The subject with statistics with which its norms hand on what they get, when not training."""
  epsilon = {
    place: node.epsilon
    for place, node in nnx.iter_graph(subject.network())
    if isinstance(node, BatchNorm)
  }

  def still(place: Any, leaf: jax.Array) -> jax.Array:
    keys = _keys(place)
    return jnp.full_like(leaf, 1 - epsilon[keys[:-1]] if keys[-1] == "var" else 0)

  return dataclasses.replace(subject, stats=jax.tree_util.tree_map_with_path(still, subject.stats))


def _keys(place: Any) -> tuple:
  return tuple(getattr(key, "key", getattr(key, "name", None)) for key in place)
