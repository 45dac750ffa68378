# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The family of a detector: one found genotype scaled to S, M and L, with what each costs here.

Each member is a genotype in a file of its own, and a config's fields for training it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dnas import config as configs
from dnas import detectors, files, naming, trained
from dnas import task as tasks
from dnas.config import Config
from dnas.cost import latency
from dnas.errors import DnasError
from dnas.space import genotypes, scaling
from dnas.space import yolo_nas as yolo_nas_spaces
from dnas.space.space import SearchSpace
from dnas.tables import table
from dnas.task import timing

# Compound coefficients: each step doubles the MACs, about.
SIZES = {"S": 0.0, "M": 1.0, "L": 2.0}
CLASSES = 80  # of a genotype that comes without a run: COCO's
STEP = 32  # sides of images are multiples of it, or of the coarsest stride


@dataclasses.dataclass(frozen=True)
class Member:
  """A detector of the family.

  Attributes:
    name: "S", "M" ...
    phi: compound coefficient.
    width, depth: factors.
    genotype: scaled.
    image: height and width, px.
    fields: of `config.task`, the widths of neck and head scaled.
  """

  name: str
  phi: float
  width: float
  depth: float
  genotype: SearchSpace
  image: tuple[int, int]
  fields: Mapping[str, Any]

  def task(self, classes: tuple[str, ...]) -> tasks.Task:
    """Its network."""
    return naming.bind(ConfigDict(dict(self.fields)), tasks, detectors.blank(classes), self.image)


def read(what: str, config_file: str | None = None) -> tuple[SearchSpace, Config, tuple[int, int]]:
  """(genotype, config.task, image in px) of a run's folder, a file or a published name.

  Task and image are those of the run, or of `config_file`; a genotype without either is taken as
  `detectors.as_detector` does.

  Raises:
    DnasError: nothing is there, it holds choices, or it is none of a detector; or a run has a
      config already.
  """
  path = pathlib.Path(what)
  if path.is_dir():
    if config_file is not None:
      raise DnasError(f"{path}: a run has its own config; {config_file} is for a genotype's file")
    folder = _folder_in(path)
    config = trained.config_of(folder)
    return genotypes.decided(folder / "genotype.json"), *_task_of(config, str(path))
  genotype = genotypes.decided(what)
  if config_file is not None:
    return genotype, *_task_of(configs.load(config_file), config_file)
  return *detectors.as_detector(genotype), detectors.IMAGE


def classes_of(what: str) -> tuple[str, ...]:
  """The names of a run's classes; of anything else than a run's folder 80 without names.

  Raises:
    DnasError: it is a folder but no run's, or a run that knows its classes no more.
  """
  path = pathlib.Path(what)
  if not path.is_dir():
    return tuple(f"class {i}" for i in range(CLASSES))
  folder = _folder_in(path)
  return trained.classes_of(folder, trained.config_of(folder))


def _folder_in(path: pathlib.Path) -> pathlib.Path:
  """Where genotype and config of a run are: in its folder, or in that of its training."""
  folders = [f for f in (path / "train", path) if (f / "genotype.json").is_file()]
  if not folders or not (folders[0] / "config.json").is_file():
    raise DnasError(f"{path}: a run's folder holds genotype.json and config.json, this does not")
  return folders[0]


def _task_of(config: Any, where: str) -> tuple[Config, tuple[int, int]]:
  """`config.task` and height and width of the image of a detector's config."""
  if config.task.name == "classification":
    raise DnasError(f"{where}: of a classifier; families are of detectors")
  height, width = config.data.size
  return config.task, (int(height), int(width))


def members(
  genotype: SearchSpace, fields: Config, image: tuple[int, int], sizes: Mapping[str, float] = SIZES
) -> list[Member]:
  """The detectors of the family, see `scaling.compound`.

  Args:
    genotype: what was found.
    fields: `config.task` that it was found with.
    image: height and width, px.
    sizes: name -> compound coefficient.

  Raises:
    SpaceError: the space still holds choices.
  """
  strides = fields.get("strides", (8, 16, 32))
  step = STEP if yolo_nas_spaces.is_member(genotype) else max(strides)
  found = []
  for name, phi in sizes.items():
    width, depth, larger = scaling.compound(phi)
    side = lambda px, larger=larger: max(round(px * larger / step), 1) * step
    size = image if phi == 0 else (side(image[0]), side(image[1]))
    scaled = scaling.scale(genotype, width, depth, max(size))
    changed = dict(fields)
    if changed["name"] == "detection":
      changed["neck_channels"] = scaling.round_filters(changed.get("neck_channels", 64), width)
    found.append(Member(name, phi, width, depth, scaled.genotype, size, changed))
  return found


def make(
  what: str,
  out: pathlib.Path,
  *,
  command: str,
  config_file: str | None = None,
  classes: int | None = None,
  sizes: Mapping[str, float] = SIZES,
  protocol: latency.Protocol | None = None,
) -> list[table.Row]:
  """Writes the family: `S.json`, `M.json`, `L.json` and the table of what they cost.

  Args:
    what, config_file: see `read`.
    out: folder.
    command: goes into the provenance.
    classes: number of classes; None: see `classes_of`.
    sizes: name -> compound coefficient.
    protocol: of the measurement; None: the default one, with `latency.clock_here`.

  Raises:
    DnasError: see `read` and `classes_of`.
  """
  given = protocol or latency.Protocol(clock=latency.clock_here())
  genotype, fields, image = read(what, config_file)
  names = classes_of(what) if classes is None else tuple(f"class {i}" for i in range(classes))
  family = members(genotype, fields, image, sizes)
  programs: dict[str, Any] = {}
  rows: list[dict[str, Any]] = []
  for member in family:
    task = member.task(names)
    cost = tasks.cost(task, member.genotype)
    files.atomic_write(out / f"{member.name}.json", member.genotype.to_json())
    programs[member.name] = timing.network_program(task, member.genotype, given.batch)
    rows.append(
      {
        "size": member.name,
        "phi": member.phi,
        "width": member.width,
        "depth": member.depth,
        "image": "{1} x {0}".format(*member.image),
        "neck": member.fields.get("neck_channels", ""),
        "params": cost.params,
        "MACs": cost.macs,
      }
    )
  timings = latency.measure(programs, given)
  measured: list[table.Row] = [{**row, "latency ms": timings[row["size"]].ms} for row in rows]
  clock = {"cpu": "processor time of one core", "wall": "wall time"}[given.clock]
  title = f"""A family of detectors
Compound scaling of the genotype in {what} ({len(names)} classes): width 1.1^phi, depth 1.2^phi,
resolution 1.15^phi, each rounded (width to 8 channels, repeats up, sides to the coarsest stride).
*neck*: `config.task.neck_channels`. *latency ms*: {clock}, measured here, batch {given.batch},
{given.dtype}, without suppression: median of {given.rounds} rounds in turn, of each the fastest of
{given.calls} calls. None of them is trained; a member is trained by
`python scripts/train.py --config CONFIG --genotype {out}/M.json --workdir runs/M` with the fields
of its row: `--config.data.size='(HEIGHT,WIDTH)' --config.task.neck_channels=NECK`."""
  about = {"protocol": dataclasses.asdict(given), "device": latency.device()}
  about["spread ms"] = {name: timing.spread_ms for name, timing in timings.items()}
  table.write(out, title, measured, {"command": command, "seeds": [0], **about})
  return measured
