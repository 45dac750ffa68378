# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Detectors on pictures: decoded and letterboxed in threads, in batches of one shape, timed.

A program is compiled once for each shape of a batch. With `rect` an image is padded only to the
next multiple of `BUCKET_PX` instead of to a whole square, so there are few shapes.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from dnas.data import media
from dnas.data.images import ImageError
from dnas.data.letterbox import FILL, content_size, letterbox, to_image
from dnas.detection import nms
from dnas.detection.results import Result
from dnas.detection.thresholds import PREDICTION, Thresholds
from dnas.errors import DnasError
from dnas.loaded import Loaded, Size
from dnas.nn import functional

BUCKET_PX = 64
Key = TypeVar("Key")


class Programs:
  """A detector's programs, fused and compiled, one for each shape.

  Attributes:
    loaded: the detector.
    compile_s: what each program took to compile: (what, shape) -> seconds.
  """

  def __init__(self, loaded: Loaded):
    self.loaded = loaded
    static, params, stats = functional.split(loaded.module(fused=True))
    self._static = static
    self._weights = jax.device_put((params, stats))
    self._programs: dict[tuple, Any] = {}
    self.compile_s: dict[tuple, float] = {}

  def boxes(self, images: Any) -> tuple[jax.Array, jax.Array]:
    """Every box before suppression: see `Loaded.boxes`."""

    def run(params, stats, images):
      return self.loaded.boxes(self._static.merge(params, stats), images)

    return self._run(("boxes",), run, *self._weights, images)

  def suppress(
    self, boxes: Any, scores: Any, thresholds: Thresholds, wanted: np.ndarray | None = None
  ) -> nms.Detections:
    """What is found, see `nms.nms`; one program for all least scores and overlaps.

    Args:
      boxes, scores: of `boxes`.
      thresholds: what counts.
      wanted: bool `[C]`, the classes that are looked for; None: all.
    """
    wanted = np.ones(scores.shape[-1], bool) if wanted is None else wanted

    def run(score, iou, wanted, boxes, scores):
      given = thresholds._replace(score=score, iou=iou)
      return nms.nms(boxes, jnp.where(wanted, scores, 0), given)

    sizes = ("nms", thresholds.top_k, thresholds.max_detections)
    limits = np.float32(thresholds.score), np.float32(thresholds.iou)
    return self._run(sizes, run, *limits, wanted, boxes, scores)

  def _run(self, what: tuple, function: Callable, *args: Any) -> Any:
    key = (*what, *args[-1].shape, str(args[-1].dtype))
    if key not in self._programs:
      start = time.perf_counter()
      self._programs[key] = jax.jit(function).lower(*args).compile()
      self.compile_s[key] = time.perf_counter() - start
    return self._programs[key](*args)


@dataclasses.dataclass(frozen=True)
class Job(Generic[Key]):
  """A picture to predict on.

  Attributes:
    key: what it is to the caller.
    read: (height, width that it will be shown at) -> (pixels, reduction, size of the original).
  """

  key: Key
  read: Callable[[tuple[int, int]], tuple[np.ndarray, int, tuple[int, int]]]


@dataclasses.dataclass(frozen=True)
class Found(Generic[Key]):
  """What was found on a picture, or why not.

  Attributes:
    key: of the job.
    size: height and width of the picture, px.
    boxes: float64 `[N, 4]` xyxy, px of the picture; best first.
    scores: float32 `[N]`.
    labels: int32 `[N]`.
    speed: ms for `preprocess` (decoding and letterbox), and its share of its batch for `inference`
      and `postprocess` (suppression). Compiling is not in it.
    fault: why it could not be read; None if it could.
  """

  key: Key
  size: tuple[int, int]
  boxes: np.ndarray
  scores: np.ndarray
  labels: np.ndarray
  speed: Mapping[str, float]
  fault: str | None = None


class _Ready(NamedTuple):
  job: Job
  image: np.ndarray
  scale: np.ndarray
  offset: np.ndarray
  original: tuple[int, int]
  ms: float


