# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published cells and YOLO-NAS: what our networks cost, beside exact published counts."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from dnas import figures, info, models
from dnas.space import genotypes
from dnas.space.published import with_network
from dnas.tables import table


class Counts(NamedTuple):
  """Parameters (without an auxiliary head) and multiply-accumulates of a published network.

  Attributes:
    params, macs: exact, counted on the networks of the published code.
    paper: (million parameters, million MACs) as papers print them; None where nothing is at hand.
  """

  params: int
  macs: int
  paper: tuple[float | None, float | None] = (None, None)


# 36 channels and 20 cells at 32 px; 48 channels and 14 cells at 224 px. Printed figures, read where
# later papers and READMEs quote them: DARTS-PT (2108.04392), table 2; the README of PC-DARTS.
CIFAR10 = {
  "DARTS_V1": Counts(3_169_414, 500_987_520),
  "DARTS_V2": Counts(3_349_342, 528_359_040, (3.3, None)),
  "PC_DARTS_cifar": Counts(3_634_678, 556_670_592, (3.6, None)),
  "PC_DARTS_image": Counts(3_721_510, 570_466_944),
  "PDARTS": Counts(3_433_798, 532_174_464, (3.4, None)),
  "NASNet": Counts(3_830_950, 603_452_448, (3.3, None)),
  "AmoebaNet": Counts(3_145_078, 488_931_552, (3.2, None)),
  "DrNAS_cifar10": Counts(4_099_294, 635_135_616, (4.1, None)),
  "SNAS_mild": Counts(2_661_382, 422_218_368),
}
IMAGENET = {
  "DARTS_V1": Counts(4_510_432, 505_864_704),
  "DARTS_V2": Counts(4_718_752, 529_911_552, (4.7, 574)),
  "PC_DARTS_cifar": Counts(5_270_560, 571_137_408),
  "PC_DARTS_image": Counts(5_342_464, 581_627_328, (5.3, 597)),
  "PDARTS": Counts(4_944_352, 542_819_328, (4.9, None)),
  "NASNet": Counts(5_564_320, 604_031_616, (5.3, 564)),
  "AmoebaNet": Counts(4_627_360, 526_746_624),
  "DrNAS_cifar10": Counts(5_738_464, 633_832_320),
  "SNAS_mild": Counts(3_939_328, 438_042_432, (4.3, 522)),
}
# name -> as trained, and fused for evaluation; 80 classes at 640 px.
YOLO_NAS = {
  "yolo_nas_s": (Counts(12_878_304, 16_939_008_000), Counts(12_167_600, 15_898_624_000)),
  "yolo_nas_m": (Counts(33_861_346, 47_092_736_000), Counts(31_894_002, 43_879_833_600)),
  "yolo_nas_l": (Counts(44_529_448, 64_493_158_400), Counts(41_984_984, 59_917_107_200)),
}
PLACEHOLDERS = {"yolo_nas_s": 6_175_584, "yolo_nas_m": 17_321_312, "yolo_nas_l": 22_446_944}

_TITLE = """Published cells and YOLO-NAS: what they cost here and as published
*params*, *MACs*: of our networks, counted, without auxiliary head and without the unused
placeholders of YOLO-NAS' weight files; MACs are those of convolutions and linear layers. *off*:
ours minus exact counts of the published code's networks. *paper M*: millions as papers print them,
read where later ones quote them; they do not all follow from the published cells (DARTS on
ImageNet: 574 M in print, 529.9 M by counting). YOLO-NAS' weight files have placeholders besides:
{placeholders}; those of our networks are as many, or no table is made.

![Parameters and MACs of the cells on ImageNet](costs.svg)"""


def make(out: pathlib.Path, *, command: str) -> list[table.Row]:
  """Makes the table; every network is counted and none is run.

  Args:
    out: folder of the table and of `costs.svg`.
    command: goes into the provenance.
  """
  rows = [cell_row(name, "CIFAR-10", counts) for name, counts in CIFAR10.items()]
  rows += [cell_row(name, "ImageNet", counts) for name, counts in IMAGENET.items()]
  for name in YOLO_NAS:
    rows += yolo_nas_rows(name)
  figures.save(_draw(rows), out / "costs.svg")
  provenance = {
    "command": command,
    "seeds": [],
    "convention": "multiply-accumulates of convolutions and linear layers, padding as if dense",
  }
  placeholders = ", ".join(f"{name} {count:,}" for name, count in PLACEHOLDERS.items())
  table.write(out, _TITLE.format(placeholders=placeholders), rows, provenance)
  return rows


def _draw(rows: Sequence[table.Row]) -> Figure:
  """Parameters and MACs of the cells on ImageNet, bars; as printed, crosses."""
  shown = sorted((row for row in rows if row["for"] == "ImageNet"), key=lambda row: row["MACs"])
  figure = Figure(figsize=(8, 0.8 + 0.3 * len(shown)), layout="constrained")
  axes = figure.subplots(1, 2, sharey=True)
  for axis, name, label in zip(axes, ("params", "MACs"), ("parameters", "MACs"), strict=True):
    millions = [row[name] / 1e6 for row in shown]
    axis.barh([row["network"] for row in shown], millions, 0.7, color=figures.colour(0))
    printed = [(row[f"paper M {name}"], n) for n, row in enumerate(shown)]
    axis.plot(
      *zip(*[pair for pair in printed if pair[0] != ""], strict=True), "kx", label="printed"
    )
    axis.set_xlabel(f"million {label}")
    axis.grid(alpha=0.3, axis="x")
  figure.legend(*axes[1].get_legend_handles_labels(), fontsize=8, loc="outside upper right")
  return figure


def cell_row(name: str, kind: str, published: Counts) -> table.Row:
  """A published genotype in the network of `kind`, beside what is published."""
  network = "cifar" if kind == "CIFAR-10" else "imagenet"
  ours = info.measure(*with_network(genotypes.published(name), network))
  return _row(name, kind, ours.params, ours.macs, published)


def yolo_nas_rows(name: str) -> list[table.Row]:
  """As trained and fused; RuntimeError if the placeholders are not as many as published."""
  ours = models.measure(name)
  assert ours.fused is not None
  if ours.placeholders != PLACEHOLDERS[name]:
    raise RuntimeError(
      f"{name}: {ours.placeholders} parameters are placeholders; published: {PLACEHOLDERS[name]}"
    )
  trained, fused = YOLO_NAS[name]
  return [
    _row(name, "COCO", ours.params, ours.macs, trained),
    _row(f"{name}, fused", "COCO", *ours.fused, fused),
  ]


def _row(name: str, kind: str, params: int, macs: int, published: Counts) -> table.Row:
  blank = lambda value: "" if value is None else value
  return {
    "network": name,
    "for": kind,
    "params": params,
    "params off": params - published.params,
    "paper M params": blank(published.paper[0]),
    "MACs": macs,
    "MACs off": macs - published.macs,
    "paper M MACs": blank(published.paper[1]),
  }
