# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Detectors with their weights, from whatever names one: a network's name, a file, or a run.

  load("yolo_nas_s")                               random weights
  load("yolo_nas_s", weights="yolo_nas_s.npz")     those that you have; or load("yolo_nas_s.npz")
  load("runs/quickstart")                          what a run has trained
  load("genotype.json", classes=["cat", "dog"])    random weights

Every one is the same kind of thing, a `loaded.Loaded`.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from dnas import naming, trained
from dnas import task as tasks
from dnas.config import Config
from dnas.data.images import Images
from dnas.data.source import Annotations, DetectionSource
from dnas.detection.coco_names import COCO_IDS, COCO_NAMES
from dnas.errors import DnasError, choose_from
from dnas.loaded import Loaded
from dnas.nn import efficientdet, efficientnet, functional, yolo_nas_weights
from dnas.nn.init import Rngs
from dnas.nn.network import Backbone
from dnas.nn.yolo_nas import SIZE_STEP
from dnas.schema import get
from dnas.space import genotypes, macro
from dnas.space import yolo_nas as yolo_nas_spaces
from dnas.space.space import SearchSpace

WEIGHT_SUFFIXES = (".npz", ".pt", ".pth")
IMAGE = (640, 640)  # of a network that has not been trained here
_MULTIPLES = {"yolo_nas": SIZE_STEP, "efficientdet": efficientdet.STRIDES[-1]}


def load(
  what: str | pathlib.Path | SearchSpace,
  *,
  weights: str | pathlib.Path | None = None,
  classes: int | Sequence[str] | None = None,
) -> Loaded:
  """A detector with its weights.

  Args:
    what: the name of a YOLO-NAS or an EfficientDet; a weight file (.npz, .pt, .pth) of YOLO-NAS;
      the folder of a run, or its weights.npz; a genotype, its file or its published name.
    weights: a weight file for a name or a genotype of YOLO-NAS' kind.
    classes: names, or how many there are. By default what the weights or the run say, else COCO's
      80. Where weights of YOLO-NAS' kind are of another number, their class predictions are
      replaced by initial ones; a run's classes can be renamed, but keep their number.

  Raises:
    DnasError: nothing is there, or it is of another kind; the message says what there is.
  """
  if isinstance(what, SearchSpace):
    return _of_genotype("genotype", genotypes.decided(what), weights, classes)
  text, path = str(what), pathlib.Path(what)
  if text in yolo_nas_spaces.NAMES:
    return _of_genotype(text, yolo_nas_spaces.genotype(text), weights, classes)
  if text in efficientdet.NAMES:
    return _efficientdet(text, weights, classes)
  if path.is_dir():
    _refuse_weights(weights, path)
    return _of_run(path, classes)
  if path.suffix in WEIGHT_SUFFIXES:
    _refuse_weights(weights, path)
    return _of_file(path, classes)
  if path.suffix == ".json" or text.startswith("|") or text in genotypes.NAMES:
    return _of_genotype(path.stem, genotypes.decided(what), weights, classes)
  if path.is_file():
    raise DnasError(
      f"{path}: a detector is loaded from a folder of a run, a genotype (.json) or weights "
      f"({', '.join(WEIGHT_SUFFIXES)}), not from {path.suffix or 'a file without suffix'}"
    )
  names = [*yolo_nas_spaces.NAMES, *efficientdet.NAMES]
  raise DnasError(choose_from("detector (no file or folder of that name either)", text, names))


def _refuse_weights(weights: Any, path: pathlib.Path) -> None:
  if weights is not None:
    raise DnasError(f"weights={str(weights)!r}: {path} has weights of its own; name one of them")


def blank(classes: Sequence[str]) -> DetectionSource:
  """What a network needs to know of a data set, its classes; its one image cannot be read."""
  name = "a data set of which only the classes are known"

  def fetch(i: int) -> bytes:
    raise OSError(f"{name} has no images")

  annotations = Annotations.of([[]])
  images = Images(fetch, lambda i: name)
  return DetectionSource(name, classes, [1], images, annotations=annotations, sizes=[(1, 1)])


def _names(classes: int | Sequence[str] | None, count: int | None) -> tuple[str, ...]:
  """Class names; `count` is what the weights say."""
  if classes is None:
    classes = count if count is not None else len(COCO_NAMES)
  if isinstance(classes, str) or (not isinstance(classes, int) and not len(classes)):
    raise DnasError(f"classes = {classes!r}; valid: how many, or a list of names")
  if isinstance(classes, int):
    if classes < 1:
      raise DnasError(f"classes = {classes}; valid: 1 or more, or a list of names")
    known = classes == len(COCO_NAMES)
    return COCO_NAMES if known else tuple(f"class {k}" for k in range(classes))
  return tuple(map(str, classes))


# ---------------------------------------------------------------------------------------------
# Genotypes and weight files


def as_detector(genotype: SearchSpace) -> tuple[SearchSpace, Config]:
  """The genotype of a detector, and `config.task` for it.

  Cells in a classifier of DARTS' or NAS-Bench-201's kind get `macro.detector`'s network; any other
  network is kept, without the convolution before its classifier. The neck, of 64 channels, takes
  the three coarsest maps.

  Raises:
    SpaceError: there is no network, or `macro.detector` has none for these cells.
  """
  if yolo_nas_spaces.is_member(genotype):
    return genotype, ConfigDict(dict(name="yolo_nas"))
  if genotype.stem in ("conv3x3", "imagenet"):
    genotype = macro.detector(genotype)
  genotype = efficientdet.without_head(genotype)
  strides = tuple(sorted(Backbone(genotype, rngs=Rngs(None)).levels())[-3:])
  return genotype, ConfigDict(dict(name="detection", neck_channels=64, strides=strides))


