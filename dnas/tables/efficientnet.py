# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet and EfficientDet: what our networks cost, beside what is published."""

import pathlib
from typing import NamedTuple

from dnas import models
from dnas.nn import efficientdet, efficientnet
from dnas.progress import say
from dnas.tables import table


class Published(NamedTuple):
  """Costs of a published network.

  Attributes:
    params, macs: exact, as two independent code bases assert them (MACs with TensorFlow's SAME
      padding); None where they give none.
    paper: (million parameters, billion MACs) as the paper's table prints them, from memory:
      unverified.
    anchors: number of anchors, likewise exact.
  """

  params: int
  macs: int | None
  paper: tuple[float, float]
  anchors: int | None = None


# Tan and Le 2019 (1905.11946), table 2; Tan et al. 2020 (1911.09070), table 2.
PUBLISHED = {
  "efficientnet_b0": Published(5_288_548, 385_814_752, (5.3, 0.39)),
  "efficientnet_b1": Published(7_794_184, 686_802_832, (7.8, 0.70)),
  "efficientnet_b2": Published(9_109_994, 993_561_872, (9.2, 1.0)),
  "efficientnet_b3": Published(12_233_232, 1_827_141_392, (12, 1.8)),
  "efficientnet_b4": Published(19_341_616, 4_393_771_024, (19, 4.2)),
  "efficientnet_b5": Published(30_389_784, 10_266_384_752, (30, 9.9)),
  "efficientnet_b6": Published(43_040_704, 19_067_593_536, (43, 19)),
  "efficientnet_b7": Published(66_347_960, 37_745_884_192, (66, 37)),
  "efficientdet_d0": Published(3_880_067, None, (3.9, 2.5), 49_104),
  "efficientdet_d1": Published(6_625_898, None, (6.6, 6.1), 76_725),
  "efficientdet_d2": Published(8_097_039, None, (8.1, 11), 110_484),
  "efficientdet_d3": Published(12_032_296, None, (12, 25), 150_381),
  "efficientdet_d4": Published(20_723_675, None, (21, 55), 196_416),
  "efficientdet_d5": Published(33_653_315, None, (34, 135), 306_900),
  "efficientdet_d6": Published(51_871_782, None, (52, 226), 306_900),
}


def make(out: pathlib.Path, *, command: str) -> list[table.Row]:
  """Makes the table; every network is counted and none is run.

  Args:
    out: folder of the table.
    command: goes into the provenance.
  """
  rows = []
  for name in PUBLISHED:
    rows.append(row(name))
    say(rows[-1])
  title = """EfficientNet and EfficientDet, ours beside the published
One genotype, EfficientNet-B0, scaled by `dnas.space.scaling.scale`; EfficientDet on top. *px*: side
of the image. *params*, *MACs*: ours, exact, of 1000 classes (EfficientDet: 90); *off*: ours minus
what two independent code bases assert. *paper M*, *paper B*: million parameters and billion MACs as
the papers print them (from memory: unverified). EfficientNet's paper prints up to 4.5 % less for B4
and B5 than the two code bases count, with which ours agree. *anchors*: equal to the published
number, or no table is made."""
  provenance = {
    "command": command,
    "seeds": [],
    "convention": "multiply-accumulates of convolutions and linear layers, padding as if dense",
    "published": "params, MACs and anchors: asserted by two code bases; paper: unverified",
  }
  table.write(out, title, rows, provenance)
  return rows


def row(name: str) -> table.Row:
  """A network's costs beside the published ones; RuntimeError if its anchors are not as many."""
  ours, theirs = models.measure(name), PUBLISHED[name]
  if name in efficientnet.NAMES:
    width, depth, _ = efficientnet.COEFFICIENTS[name]
  else:
    width, depth, _ = efficientnet.COEFFICIENTS[efficientdet.SIZES[name].backbone]
  found = len(efficientdet.anchors(ours.image_size)) if theirs.anchors else ""
  if theirs.anchors and found != theirs.anchors:
    raise RuntimeError(f"{name}: {found} anchors; published: {theirs.anchors}")
  return {
    "network": name,
    "width": width,
    "depth": depth,
    "px": ours.image_size,
    "params": ours.params,
    "params off": ours.params - theirs.params,
    "paper M": theirs.paper[0],
    "MACs": ours.macs,
    "MACs off": "" if theirs.macs is None else ours.macs - theirs.macs,
    "paper B": theirs.paper[1],
    "anchors": found,
  }
