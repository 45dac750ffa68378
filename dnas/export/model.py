# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What can be exported: a function of images with its weights, wherever it comes from."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dnas import data, naming, trained
from dnas import task as tasks
from dnas.config import Config, changed
from dnas.data.source import Source
from dnas.detection import nms
from dnas.detection.thresholds import Thresholds
from dnas.detectors import blank
from dnas.errors import DnasError, choose_from
from dnas.loaded import Loaded, Size
from dnas.method import task_of
from dnas.nn import functional, platform, qarepvgg
from dnas.nn.fold import fold
from dnas.nn.mode import Mode
from dnas.schema import get

OUTPUTS = ("detections", "boxes", "raw")
RAW = ("logits", "distribution", "deltas")  # what heads say of classes and boxes
TOLERANCE = 1e-4

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Model:
  """Images to named arrays, by a pure function and its weights.

  Attributes:
    apply: (weights, images uint8 `[B, H, W, 3]`) -> name -> array `[B, ...]`; traceable, for any B.
    weights: a tree of arrays.
    image: H and W.
    classes: names of the classes.
    content: (h, w) px that an image may fill of H and W, centred on grey; None: images are no
      letterboxed ones.
    interpolation: by which it is fitted in there, see `data.letterbox`.

  The last four are stored beside the weights where a format has room for it.
  """

  apply: Callable[[Any, jax.Array], Mapping[str, jax.Array]]
  weights: Any
  image: tuple[int, int]
  classes: Sequence[str] = ()
  content: tuple[int, int] | None = None
  interpolation: str = "area"

  def facts(self) -> dict[str, Any]:
    """What a program has to know that runs the file, as JSON."""
    known = {"classes": list(self.classes), "image": list(self.image)}
    if self.content is None:
      return known
    return {**known, "content": list(self.content), "interpolation": self.interpolation}

  def function(self, folded: bool = True) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Images -> arrays, with the weights as constants and in `platform.portable` form.

    Args:
      folded: whether batch norms are folded into convolutions (`nn.fold`).
    """
    apply, weights = self.apply, jax.device_get(self.weights)

    def function(images: jax.Array) -> dict[str, jax.Array]:
      with platform.portable():
        return dict(apply(weights, images))

    return fold(function) if folded else function

  def reference(self) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Images -> arrays as JAX computes them: what exported files are compared with."""
    compiled = jax.jit(lambda weights, images: dict(self.apply(weights, images)))
    return lambda images: jax.device_get(compiled(self.weights, images))

  def noise(self, count: int = 2) -> np.ndarray:
    """Images of noise, uint8 `[count, H, W, 3]`, where no others are at hand."""
    return np.random.default_rng(0).integers(0, 256, (count, *self.image, 3), dtype=np.uint8)


def from_run(workdir: pathlib.Path, outputs: str | None = None) -> tuple[Model, Config, Source]:
  """The trained network of a run, fused, with its config and the split that it is evaluated on.

  It computes in float32, as its weights are, whatever `config.task.dtype` says.

  Args:
    workdir: the folder of a training, or of a whole run (its `train/` is taken).
    outputs: of a detector: "detections" (boxes after suppression, `detection.nms.Detections`; as
      None), "boxes" (`boxes [B, A, 4]` xyxy px and `scores [B, A, C]` of all anchors) or "raw"
      (`logits`, and `distribution` or an EfficientDet's `deltas`). Classifiers take None and give
      `logits`.

  Raises:
    DnasError: a file is missing or does not fit, or `outputs` is unknown or of a detector.
  """
  if outputs not in (None, *OUTPUTS):
    raise DnasError(choose_from("outputs", outputs, OUTPUTS))
  folder = trained.folder_of(workdir)
  config = trained.config_of(folder)
  trained.check(folder, "genotype.json")  # Before the data are read.
  source = data.labelled(config.data.spec, config.evaluate.split)
  trained.check_classes(folder, source)
  task = task_of(_in_float32(config), source)
  if outputs is not None and task.boxes is None:
    raise DnasError(
      f"outputs: {outputs!r} is for detectors; {folder} holds a classifier, which gives logits: "
      "leave --outputs out"
    )
  network = qarepvgg.fuse(trained.network(folder, task).module)
  static, params, stats = functional.split(network)
  # Not the task: it holds the data as well.
  predict, boxes, forward = task.predict, task.boxes, task.forward

  def apply(weights: Any, images: jax.Array) -> Mapping[str, jax.Array]:
    network = static.merge(*weights)
    if outputs in (None, "detections") or boxes is None:
      return predict(network, images)
    if outputs == "boxes":
      return dict(zip(("boxes", "scores"), boxes(network, images)))
    said = forward(network, {}, images, Mode())
    return {name: getattr(said, name) for name in RAW if name in said._fields}

  content = None
  if boxes is not None:
    height, width = get(config, "data.content") or task.size
    content = (int(height), int(width))
  classes, shown = tuple(source.classes), get(config, "data.interpolation")
  model = Model(apply, (params, stats), task.size, classes, content, shown)
  return model, config, source


