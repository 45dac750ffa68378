# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published search spaces by name, and published networks around any space's cells."""

import pathlib

from dnas.errors import choose_from
from dnas.space import cells, genotypes, macro, mbconv
from dnas.space.space import SearchSpace, SpaceError

SPACES = {
  make.__name__: make
  for make in (
    cells.darts,
    cells.nasbench201,
    cells.robust_s1,
    cells.robust_s2,
    cells.robust_s3,
    cells.robust_s4,
    mbconv.proxylessnas,
    mbconv.fbnet,
    mbconv.mnasnet,
  )
}
NETWORKS = {"cifar": macro.cifar, "imagenet": macro.imagenet, "nasbench201": macro.nasbench201}
# (channels, layers) as published: evaluated, and searched where somebody searches.
_EVALUATED = {"cifar": (36, 20), "imagenet": (48, 14), "nasbench201": (16, 5)}
_SEARCHED = {"cifar": (16, 8), "imagenet": (16, 8), "nasbench201": (16, 1)}


def load_space(name_or_file: str) -> SearchSpace:
  """A published search space by name, or one from a JSON file.

  Raises:
    SpaceError: neither a name nor a file, or the file is malformed.
  """
  if name_or_file in SPACES:
    return SPACES[name_or_file]()
  path = pathlib.Path(name_or_file)
  if not path.is_file():
    raise SpaceError(choose_from("space (no file either)", name_or_file, SPACES))
  return genotypes.load(path)


def network_of(space: SearchSpace) -> tuple[str, int, int] | None:
  """(network, channels, layers) that give the space its stages; None for stages of its own."""
  for name, give in NETWORKS.items():
    if not space.stages:
      break
    first = space.stages[0]
    layers = first.repeats if name == "nasbench201" else sum(s.repeats for s in space.stages)
    try:
      if give(space, first.channels, layers) == space:
        return name, first.channels, layers
    except SpaceError:  # its cells do not fit this network
      continue
  return None


def with_network(
  space: SearchSpace,
  network: str | None = None,
  channels: int | None = None,
  layers: int | None = None,
) -> tuple[SearchSpace, tuple[str, int, int] | None]:
  """A space in a published network: (space, (network, channels, layers)).

  Args:
    space: its own stages stay where `network`, `channels` and `layers` are all None.
    network: a name in `NETWORKS`; None for the one that the space has, or, where it has no stages,
      that its cells fit.
    channels, layers: by default those of the paper (for a search space: of its search), or, where
      `network` is None, those that the space has.

  Raises:
    SpaceError: the network does not take the space's cells, or a number is out of range.
  """
  if network is not None and network not in NETWORKS:
    raise SpaceError(choose_from("network", network, NETWORKS))
  present = network_of(space)
  if network is None and not space.stages:
    network = "nasbench201" if "cell" in space.cells else "cifar"
  if network is None:
    if channels is None and layers is None:
      return space, present
    if present is None:
      raise SpaceError(
        "channels, layers: the stages are none of a published network, so give the network too: "
        f"{', '.join(NETWORKS)}"
      )
    network, *default = present
  else:
    default = (_EVALUATED if space.is_genotype else _SEARCHED)[network]
  channels = default[0] if channels is None else channels
  layers = default[1] if layers is None else layers
  return NETWORKS[network](space, channels, layers), (network, channels, layers)
