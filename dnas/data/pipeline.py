# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Batches: source -> shuffle -> repeat -> batch -> shard -> letterbox -> augment -> pad.

What an example looks like is a function of (seed, its place in the stream of examples) alone. So
the batches do not depend on the number of threads or processes, and the state of the iterator is
one number. Images are uint8, a quarter of the bytes of float32: the task scales them.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from dnas.data import augment as augmentations
from dnas.data import limits
from dnas.data.letterbox import INTERPOLATIONS, cover, letterbox, reduction_for, to_network
from dnas.data.sample import Sample
from dnas.data.source import ClassificationSource, DataError, DetectionSource, Source
from dnas.errors import choose_from, in_field
from dnas.naming import resolve

Batch = dict[str, np.ndarray]
PARTS = ("weights", "alpha")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
  """Batches as dicts of numpy arrays; iterating over it starts a new iterator from the beginning.

  Detection: `image` uint8 [B, h, w, 3], `boxes` float32 [B, M, 4] (x1, y1, x2, y2) in px of the
  network's input, `labels` int32 [B, M], `mask` bool [B, M] (False: empty; crowd regions are left
  out), `id` int64 [B]. For evaluation also `valid` bool [B], and `scale`, `offset` float32 [B, 2]
  and `original` int32 [B, 2] (height, width), with which `letterbox.to_image` takes predictions
  back to the image. Classification: `image`, `label` int32 [B], `id` (and `valid`).

  Attributes:
    source: where examples come from.
    batch_size: of the global batch, over all processes.
    size: (h, w) in px of the network's input.
    seed: of shuffling, augmentation and of the two halves; 0 to 2**32 - 1.
    train: True: shuffled, augmented, endless. False: each example once, in order; the last batch
      is filled up, and `valid` [B] tells which rows are examples.
    augment: augmentations by name, see `dnas.data.augment`; for training only.
    part: "weights" or "alpha": one of two disjoint parts of the examples; None: all.
    fraction: the share of the examples that belongs to "weights".
    process_index: which of the processes this one is.
    process_count: each process gets batch_size / process_count consecutive rows of each batch.
    threads: that make batches in advance, one each (0: none); None: one per CPU, at most 16.
    content: (h, w) that the image may fill within `size`; None: all of it. Of detection only:
      for classification an image covers its canvas.
    interpolation: see `letterbox`. "area" may decode JPEGs at a fraction of their size.
    indices: int64 [n], the examples of the source that belong to `part`, in ascending order.
    room: M, the boxes that a row has room for: as many as can be needed.

  Raises:
    DataError: an argument is wrong.
    dnas.config.ConfigError: an augmentation is unknown or gets a wrong argument.
  """

  source: Source
  batch_size: int
  size: tuple[int, int]
  seed: int = 0
  train: bool
  augment: Sequence[Any] = ()
  part: str | None = None
  fraction: float = 0.5
  process_index: int = 0
  process_count: int = 1
  threads: int | None = None
  content: tuple[int, int] | None = None
  interpolation: str = "area"

  # Derived once.
  indices: np.ndarray = dataclasses.field(init=False, repr=False)
  room: int = dataclasses.field(init=False, repr=False)
  _augment: tuple[Any, ...] = dataclasses.field(init=False, repr=False)

  def __post_init__(self):
    self._check()
    derive = lambda name, value: object.__setattr__(self, name, value)
    derive("size", (int(self.size[0]), int(self.size[1])))
    derive("indices", _indices(self))
    derive("_augment", tuple(_augmentation(n, self) for n in range(len(self.augment))))
    derive("room", _room(self))

  def _check(self) -> None:
    """Raises DataError for the first argument that is wrong."""
    valid = {
      "batch_size": (self.batch_size > 0, "at least 1"),
      "size": (len(self.size) == 2 and min(self.size) > 0, "(height, width) in px, at least 1"),
      "seed": (0 <= self.seed < 2**32, "0 to 2**32 - 1"),
      "fraction": (0 < self.fraction < 1, "between 0 and 1"),
      "process_count": (
        self.process_count > 0 and self.batch_size % self.process_count == 0,
        f"a divisor of batch_size = {self.batch_size}",
      ),
      "process_index": (
        0 <= self.process_index < self.process_count,
        f"0 to process_count - 1 = {self.process_count - 1}",
      ),
      "threads": (self.threads is None or self.threads >= 0, "None, 0 or more"),
      "content": (
        self.content is None or _fits(self.content, self.size),
        f"None or (height, width) within size = {tuple(self.size)}",
      ),
      "interpolation": (self.interpolation in INTERPOLATIONS, f"one of {INTERPOLATIONS}"),
      "augment": (self.train or not self.augment, "empty unless train is True"),
    }
    for name, (ok, what) in valid.items():
      if not ok:
        raise DataError(f"{name} = {getattr(self, name)!r}; valid: {what}")
    if self.content is not None and isinstance(self.source, ClassificationSource):
      raise DataError(
        f"content = {tuple(self.content)!r}, but {self.source.name} is for classification, whose "
        "images cover their canvas; valid: None"
      )
    if self.part is not None and self.part not in PARTS:
      raise DataError(choose_from("part", self.part, PARTS))

  def __len__(self) -> int:
    """Batches in one epoch: rounded down for training, up for evaluation."""
    full, rest = divmod(len(self.indices), self.batch_size)
    return full if self.train else full + bool(rest)

  def __iter__(self) -> grain.DatasetIterator[Batch]:
    """A grain iterator of batches; `get_state` and `set_state` save and restore its place."""
    threads = min(16, os.cpu_count() or 1) if self.threads is None else self.threads
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2, threads))
    if not threads:
      options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(self._dataset().to_iter_dataset(options, allow_nones=False))

  def _dataset(self) -> grain.MapDataset:
    positions = grain.MapDataset.range(len(self.indices))
    if self.train:
      shuffle_seed = int(self._seed_sequence().generate_state(1)[0])
      positions = positions.shuffle(seed=shuffle_seed).repeat()
      positions = positions.batch(self.batch_size, drop_remainder=True)
    else:
      positions = positions.batch(self.batch_size, drop_remainder=False)
    # Batches of bare numbers so far, the same in each process; only its own rows become examples.
    return positions.map_with_index(self._make_batch)

  def _seed_sequence(self, *more: int) -> np.random.SeedSequence:
    part = PARTS.index(self.part) + 1 if self.part else 0
    return np.random.SeedSequence((self.seed, part, *more))

  def _make_batch(self, step: int, positions: np.ndarray) -> Batch:
    """Rows of the global batch `step` that belong to this process."""
    per_process = self.batch_size // self.process_count
    first = self.process_index * per_process
    batch = self._empty_batch(per_process)
    for row, position in enumerate(positions[first : first + per_process]):
      rng = np.random.Generator(
        np.random.Philox(self._seed_sequence(step * self.batch_size + first + row))
      )
      self._fill(batch, row, int(self.indices[position]), rng)
    return batch

  def _empty_batch(self, rows: int) -> Batch:
    batch = {
      "image": np.zeros((rows, *self.size, 3), np.uint8),
      "id": np.full(rows, -1, np.int64),
    }
    if isinstance(self.source, ClassificationSource):
      batch["label"] = np.zeros(rows, np.int32)
    else:
      batch["boxes"] = np.zeros((rows, self.room, 4), np.float32)
      batch["labels"] = np.zeros((rows, self.room), np.int32)
      batch["mask"] = np.zeros((rows, self.room), bool)
    if not self.train:
      batch["valid"] = np.zeros(rows, bool)
      if "boxes" in batch:
        batch["scale"] = np.ones((rows, 2), np.float32)
        batch["offset"] = np.zeros((rows, 2), np.float32)
        batch["original"] = np.ones((rows, 2), np.int32)
    return batch

  def _fill(self, batch: Batch, row: int, i: int, rng: np.random.Generator) -> None:
    """Writes example i into a row."""
    sample = self._read(i)
    draw = lambda: self._read(int(rng.choice(self.indices)))
    for change in self._augment:
      mixing = hasattr(change.func, "images")
      sample = change(rng, sample, draw) if mixing else change(rng, sample)
    batch["image"][row] = sample["image"]
    batch["id"][row] = self.source.ids[i]
    if "label" in batch:
      batch["label"][row] = sample["label"]
    else:
      n = len(sample["labels"])
      batch["boxes"][row, :n] = sample["boxes"]
      batch["labels"][row, :n] = sample["labels"]
      batch["mask"][row, :n] = True
    for key in ("scale", "offset", "original"):
      if key in batch:
        batch[key][row] = sample[key]
    if "valid" in batch:
      batch["valid"][row] = True

  def _read(self, i: int) -> Sample:
    """Example i on the canvas of the network."""
    source = self.source
    if isinstance(source, ClassificationSource):
      return {"image": cover(source.images.read(i), self.size), "label": source.label(i)}
    if not isinstance(source, DetectionSource):
      raise TypeError(f"{source!r} is neither a DetectionSource nor a ClassificationSource")
    original = (int(source.sizes[i, 0]), int(source.sizes[i, 1]))
    content = self.content or self.size
    wanted = reduction_for(original, content, self.interpolation)
    image, reduction = source.images.reduced(i, wanted)
    image, scale, offset = letterbox(
      image,
      self.size,
      content=content,
      interpolation=self.interpolation,
      reduction=reduction,
      original=original,
    )
    sample = source.targets(i)
    sample["boxes"] = to_network(sample["boxes"], scale, offset)
    placed = {"image": image, "scale": scale, "offset": offset, "original": original}
    return {**sample, **placed}