def _of_genotype(
  name: str,
  genotype: SearchSpace,
  weights: str | pathlib.Path | None,
  classes: int | Sequence[str] | None,
  state: yolo_nas_weights.State | None = None,
) -> Loaded:
  of_yolo = yolo_nas_spaces.is_member(genotype)
  if not of_yolo and weights is not None:
    raise DnasError(
      f"weights={str(weights)!r}: only networks of YOLO-NAS' kind are loaded from weight files; "
      "what a run has trained is loaded from its folder"
    )
  if weights is not None:
    state = yolo_nas_weights.read(weights)
  names = _names(classes, yolo_nas_weights.classes_of(state) if state else None)
  genotype, fields = as_detector(genotype)
  config: Config = ConfigDict(dict(task=fields))
  task = naming.bind(config.task, tasks, blank(names), IMAGE)
  module = task.build(genotype, Rngs(jax.random.key(0)))
  kept: tuple[str, ...] = ()
  if state is not None:
    origin = str(weights if weights is not None else name)
    kept = yolo_nas_weights.put(module, state, transfer=True, source=origin)
  _, params, stats = functional.split(module)
  return Loaded(
    name=name,
    genotype=genotype,
    task=task,
    config=config,
    classes=names,
    params=params,
    stats=stats,
    size=IMAGE,
    multiple=_MULTIPLES.get(config.task.name, 1),
    # Source: the published pre-processing: the longest side to 636 of 640 px, bilinear.
    margin=(4, 4) if of_yolo else (0, 0),
    interpolation="linear" if of_yolo else "area",
    random=state is None,
    new_classes=bool(kept),
  )


def _efficientdet(
  name: str, weights: str | pathlib.Path | None, classes: int | Sequence[str] | None
) -> Loaded:
  if weights is not None:
    raise DnasError(f"weights={str(weights)!r}: {name} is not loaded from weight files")
  if classes is None:  # As published: a class for each category id up to 90, of which 80 exist.
    known = dict(zip(COCO_IDS, COCO_NAMES))
    classes = [known.get(k, f"no class {k}") for k in range(1, COCO_IDS[-1] + 1)]
  names = _names(classes, None)
  size = efficientdet.SIZES[name]
  sizes = {field: getattr(size, field) for field in ("width", "depth", "head_depth", "weighted")}
  config: Config = ConfigDict(dict(task=dict(name="efficientdet", **sizes)))
  image = (size.image, size.image)
  genotype = efficientdet.without_head(efficientnet.genotype(size.backbone).genotype)
  task = naming.bind(config.task, tasks, blank(names), image)
  _, params, stats = functional.split(task.build(genotype, Rngs(jax.random.key(0))))
  return Loaded(
    name=name,
    genotype=genotype,
    task=task,
    config=config,
    classes=names,
    params=params,
    stats=stats,
    size=image,
    multiple=_MULTIPLES["efficientdet"],
    margin=(0, 0),
    interpolation="linear",
    random=True,
  )


def _of_file(path: pathlib.Path, classes: int | Sequence[str] | None) -> Loaded:
  """A weight file by itself: of a run, whose folder says the rest, or of YOLO-NAS."""
  if path.name == "weights.npz" and (path.parent / "genotype.json").is_file():
    return _of_run(path.parent, classes)
  state = yolo_nas_weights.read(path)
  variant = yolo_nas_weights.variant_of(state)
  if variant is None:
    raise DnasError(
      f"{path}: its widths are those of none of {', '.join(yolo_nas_spaces.NAMES)}; weights of a "
      "network of your own need its genotype: NAS('genotype.json', weights=...), or NAS(FOLDER) "
      "of the run"
    )
  genotype = yolo_nas_spaces.genotype(variant)
  loaded = _of_genotype(str(path), genotype, None, classes, state)
  return dataclasses.replace(loaded, name=path.stem)


# ---------------------------------------------------------------------------------------------
# Runs


def _of_run(path: pathlib.Path, classes: int | Sequence[str] | None) -> Loaded:
  folder = trained.folder_of(path)
  trained.check(folder, "genotype.json", "config.json")
  config = trained.config_of(folder)
  if config.task.name == "classification":
    raise DnasError(f"{folder} was trained for classification; NAS is for detectors")
  names = _classes_of_run(folder, config, classes)
  size = (int(config.data.size[0]), int(config.data.size[1]))
  task = naming.bind(config.task, tasks, blank(names), size, field="config.task")
  genotype, _, params, stats = trained.network(folder, task)
  content = get(config, "data.content") or size
  place = path.resolve()  # "." has a name too
  return Loaded(
    name=place.name if place.name != "train" else place.parent.name,
    genotype=genotype,
    task=task,
    config=config,
    classes=names,
    params=params,
    stats=stats,
    size=size,
    multiple=_MULTIPLES.get(config.task.name, 1),
    margin=(size[0] - int(content[0]), size[1] - int(content[1])),
    interpolation=get(config, "data.interpolation"),
    random=False,
  )


def _classes_of_run(
  folder: pathlib.Path, config: Config, classes: int | Sequence[str] | None
) -> tuple[str, ...]:
  """A run's class names, or those given for them, which must be as many."""
  if classes is None:
    return trained.classes_of(folder, config)
  names = _names(classes, None)
  if (folder / trained.CLASSES).is_file():
    known = trained.classes_of(folder, config)
    if len(names) != len(known):
      raise DnasError(
        f"classes: {len(names)} given, but {folder} was trained for {len(known)}; "
        f"NAS({str(folder)!r}).train(data) trains it on for the classes of other data"
      )
  return names
