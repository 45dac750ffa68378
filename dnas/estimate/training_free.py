# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Zero-cost proxies as an evaluator: one compiled supernet scores every genotype of a space."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnas import naming
from dnas.errors import DnasError
from dnas.estimate import subject, zero_cost
from dnas.estimate.subject import Batch, Subject
from dnas.space.space import SearchSpace
from dnas.strategy.alpha import one_hot


class TrainingFree:
  """An `Evaluator`: (genotype, key) -> scores by name; "score" is that of the first proxy.

  The key draws the weights of the supernet, which all genotypes share, and what a proxy draws
  itself. Each proxy is compiled once, for the first genotype (`compile_s`).

  Args:
    space: the search space, in the network that the scores are computed with.
    batch: `image` uint8 `[B, H, W, 3]` and `label` int `[B]`, at least 2 images.
    classes: number of classes.
    proxies: names in `zero_cost`, or dicts with arguments (`dict(name="zen", mixup=0.1)`).

  Raises:
    DnasError: the space holds no choice, the batch cannot be used, or no proxy is named.
    ConfigError: a proxy or an argument is unknown.
  """

  def __init__(self, space: SearchSpace, batch: Batch, classes: int, proxies: Sequence[Any]):
    if not space.searched:
      raise DnasError("space: holds no choice; give the search space that the genotypes are of")
    if not proxies:
      raise DnasError(f"proxies: none is named; valid: {', '.join(naming.functions(zero_cost))}")
    self.space, self.classes = space, classes
    self.batch = jax.tree.map(jnp.asarray, subject.check(batch, at_least=2))
    if (most := int(self.batch["label"].max())) >= classes or int(self.batch["label"].min()) < 0:
      raise DnasError(f"batch.label: must be 0 to classes - 1 = {classes - 1}, got {most}")
    self.proxies = {}
    for spec in proxies:
      if (name := naming.name_of(spec)) in self.proxies:
        raise DnasError(f"proxies: {name} is named twice; its scores are told apart by its name")
      self.proxies[name] = naming.resolve(spec, zero_cost, given=3)
    self.compile_s: dict[str, float] = {}
    self._programs: dict[tuple[str, int], Any] = {}
    self._supernet: tuple[Any, Subject] | None = None

  def __call__(self, genotype: SearchSpace, key: jax.Array) -> Mapping[str, float]:
    """The scores of one genotype, and `NAME_s`, the seconds that each took."""
    return self.many([genotype], key)[0]

  def many(self, genotypes: Sequence[SearchSpace], key: jax.Array) -> list[dict[str, float]]:
    """The scores of several genotypes, computed side by side (`vmap`); see `__call__`.

    Worth its memory on an accelerator. Each number of genotypes is compiled anew.

    Raises:
      DnasError: a genotype is not of the space, or a score is NaN.
    """
    weights = [one_hot(self.space, genotype) for genotype in genotypes]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *weights)
    supernet = self._with(key)
    scores: list[dict[str, float]] = [{} for _ in genotypes]
    for name in self.proxies:
      values, seconds = self._run(name, supernet, stacked, key, len(genotypes))
      for row, value, genotype in zip(scores, values, genotypes, strict=True):
        if np.isnan(value):
          raise DnasError(f"{name} is NaN for {genotype.cells}: the weights are, or overflow")
        row |= {"score": row.get("score", float(value)), name: float(value)}
        row[f"{name}_s"] = seconds / len(genotypes)
    return scores

  def _with(self, key: jax.Array) -> Subject:
    """The supernet with the weights that the key draws; the last one is kept."""
    data = np.asarray(jax.random.key_data(key)).tobytes()
    if self._supernet is None or self._supernet[0] != data:
      self._supernet = data, subject.subject(self.space, self.classes, key)
    return self._supernet[1]

  def _run(self, name: str, supernet: Subject, stacked: Any, key: jax.Array, count: int):
    """(scores [A], seconds without compiling)."""
    double = name in zero_cost.DOUBLE
    with jax.enable_x64(True) if double else contextlib.nullcontext():
      if double:
        supernet = supernet.double()
        stacked = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), stacked)
      arguments = (supernet, stacked, self.batch, key)
      if (name, count) not in self._programs:
        start = time.perf_counter()
        proxy = self.proxies[name]
        one = lambda net, weights, batch, key: proxy(net.on(weights), batch, key)
        several = jax.vmap(one, in_axes=(None, 0, None, None))
        if count == 1:  # A batch axis of one may change how convolutions are computed.
          first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
          several = lambda net, weights, batch, key: one(net, first(weights), batch, key)[None]
        self._programs[name, count] = jax.jit(several).lower(*arguments).compile()
        self.compile_s[name] = self.compile_s.get(name, 0.0) + time.perf_counter() - start
      start = time.perf_counter()
      values = np.asarray(self._programs[name, count](*arguments))
      return values, time.perf_counter() - start