def _fits(content: Any, size: tuple[int, int]) -> bool:
  """Whether it is (height, width) within `size`."""
  if not isinstance(content, tuple | list) or len(content) != 2:
    return False
  return all(type(a) is int and 0 < a <= b for a, b in zip(content, size, strict=True))


def _indices(pipeline: Pipeline) -> np.ndarray:
  """The examples of the source that belong to the part, int64 [n], in ascending order."""
  total = len(pipeline.source)
  if pipeline.part is None:
    return np.arange(total)
  order = np.random.Generator(np.random.PCG64((pipeline.seed, 0x5EED))).permutation(total)
  cut = round(total * pipeline.fraction)
  indices = np.sort(order[:cut] if pipeline.part == "weights" else order[cut:])
  if not len(indices):
    raise DataError(
      f"part {pipeline.part!r} of the {total} examples of {pipeline.source.name} is empty with "
      f"fraction = {pipeline.fraction}"
    )
  return indices


def _augmentation(n: int, pipeline: Pipeline) -> Any:
  """The n-th augmentation, as a partial."""
  spec = pipeline.augment[n]
  with in_field(f"config.data.augment[{n}]"):
    mixing = hasattr(resolve(spec, augmentations).func, "images")
    if mixing and not isinstance(pipeline.source, DetectionSource):
      raise DataError(f"augmentation {spec!r} mixes boxes, but {pipeline.source.name} has none")
    change = resolve(spec, augmentations, given=3 if mixing else 2)
    limits.check(change, pipeline.size)
    return change


def _room(pipeline: Pipeline) -> int:
  """M: how many boxes a row has room for, at least 1; 0 for classification."""
  if not isinstance(pipeline.source, DetectionSource):
    return 0
  # Further images come as they are: mixup's second one is no mosaic.
  images = 1 + sum(getattr(change.func, "images", 1) - 1 for change in pipeline._augment)
  return max(1, pipeline.source.max_boxes * images)
