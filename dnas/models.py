# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The published networks by name: `model("efficientnet_b0").build(1000, Rngs(0))`.

The one place where a name becomes a network, for the command lines and for users of the package. To
add one is to add a line to `MODELS`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx
from rich.console import Group
from rich.text import Text

from dnas import terminal
from dnas.cost import count
from dnas.errors import choose_from
from dnas.nn import efficientdet, efficientnet, yolo_nas
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import mbconv
from dnas.space import yolo_nas as yolo_nas_spaces
from dnas.space.space import SearchSpace, SpaceError


class Model(NamedTuple):
  """A published network.

  Attributes:
    build: (classes, rngs) -> a network called as `network(images [B, H, W, 3], {}, Mode())`;
      `Rngs(None)` where it is only counted.
    classes: as published.
    image_size: side of its images as published, px.
    fuse: network -> its form for evaluation; None where there is no other one.
  """

  build: Callable[[int, Rngs], nnx.Module]
  classes: int
  image_size: int
  fuse: Callable[[Any], nnx.Module] | None = None


def _named(build: Callable[..., nnx.Module], name: str) -> Callable[[int, Rngs], nnx.Module]:
  return lambda classes, rngs: build(name, classes, rngs=rngs)


MODELS: dict[str, Model] = {
  **{
    name: Model(_named(efficientnet.build, name), 1000, px)
    for name, (_, _, px) in efficientnet.COEFFICIENTS.items()
  },
  **{
    name: Model(_named(efficientdet.build, name), 90, size.image)
    for name, size in efficientdet.SIZES.items()
  },
  **{
    name: Model(_named(yolo_nas.build, name), 80, 640, yolo_nas.fuse)
    for name in yolo_nas_spaces.NAMES
  },
}


def model(name: str) -> Model:
  """The network of this name; SpaceError, with those that there are, for any other."""
  if name not in MODELS:
    raise SpaceError(choose_from("model", name, MODELS))
  return MODELS[name]


@dataclasses.dataclass(frozen=True)
class Measured:
  """What a published network costs.

  Attributes:
    name, classes, image_size: of the network; its image is a square.
    params, macs: of the network as it is trained.
    parts: (name, parameters, MACs, placeholders) that sum up to these.
    fused: parameters and MACs of the form for evaluation; None where there is no other one.
    space: the genotype of its backbone.
  """

  name: str
  classes: int
  image_size: int
  params: int
  macs: int
  parts: tuple[tuple[str, int, int, int], ...]
  fused: tuple[int, int] | None
  space: SearchSpace

  @property
  def stages(self) -> list[dict[str, Any]]:
    """Width, repeats, stride and operations of each stage of the backbone.

    What a chain of blocks repeats are its blocks.
    """
    rows = []
    for stage in self.space.stages:
      row = dataclasses.asdict(stage)
      blocks = mbconv.chain_of(self.space.cells[stage.cell])
      if blocks:
        row["repeats"] *= len(blocks)
      names = blocks or (op for edge in self.space.cells[stage.cell].edges for op in edge.ops)
      rows.append({**row, "ops": list(dict.fromkeys(names))})
    return rows

  @property
  def placeholders(self) -> int:
    """Parameters that published weight files hold and nothing uses, see `yolo_nas`."""
    return sum(part[3] for part in self.parts)

  def to_dict(self) -> dict[str, Any]:
    """The same as a JSON object; what a network does not have is left out."""
    parts = [{"name": name, "params": params, "macs": macs} for name, params, macs, _ in self.parts]
    result: dict[str, Any] = {
      "model": self.name,
      "classes": self.classes,
      "image_size": self.image_size,
      "params": self.params,
      "macs": self.macs,
    }
    if self.fused is not None:
      result |= {"params_fused": self.fused[0], "macs_fused": self.fused[1]}
      result["params_with_placeholders"] = self.params + self.placeholders
      for part, (*_, placeholders) in zip(parts, self.parts, strict=True):
        part["placeholder_params"] = placeholders
    stem = {"stem": self.space.stem, "stem_channels": self.space.stem_channels}
    return result | {**stem, "stages": self.stages, "parts": parts}


def measure(name: str, classes: int | None = None, image_size: int | None = None) -> Measured:
  """Counts a published network; nothing is run.

  Args:
    name: see `MODELS`.
    classes: number of classes; None: as published.
    image_size: side of the image, px; None: as published.

  Raises:
    SpaceError: an unknown name, or a size that the network does not take.
  """
  found = model(name)
  classes = found.classes if classes is None else classes
  image_size = found.image_size if image_size is None else image_size
  module = found.build(classes, Rngs(None))
  counted = functools.partial(
    count.count, call=lambda net, images: net(images, {}, Mode()), image=(image_size, image_size, 3)
  )
  cost, fused = counted(module), None
  placeholders = yolo_nas.placeholder_params if found.fuse else lambda part: 0
  if found.fuse is not None:
    evaluated = counted(found.fuse(module))
    fused = (evaluated.params, evaluated.macs)
  rows = tuple(
    (part, params, macs, placeholders(getattr(module, part))) for part, params, macs in _parts(cost)
  )
  space = module.backbone.space  # pyright: ignore[reportAttributeAccessIssue]
  return Measured(name, classes, image_size, cost.params, cost.macs, rows, fused, space)


def _parts(cost: count.Cost) -> list[tuple[str, int, int]]:
  return [row for row in cost.by(1) if any(row[1:])]


def render(measured: Measured) -> Group:
  """A page for the terminal."""
  px = measured.image_size
  stages = [(measured.space.stem, 1, measured.space.stem_channels, "", "")]
  for s in measured.stages:
    stages.append((s["cell"], s["repeats"], s["channels"], s["stride"], ", ".join(s["ops"])))
  costs = [part[:3] for part in measured.parts]
  costs.append(("total", measured.params, measured.macs))
  if measured.fused is not None:
    costs.append(("fused", *measured.fused))
  head = Text(f"{measured.name}: {measured.classes} classes, image {px} x {px} px", style="bold")
  extra = []
  if measured.placeholders:
    extra = [Text(f"published files hold {measured.placeholders:,} parameters more, unused")]
  described = terminal.table(("stage", "repeats", "channels", "stride", "operations"), stages)
  counted = terminal.table(("part", "parameters", "MACs"), costs)
  return Group(head, Text(""), described, Text(""), counted, *extra)
