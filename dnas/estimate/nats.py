# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The official NATS-Bench files as a benchmark for `tabular.look_up`.

evaluator = look_up(nats_bench(folder), dataset="cifar10", split="valid", epochs=200)
"""

import dataclasses
import importlib
import pathlib
from typing import Any

from dnas.errors import install
from dnas.estimate.tabular import DATASETS, TableError
from dnas.space import genotypes
from dnas.space.space import SearchSpace


@dataclasses.dataclass(frozen=True)
class NatsBench:
  """The official NATS-Bench files, topology space, through the package `nats_bench`."""

  api: Any

  def query(self, genotype: SearchSpace, *, dataset: str, split: str, epochs: int) -> float:
    """Mean accuracy in percent over the benchmark's seeds, after the last epoch.

    Args:
      genotype: of `cells.nasbench201()`.
      dataset: as in DATASETS.
      split: "valid" (on CIFAR-10 of the networks trained on half of the images) or "test".
      epochs: 12 or 200, each with a schedule of its own.

    Raises:
      SpaceError: the genotype is in another space.
      TableError: there are no such runs.
    """
    if dataset not in DATASETS or split not in ("valid", "test") or epochs not in (12, 200):
      raise TableError(
        f"NATS-Bench: no {dataset} {split} {epochs} epochs. There are: {', '.join(DATASETS)}; "
        "valid, test; 12, 200"
      )
    official = {"imagenet16_120": "ImageNet16-120"}.get(dataset, dataset)
    if dataset == "cifar10" and split == "valid":
      official = "cifar10-valid"
    index = self.api.query_index_by_arch(genotypes.to_nasbench201(genotype))
    if index < 0:
      raise TableError(f"NATS-Bench: {genotypes.to_nasbench201(genotype)} is not in it")
    info = self.api.get_more_info(index, official, hp=str(epochs), is_random=False)
    return float(info[f"{split}-accuracy"])


def nats_bench(path: pathlib.Path | str, *, allow_pickle: bool = False) -> NatsBench:
  """Opens the official files: a folder `NATS-tss-v1_0-...-simple`, or one `.pickle.pbz2` file.

  Unlike the merged table they have 200-epoch validation accuracies.

  Args:
    path: of them.
    allow_pickle: they are pickles, which run whatever code they hold: say yes only to files that
      you trust.

  Raises:
    TableError: the path is missing, or the package (extra `nats`), or `allow_pickle`
      is false.

  Source: Dong et al. 2021 (arXiv:2009.00437).
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise TableError(f"{path} is missing: the NATS-Bench topology files, see the paper's page")
  if not allow_pickle:
    raise TableError(
      f"{path} holds pickles, which may run any code when they are read; if you trust them, say so "
      "with allow_pickle=True"
    )
  try:
    official = importlib.import_module("nats_bench")  # Optional, and needed for nothing else.
  except ModuleNotFoundError:
    raise TableError(
      f"NATS-Bench files are read by the package nats_bench: {install('nats')}"
    ) from None
  return NatsBench(official.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False))
