# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The five-line API: load a detector, look at it, measure it, predict, train it on, export it.

from dnas import NAS

model = NAS("runs/quickstart")               # or "yolo_nas_s", "yolo_nas_s.npz", a genotype file
model.info()
metrics = model.val(data="cbc.yaml")         # metrics.box.map, metrics.coco["AP"]
results = model.predict("image.jpg")         # results.boxes, results.save("out.png")
model.train(data="cbc.yaml", epochs=50)
model.export("model.onnx")
"""

import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dnas import cache, counted, terminal
from dnas.data.images import ImageError
from dnas.detection.results import Result, Results
from dnas.detection.thresholds import PREDICTION, Thresholds
from dnas.detectors import load
from dnas.errors import DnasError
from dnas.loaded import Loaded, Size
from dnas.predict import Programs, pictures
from dnas.space.space import SearchSpace
from dnas.validate import Metrics, validate


class NAS:
  """A detector with its weights.

  Args:
    model: the name of a YOLO-NAS or an EfficientDet (random weights, unless `weights` are given); a
      weight file of YOLO-NAS (.npz, .pt, .pth); the folder of a run; a genotype or its file.
    weights: a weight file for a name or a genotype of YOLO-NAS' kind.
    classes: names, or how many; see `dnas.detectors.load`.

  Raises:
    DnasError: nothing is there, or it is of another kind.
  """

  def __init__(
    self,
    model: str | pathlib.Path | SearchSpace,
    weights: str | pathlib.Path | None = None,
    classes: int | Sequence[str] | None = None,
  ):
    if jax.config.values["jax_compilation_cache_dir"] is None:
      cache.keep_programs()
    self._take(load(model, weights=weights, classes=classes))
    if caution := self.loaded.caution:
      print(caution, file=sys.stderr)

  def _take(self, loaded: Loaded) -> None:
    self.loaded = loaded
    self._programs: Programs | None = None

  @property
  def programs(self) -> Programs:
    """The fused network and its compiled programs, made when they are first needed."""
    if self._programs is None:
      self._programs = Programs(self.loaded)
    return self._programs

  def _sure(self, conf: float, iou: float | None, max_det: int | None) -> Thresholds:
    """What counts as found when predicting: the task's thresholds but for the least score."""
    return self.loaded.found._replace(top_k=PREDICTION.top_k).of(conf, iou, max_det)

  @property
  def names(self) -> tuple[str, ...]:
    """The names of the classes."""
    return self.loaded.classes

  def __repr__(self) -> str:
    loaded, (height, width) = self.loaded, self.loaded.size
    kind = "random weights" if loaded.random else "trained weights"
    kind += ", but for the classes" if loaded.new_classes else ""
    return f"<NAS {loaded.name}: {len(loaded.classes)} classes, {width} x {height} px, {kind}>"

  def info(self, size: Size = None, verbose: bool = True) -> counted.Counted:
    """Counts the network; nothing is run.

    Args:
      size: of the image; None: the network's own.
      verbose: prints a table, with the fused form's figures where there is one.

    Returns:
      Layers, parameters, gradients and GFLOPs.
    """
    numbers, page = counted.counted(self.loaded, size)
    if verbose:
      terminal.show(page)
    return numbers

  def val(
    self,
    data: str,
    split: str | None = "val",
    *,
    size: Size = None,
    batch: int = 16,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    rect: bool = False,
    folder: str | pathlib.Path | None = "runs/val",
    verbose: bool = True,
  ) -> Metrics:
    """Measures the detector on a split of any data set: see `dnas.validate.Metrics`.

    Args:
      data: its SPEC (`coco:...`, `yolo:...`, `tfds:...`, `digit_scenes`), or a YAML file.
      split: "val", "test", "train", ...; None: the only one, of COCO files without {split}.
      size: of the network's input, px; None: its own.
      batch: images that go through the network together.
      conf, iou, max_det: least score, most overlap and number of detections. By default those of
        the detector's task (`config.task`), by which a run was measured, YOLO-NAS' for validation
        or EfficientDet's; the YOLO tools take a `conf` of 0.001.
      rect: pads images to the next multiple of 64 px only; the network is compiled for each shape.
      folder: gets the pictures and numbers; None: none are written.
      verbose: prints a table.
    """
    metrics = validate(
      self.programs,
      data,
      split,
      size=size,
      batch=batch,
      thresholds=self.loaded.found.of(conf, iou, max_det),
      rect=rect,
      folder=None if folder is None else pathlib.Path(folder),
    )
    _say_skipped(metrics.skipped, metrics.images + len(metrics.skipped))
    if verbose:
      terminal.show(metrics.page())
    return metrics

  def predict(
    self,
    source: Any,
    *,
    conf: float = PREDICTION.score,
    iou: float | None = None,
    max_det: int | None = None,
    size: Size = None,
    batch: int = 1,
    rect: bool = False,
  ) -> Results:
    """Finds objects on pictures.

    Args:
      source: an image file, a folder, a pattern with `*`, a video, uint8 arrays `[H, W, 3]` or
        `[B, H, W, 3]` in RGB, or a list of these.
      conf, iou, max_det: least score, most overlap and number of detections. Overlap and number are
        by default those of the detector's task.
      size: of the network's input, px; None: its own.
      batch: pictures that go through the network together.
      rect: as in `val`.

    Returns:
      A result for each picture that could be decoded; `skipped` names the others.

    Raises:
      DnasError: nothing is there, or none of it can be decoded.
    """
    thresholds = self._sure(conf, iou, max_det)
    every = list(
      pictures(self.programs, source, thresholds=thresholds, size=size, batch=batch, rect=rect)
    )
    skipped = [one for one in every if not isinstance(one, Result)]
    _say_skipped(skipped, len(every))
    found = {i: one for i, one in enumerate(every, start=1) if isinstance(one, Result)}
    return Results([*found.values()], self.names, skipped, [*found])

  def predict_each(
    self,
    source: Any,
    *,
    conf: float = PREDICTION.score,
    iou: float | None = None,
    max_det: int | None = None,
    **options: Any,
  ) -> Iterator[Result]:
    """`predict`, one result at a time as it comes: for long videos and large folders.

    What cannot be decoded is named on stderr, and counted at the end. `options` are `size`, `batch`
    and `rect`.
    """
    count, skipped = 0, []
    thresholds = self._sure(conf, iou, max_det)
    for one in pictures(self.programs, source, thresholds=thresholds, **options):
      count += 1
      if isinstance(one, Result):
        yield one
      else:
        print(f"skipped: {one[1]}", file=sys.stderr)
        skipped.append(one)
    _say_skipped(skipped, count)

  def predict_raw(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
    """Every box of the network before suppression.

    Args:
      images: float32 `[B, H, W, 3]` in [0, 1], RGB, at the network's size.

    Returns:
      Boxes xyxy `[B, A, 4]` in px of the network's input, and scores `[B, A, classes]` in [0, 1].

    Raises:
      DnasError: images of another type, shape or range.
    """
    images = np.asarray(images)
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[-1] != 3:
      raise DnasError(
        f"images: {images.dtype} {list(images.shape)}; valid: float32 [B, H, W, 3] in [0, 1]"
      )
    if not images.size or not (images.min() >= 0 and images.max() <= 1):
      raise DnasError("images: valid are numbers from 0 to 1, and at least one image")
    self.loaded.check_image(images.shape[1:3])
    return jax.device_get(self.programs.boxes(images * np.float32(255)))

  def train(
    self,
    data: str,
    epochs: int = 50,
    *,
    workdir: str | pathlib.Path = "runs/finetune",
    resume: str = "auto",
    size: Size = None,
    **options: Any,
  ) -> pathlib.Path:
    """Trains the detector, from its weights or, where they are random, from scratch.

    The folder is a run like any other: killed and called again it goes on where it was, and
    `NAS(workdir)` loads what came of it. This object has the trained weights, too.

    Args:
      data: SPEC of the data set, or a YAML file; its classes may be others than the detector's.
      epochs: how often the training goes through the data.
      workdir: the run's folder.
      resume: "auto": go on from what is there; "force": even if the config has changed; "never".
      size: of the network's input, px; None: its own.
      options: `batch`, `lr`, `split`, `augment`, `seed`, `overrides` of `dnas.finetune.recipe`. By
        default half of the images are mirrored: not for digits or letters (`augment`).

    Returns:
      The folder.
    """
    from dnas.finetune import finetune  # Checkpoints, optimisers: predicting needs none of it.

    workdir = pathlib.Path(workdir)
    finetune(self.loaded, data, epochs, workdir, resume, size=size, **options)
    self._take(load(workdir))
    return workdir

  def export(
    self,
    path: str | pathlib.Path,
    *,
    size: Size = None,
    detections: bool = True,
    conf: float = PREDICTION.score,
    iou: float | None = None,
    max_det: int | None = None,
    **options: Any,
  ) -> Mapping[str, Any]:
    """Writes the network for other programs, checked against JAX: see `dnas.export.export`.

    Args:
      path: ends in `.onnx`, `.stablehlo` or `.tflite`.
      size: of the network's input, px; None: its own.
      detections: whether suppression is in it (`boxes`, `scores`, `labels`, `valid`); otherwise
        it gives the `boxes` and `scores` of all anchors.
      conf, iou, max_det: of suppression, as in `predict`.
      options: `images`, `batch`, `fold`, `int8`, `calibration`.

    Returns:
      `format`, `bytes` and `error`.
    """
    from dnas import export as exporting  # Brings in packages of other formats.

    given = self._sure(conf, iou, max_det).check()
    model = exporting.of_detector(self.loaded, given if detections else None, size)
    return exporting.export(model, path, **options)


def _say_skipped(skipped: Sequence[tuple[str, str]], of: int) -> None:
  """Says why on stderr, of each (picture, why); if those are all `of` them, ImageError."""
  if not skipped:
    return
  if len(skipped) == of:
    raise ImageError("; ".join(why for _, why in skipped[:3]))
  shown = "; ".join(why for _, why in skipped[:5]) + (" ..." if len(skipped) > 5 else "")
  print(f"skipped {len(skipped)} of {of} pictures that cannot be decoded: {shown}", file=sys.stderr)