def of_detector(loaded: Loaded, thresholds: Thresholds | None, size: Size = None) -> Model:
  """A loaded detector, fused; it computes in float32, as its weights are.

  Args:
    loaded: the detector.
    thresholds: of suppression; None: it gives the `boxes` and `scores` of all anchors.
    size: of its input, px; None: its own.

  Raises:
    DnasError: the network does not take such images.
  """
  static, params, stats = functional.split(loaded.module(fused=True))
  config = _in_float32(loaded.config)
  task = naming.bind(config.task, tasks, blank(loaded.classes), loaded.size, field="config.task")
  every_box = task.boxes  # Not `loaded`: converters are sent what is named here.
  assert every_box is not None  # Of a detector.

  def apply(weights: Any, images: jax.Array) -> Mapping[str, jax.Array]:
    boxes, scores = every_box(static.merge(*weights), images)
    if thresholds is None:
      return {"boxes": boxes, "scores": scores}
    return nms.nms(boxes, scores, thresholds)._asdict()

  image = loaded.check_image(size)
  return Model(
    apply, (params, stats), image, loaded.classes, loaded.content(image), loaded.interpolation
  )


def _in_float32(config: Config) -> Config:
  """The config with a task in float32: rounded to bfloat16 no two programs give the same."""
  half = config.task.get("dtype", "float32") != "float32"
  return changed(config, {"task.dtype": "float32"}) if half else config


def check(name: str, wanted: Arrays, got: Arrays) -> float:
  """The largest |a - b| / max(1, |b|) between what JAX gives and what an exported file gives.

  A coordinate of a box is the sum of two as large as the image, so |b| is there that of the box's
  image: the largest of its coordinates. Detections may change places: scores can be equal up to
  rounding.

  Args:
    name: of the file, for the error.
    wanted: what JAX gives.
    got: what the file gives.

  Raises:
    DnasError: it is more than `TOLERANCE`, or names or shapes differ.
  """
  if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in got.items()}:
    shapes = lambda arrays: {k: v.shape for k, v in arrays.items()}
    raise DnasError(f"{name}: gives {shapes(got)}, but JAX {shapes(wanted)}")
  errors = {key: _error(key, wanted[key], got[key]) for key in wanted}
  if max(errors.values()) > TOLERANCE and {"boxes", "labels", "valid"} <= set(wanted):
    pairs = (wanted, _paired(wanted, got)), (got, _paired(got, wanted))
    errors = {key: max(_error(key, a[key], b[key]) for a, b in pairs) for key in wanted}
  worst = max(errors, key=lambda key: errors[key])
  if not errors[worst] <= TOLERANCE:
    raise DnasError(
      f"{name}: output {worst!r} differs from JAX by {errors[worst]:.2g} of max(1, |value|); "
      f"{TOLERANCE:g} is allowed"
    )
  return errors[worst]


def _error(key: str, a: np.ndarray, b: np.ndarray) -> float:
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  size = np.abs(a)
  if key == "boxes":
    size = np.max(size, (1, 2), keepdims=True, initial=0)
  errors = np.abs(a - b) / np.maximum(1, size)
  return float(np.max(np.nan_to_num(errors, nan=np.inf), initial=0))


def _paired(a: Arrays, b: Arrays) -> dict[str, np.ndarray]:
  """The detections of b, each in the place of that of a with its label that lies nearest."""
  far = np.abs(a["boxes"][:, :, None] - b["boxes"][:, None]).max(-1)
  far = np.where(a["labels"][:, :, None] == b["labels"][:, None], far, np.inf)
  nearest = far.argmin(-1)
  take = lambda v: np.take_along_axis(v, nearest.reshape(*nearest.shape, *[1] * (v.ndim - 2)), 1)
  return {key: take(np.asarray(value)) for key, value in b.items()}
