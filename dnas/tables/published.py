# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published results as facts, each with its source and with how far it was checked."""

from typing import NamedTuple

# `verified`: read in a stored text. `unverified`: written down from memory.
UNVERIFIED = "unverified: from memory"
QUOTED = "verified: read where a later paper quotes it"


class Published(NamedTuple):
  """A published result.

  Attributes:
    mean: as printed, in percent; of ZERO_COST a correlation.
    std: likewise; None where none is printed.
    status: whether the number was read or remembered.
    source: where it stands.
  """

  mean: float
  std: float | None
  status: str
  source: str


def columns(fact: Published | None) -> dict[str, float | str]:
  """The columns by which tables show a fact; empty texts where there is none."""
  if fact is None:
    return dict.fromkeys(("published", "published_std", "status", "source"), "")
  std = "" if fact.std is None else fact.std
  return dict(published=fact.mean, published_std=std, status=fact.status, source=fact.source)


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
      QUOTED,
      f"{NASBENCH201_PAPER}, quoted by a later paper, table 2",
      ((94.37, None), (73.51, None), (47.31, None)),
    ),
  )
  for dataset, (mean, std) in zip(("cifar10", "cifar100", "imagenet16_120"), values, strict=True)
}

_RELIZO = f"{NASBENCH201_PAPER}, quoted by ReLIZO, table 2"
_LATER = "quoted by arXiv:2304.10970v4, table 1"
# The same for searches on the data at the papers' scale. For DARTS, second order, another
# convention circulates (searched on each data set: 38.97 and 18.41 on the last two).
NASBENCH201_ONESHOT = {
  (method, dataset): Published(mean, std, status, source)
  for method, status, source, values in (
    ("darts_first_order", QUOTED, _RELIZO, ((54.30, 0.0), (15.61, 0.0), (16.32, 0.0))),
    ("darts_second_order", QUOTED, _RELIZO, ((54.30, 0.0), (15.61, 0.0), (16.32, 0.0))),
    ("gdas", QUOTED, _RELIZO, ((93.61, 0.09), (70.70, 0.30), (41.71, 0.98))),
    ("snas", QUOTED, _LATER, ((92.77, 0.83), (69.34, 1.98), (43.16, 2.64))),
    ("dsnas", QUOTED, _LATER, ((93.08, 0.13), (31.01, 16.38), (41.07, 0.09))),
    ("pc_darts", QUOTED, _LATER, ((93.41, 0.30), (67.48, 0.89), (41.31, 0.22))),
    ("idarts", QUOTED, _LATER, ((93.58, 0.32), (70.83, 0.48), (40.89, 0.68))),
    (
      "darts_minus",
      QUOTED,
      "Chu et al. 2021 (arXiv:2009.01027), quoted by a later paper, table 8",
      ((93.80, 0.40), (71.53, 1.51), (45.12, 0.82)),
    ),
    ("drnas", QUOTED, _LATER, ((94.36, 0.0), (73.51, 0.0), (46.34, 0.0))),
    ("beta_darts", QUOTED, _LATER, ((94.36, 0.0), (73.51, 0.0), (46.34, 0.0))),
    ("lambda_darts", QUOTED, _LATER, ((94.36, 0.0), (73.51, 0.0), (46.34, 0.0))),
    (
      "gaea",
      UNVERIFIED,
      "Li et al. 2021 (arXiv:2004.07802), GAEA DARTS (ERM)",
      ((94.10, 0.29), (73.43, 0.13), (46.36, 0.0)),
    ),
  )
  for dataset, (mean, std) in zip(("cifar10", "cifar100", "imagenet16_120"), values, strict=True)
}

# (proxy, data set) -> Spearman's correlation with the accuracy of NAS-Bench-201's cells.
ZERO_COST = {
  (proxy, dataset): Published(value, None, UNVERIFIED, "arXiv:2101.08134, table 1")
  for proxy, values in (
    ("grad_norm", (0.58, 0.64, 0.58)),
    ("snip", (0.58, 0.63, 0.58)),
    ("grasp", (0.48, 0.54, 0.56)),
    ("synflow", (0.74, 0.76, 0.75)),
    ("jacob_cov", (0.73, 0.71, 0.71)),
  )
  for dataset, value in zip(("cifar10", "cifar100", "imagenet16_120"), values, strict=True)
}

# Test error of DARTS on CIFAR-10 in RobustDARTS' spaces, in percent.
_ZELA = "Zela et al. 2020 (arXiv:1909.09656), quoted by DARTS-PT, table 3"
ROBUST_DARTS = {
  space: Published(error, None, QUOTED, _ZELA)
  for space, error in (("s1", 3.84), ("s2", 4.85), ("s3", 3.34), ("s4", 7.20))
}