def canvas_of(loaded: Loaded, original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
  """The smallest canvas in steps of BUCKET_PX, at most `size`, that holds a letterboxed image."""
  h, w = content_size(original, loaded.content(size))
  step = max(BUCKET_PX, loaded.multiple)
  up = lambda side, margin, most: min(most, -(-(side + margin) // step) * step)
  return up(h, loaded.margin[0], size[0]), up(w, loaded.margin[1], size[1])


def stream(
  programs: Programs,
  jobs: Iterable[Job[Key]],
  *,
  size: Size = None,
  batch: int = 1,
  thresholds: Thresholds = PREDICTION,
  rect: bool = False,
  wanted: np.ndarray | None = None,
) -> Iterator[Found[Key]]:
  """What is found on each picture, in order.

  Args:
    programs: of the detector.
    jobs: the pictures; those that follow each other and have one canvas share batches.
    size: of the canvas, see `Loaded.check_image`.
    batch: pictures that go through the network together; the last ones are filled up with grey.
    thresholds: of suppression.
    rect: whether each picture's canvas is only as large as `canvas_of` says.
    wanted: classes that are looked for, see `Programs.suppress`.
  """
  loaded, thresholds = programs.loaded, thresholds.check()
  canvas_size = loaded.check_image(size)
  if batch < 1:
    raise DnasError(f"batch = {batch}; valid: 1 or more")
  content = loaded.content(canvas_size)

  def prepare(job: Job) -> _Ready | Found:
    start = time.perf_counter()
    try:
      pixels, reduction, original = job.read(content)
    except ImageError as error:
      empty = np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros(0, np.int32)
      return Found(job.key, (0, 0), *empty, {}, str(error))
    canvas = canvas_of(loaded, original, canvas_size) if rect else canvas_size
    fitted = letterbox(
      pixels,
      canvas,
      content=content,
      interpolation=loaded.interpolation,
      reduction=reduction,
      original=original,
    )
    return _Ready(job, *fitted, original, 1e3 * (time.perf_counter() - start))

  def flush(waiting: list[_Ready | Found]) -> Iterator[Found[Key]]:
    return _flush(programs, waiting, batch, thresholds, wanted)

  threads = min(8, os.cpu_count() or 1)
  waiting: list[_Ready | Found] = []
  for one in _ahead(prepare, jobs, threads, 2 * batch):
    ready = [other for other in waiting if isinstance(other, _Ready)]
    if ready and isinstance(one, _Ready) and ready[0].image.shape != one.image.shape:
      yield from flush(waiting)
      waiting, ready = [], []
    waiting.append(one)
    if len(ready) + isinstance(one, _Ready) == batch:
      yield from flush(waiting)
      waiting = []
  yield from flush(waiting)


def pictures(programs: Programs, source: Any, **options: Any) -> Iterator[Result | tuple[str, str]]:
  """`stream` of what people call pictures.

  Args:
    programs: of the detector.
    source: see `data.media.pictures`.
    options: of `stream`.

  Yields:
    A result, or (picture, why) for what cannot be decoded, picture by picture.
  """
  interpolation = programs.loaded.interpolation

  def job(picture: media.Picture) -> Job[media.Picture]:
    return Job(picture, lambda content: picture.shown(content, interpolation))

  for one in stream(programs, map(job, media.pictures(source)), **options):
    picture = one.key
    if one.fault is not None:
      yield picture.name, one.fault
      continue
    yield Result(
      source=picture.name,
      stem=picture.stem,
      size=one.size,
      boxes=one.boxes.astype(np.float32),
      scores=one.scores,
      labels=one.labels,
      names=programs.loaded.classes,
      speed=one.speed,
      read=picture.read,
    )


def _ahead(function: Callable, items: Iterable, threads: int, count: int) -> Iterator:
  """function(item) for each item, in order, `count` of them in advance."""
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    pending: collections.deque = collections.deque()
    items = iter(items)
    for item in itertools.islice(items, count):
      pending.append(pool.submit(function, item))
    while pending:
      yield pending.popleft().result()
      for item in itertools.islice(items, 1):
        pending.append(pool.submit(function, item))


def _flush(
  programs: Programs,
  waiting: list[_Ready | Found],
  batch: int,
  thresholds: Thresholds,
  wanted: np.ndarray | None,
) -> Iterator[Found]:
  """The pictures that wait, through the network together, and those without pixels as they are."""
  ready = [one for one in waiting if isinstance(one, _Ready)]
  if not ready:
    yield from (one for one in waiting if isinstance(one, Found))
    return
  images = np.full((batch, *ready[0].image.shape), FILL, np.uint8)
  for row, one in enumerate(ready):
    images[row] = one.image
  (boxes, scores), inference_ms = _timed(programs, lambda: programs.boxes(images))
  suppress = lambda: programs.suppress(boxes, scores, thresholds, wanted)
  found, post_ms = _timed(programs, suppress)
  found = jax.device_get(found)
  row = 0
  for one in waiting:
    if isinstance(one, Found):
      yield one
      continue
    speed = {
      "preprocess": one.ms,
      "inference": inference_ms / len(ready),
      "postprocess": post_ms / len(ready),
    }
    yield _found(one, nms.Detections(*(field[row] for field in found)), speed)
    row += 1


def _timed(programs: Programs, run: Callable[[], Any]) -> tuple[Any, float]:
  """What it gives when it is done, and ms without those of compiling."""
  compiled, start = sum(programs.compile_s.values()), time.perf_counter()
  value = jax.block_until_ready(run())
  taken = time.perf_counter() - start
  return value, 1e3 * (taken - (sum(programs.compile_s.values()) - compiled))


def _found(one: _Ready, found: nms.Detections, speed: Mapping[str, float]) -> Found:
  """Back to px of the picture; what lies entirely in the padding is left out."""
  boxes, scores, labels, valid = (np.asarray(field) for field in found)
  boxes, inside = to_image(boxes, one.scale, one.offset, one.original)
  keep = valid & inside
  return Found(one.job.key, one.original, boxes[keep], scores[keep], labels[keep], speed)
