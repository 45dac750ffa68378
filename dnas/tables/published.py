# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published results as facts, each with its source and with how far it was checked."""

from typing import NamedTuple

# `verified`: read in a stored text. `unverified`: written down from memory.
UNVERIFIED = "unverified: from memory"


class Published(NamedTuple):
  """A published result.

  Attributes:
    mean: as printed, in percent.
    std: likewise; None where none is printed.
    status: whether the number was read or remembered.
    source: where it stands.
  """

  mean: float
  std: float | None
  status: str
  source: str


NASBENCH201_PAPER = "Dong and Yang 2020 (arXiv:2001.00326)"
# (method, data set) -> 200-epoch test accuracy on NAS-Bench-201.
NASBENCH201 = {
  (method, dataset): Published(mean, std, status, source)
  for method, status, source, values in (
    (
      "rs",
      UNVERIFIED,
      NASBENCH201_PAPER,
      ((93.70, 0.36), (71.04, 1.07), (44.57, 1.25)),
    ),
    (
      "rea",
      UNVERIFIED,
      NASBENCH201_PAPER,
      ((93.92, 0.30), (71.84, 0.99), (45.54, 1.03)),
    ),
    (
      "reinforce",
      "verified: read where a later paper's README quotes it",
      f"{NASBENCH201_PAPER}, quoted by RMI-NAS",
      ((93.85, 0.37), (71.71, 1.09), (45.24, 1.18)),
    ),
    (
      "optimal",
      "verified: read where a later paper quotes it",
      f"{NASBENCH201_PAPER}, quoted",
      ((94.37, None), (73.51, None), (47.31, None)),
    ),
  )
  for dataset, (mean, std) in zip(("cifar10", "cifar100", "imagenet16_120"), values, strict=True)
}
