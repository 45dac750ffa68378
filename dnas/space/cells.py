# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The published cell spaces, and `dense` for one's own.

Each function returns a `SearchSpace` with the network of its paper; `dnas.space.macro` changes the
network.

>>> from dnas.space import cells
>>> len(cells.darts().cells["normal"].edges)
14
>>> cells.dense(("skip_connect", "my_lab.ops.gelu_conv"), nodes=2).size
8
"""

import random
from collections.abc import Sequence

from dnas.space import genotypes, macro, shapes
from dnas.space.space import SearchSpace, SpaceError

DARTS_OPS = (
  "none",
  "max_pool_3x3",
  "avg_pool_3x3",
  "skip_connect",
  "sep_conv_3x3",
  "sep_conv_5x5",
  "dil_conv_3x3",
  "dil_conv_5x5",
)
NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

# Zela et al. found these two candidates per edge by pruning the DARTS space twice (1909.09656,
# appendix; here as in their code, automl/RobustDARTS, src/spaces.py); edges in the order (0,2)
# (1,2) (0,3) (1,3) (2,3) ... (4,5). Letters: see _S1_OPS.
_S1_OPS = {
  "k": "skip_connect",
  "m": "max_pool_3x3",
  "a": "avg_pool_3x3",
  "s": "sep_conv_3x3",
  "d": "dil_conv_3x3",
  "D": "dil_conv_5x5",
}
_S1 = {
  "normal": "kd kD kD ks kd mk ks ks kd ks mk kd dD dD",
  "reduce": "ma md ma ma kD ma ms kd kD ma ma kD kD kD",
}


def dense(
  ops: Sequence[str],
  nodes: int,
  inputs: int = 1,
  *,
  keep: int | None = None,
  channels: int = 16,
  layers: int = 5,
) -> SearchSpace:
  """A space of one's own candidates on a densely connected cell.

  Args:
    ops: names of operations in `dnas.nn.ops`, or dotted paths to one's own.
    nodes: number of nodes that are computed.
    inputs: 1 for the NAS-Bench-201 network (`layers` cells per stage), 2 for a normal and a
      reduction cell in the DARTS network (`layers` cells in all).
    keep: edges that a genotype keeps per node (see `Cell`).
    channels: width of the first stage.
    layers: see `inputs`.

  Raises:
    SpaceError: an argument is out of its range.
  """
  if inputs == 1:
    cell = shapes.dense(ops, nodes, 1, keep=keep)
    return macro.nasbench201(SearchSpace({"cell": cell}), channels, layers)
  if inputs == 2:
    cell = shapes.dense(ops, nodes, 2, keep=keep)
    return macro.cifar(SearchSpace({"normal": cell, "reduce": cell}), channels, layers)
  raise SpaceError(f"inputs: must be 1 or 2, got {inputs!r}")


def nasbench201(channels: int = 16, cells: int = 5) -> SearchSpace:
  """NAS-Bench-201 (2001.00326): 4 nodes, 6 edges, 5 operations, 15,625 genotypes.

  Args:
    channels: width of the first stage.
    cells: cells per stage.
  """
  cell = shapes.dense(NASBENCH201_OPS, nodes=3)
  return macro.nasbench201(SearchSpace({"cell": cell}), channels, cells)


def darts(channels: int = 16, layers: int = 8) -> SearchSpace:
  """DARTS (1806.09055): 2 inputs, 4 nodes, 14 edges, 8 operations, 2 edges kept per node.

  Normal and reduction cell have 1,037,664,180 genotypes each: prod over nodes of C(n, 2) * 7^2.

  Args:
    channels: width of each node of the first cells.
    layers: number of cells.
  """
  return _two_cells(DARTS_OPS, DARTS_OPS, channels, layers)


def robust_s1(channels: int = 16, layers: int = 8, nodes: int = 4) -> SearchSpace:
  """S1 of Zela et al. (1909.09656): the two best operations of each edge.

  Args:
    channels, layers: as in `darts`.
    nodes: 4 in the paper; fewer make a smaller cell of its first nodes.

  Raises:
    SpaceError: more than 4 nodes, for which there are no candidates.
  """
  normal, reduce = (
    [tuple(_S1_OPS[letter] for letter in pair) for pair in _S1[name].split()]
    for name in ("normal", "reduce")
  )
  edges = sum(range(2, 2 + nodes))
  return _two_cells(normal[:edges], reduce[:edges], channels, layers, nodes)


def robust_s2(channels: int = 16, layers: int = 8, nodes: int = 4) -> SearchSpace:
  """S2 of Zela et al. (1909.09656): skip connection or separable convolution.

  Arguments: those of `robust_s1`, but for the limit of nodes.
  """
  ops = ("skip_connect", "sep_conv_3x3")
  return _two_cells(ops, ops, channels, layers, nodes)


def robust_s3(channels: int = 16, layers: int = 8, nodes: int = 4) -> SearchSpace:
  """S3 of Zela et al. (1909.09656): S2 and `none`.

  Arguments: those of `robust_s1`, but for the limit of nodes.
  """
  ops = ("none", "skip_connect", "sep_conv_3x3")
  return _two_cells(ops, ops, channels, layers, nodes)


def robust_s4(channels: int = 16, layers: int = 8, nodes: int = 4) -> SearchSpace:
  """S4 of Zela et al. (1909.09656): `noise` (N(0, 1) values) or separable convolution.

  Arguments: those of `robust_s1`, but for the limit of nodes.
  """
  ops = ("noise", "sep_conv_3x3")
  return _two_cells(ops, ops, channels, layers, nodes)


def genotype(source: str) -> SearchSpace:
  """A fixed architecture as a space without choices: a reference to compare a search with.

  Args:
    source: a published name, a file, or a NAS-Bench-201 string (`dnas.space.genotypes.load`).

  Raises:
    SpaceError: there is none, or it still holds choices.
  """
  return genotypes.decided(source)


def sampled(space: SearchSpace, seed: int = 0) -> SearchSpace:
  """One genotype drawn uniformly from a space: what a search has to be better than.

  Args:
    space: in a config `dict(name="nasbench201")`.
    seed: of the draw.
  """
  return space.sample(random.Random(seed))


def _two_cells(normal, reduce, channels: int, layers: int, nodes: int = 4) -> SearchSpace:
  cells = {
    "normal": shapes.dense(normal, nodes, inputs=2, keep=2),
    "reduce": shapes.dense(reduce, nodes, inputs=2, keep=2),
  }
  return macro.cifar(SearchSpace(cells), channels, layers)
