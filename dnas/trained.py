# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a training has left in its folder, read again: config, genotype, weights, class names."""

import pathlib
from typing import Any, NamedTuple

from flax import nnx

from dnas import config as configs
from dnas import data
from dnas import task as tasks
from dnas.config import Config
from dnas.errors import DnasError
from dnas.files import json_of
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.space import genotypes
from dnas.space.space import SearchSpace
from dnas.trees import load_tree

CLASSES = "classes.json"
"""In the folder of a training: the names of its classes, a JSON list."""


def folder_in(path: pathlib.Path) -> pathlib.Path | None:
  """The folder of a training: `path`, or in that of a whole run `train`; None if neither is one."""
  return next((f for f in (path, path / "train") if (f / "weights.npz").is_file()), None)


def folder_of(path: pathlib.Path) -> pathlib.Path:
  """`folder_in`, or a DnasError where there is none."""
  found = folder_in(path)
  if found is None:
    raise DnasError(
      f"{path} holds no weights.npz, nor does {path / 'train'}: no training has ended here; train "
      "first, or name another folder"
    )
  return found


def check(folder: pathlib.Path, *names: str) -> None:
  """DnasError for the first of these files of a training that is missing."""
  for name in names:
    if not (folder / name).is_file():
      raise DnasError(f"{folder / name} is missing: train first, or name another folder")


def config_of(folder: pathlib.Path) -> Config:
  """The config of a training.

  Raises:
    DnasError: it is missing, or no JSON of a config.
  """
  check(folder, "config.json")
  return configs.load(folder / "config.json")


class Trained(NamedTuple):
  """A trained network in parts.

  Attributes:
    genotype: what it is built from.
    static: its structure, see `functional.split`.
    params, stats: weights and batch statistics.
  """

  genotype: SearchSpace
  static: functional.Static
  params: Any
  stats: Any

  @property
  def module(self) -> nnx.Module:
    """The network."""
    return self.static.merge(self.params, self.stats)


def network(folder: pathlib.Path, task: tasks.Task) -> Trained:
  """The trained network.

  Args:
    folder: of a training.
    task: what it was trained for.

  Raises:
    DnasError: a file is missing or malformed, or the weights do not fit the genotype.
  """
  check(folder, "genotype.json", "weights.npz")
  genotype = genotypes.load(folder / "genotype.json")
  static, params, stats = functional.split(task.build(genotype, Rngs(None)))
  saved = load_tree(folder / "weights.npz", {"params": params, "stats": stats})
  return Trained(genotype, static, saved["params"], saved["stats"])


def check_classes(folder: pathlib.Path, source: data.Source) -> None:
  """DnasError where a split has other classes than the training had, or in another order."""
  if (names := _written(folder)) is not None:
    data.check_same_classes(names, f"the training in {folder}", source)


def _written(folder: pathlib.Path) -> tuple[str, ...] | None:
  """The class names in a training's folder; None: it is of before they were written."""
  file = folder / CLASSES
  if not file.is_file():
    return None
  names = json_of(file)
  if not isinstance(names, list) or not names:
    raise DnasError(f"{file} holds {names!r}; valid: a list of class names")
  return tuple(map(str, names))


def classes_of(folder: pathlib.Path, config: Config) -> tuple[str, ...]:
  """The names of the classes that a training had.

  Raises:
    DnasError: they are written nowhere, or malformed.
  """
  if (names := _written(folder)) is not None:
    return names
  file = folder / CLASSES
  # A run of before this file was written: its data set knows.
  try:
    return data.load(config.data.spec, config.data.train_split, decode_all=False).classes
  except DnasError as error:
    raise DnasError(
      f"{file} is missing and the run's data cannot be loaded ({error}): say classes=[...]"
    ) from error
