# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The detector on a space: backbone, neck and head; supernet and derived detector alike."""

from collections.abc import Sequence

import jax
from flax import nnx

from dnas.detection.loss import Predictions
from dnas.nn.head import Head
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.neck import SUM, Neck
from dnas.nn.network import Backbone, Weights
from dnas.nn.supernet import PLAIN, Supernet
from dnas.space.space import SearchSpace, SpaceError


class Detector(nnx.Module):
  """Anchor-free one-stage detector `[B, H, W, 3] -> Predictions`.

  Args:
    space: search space or genotype with its stages; its cell named `fusion`, if it has one, stands
      wherever the neck joins two scales (otherwise they are summed).
    classes: number of classes.
    strides: which feature maps the neck takes; each twice the one before. The last cell of the
      backbone at a stride gives it.
    neck_channels: width of the neck.
    path: "fpn" or "pan", see `Neck`.
    head_convs, reg_max: see `Head`.
    search: as in `Backbone`; holds for the neck too.
    supernet: as in `Backbone`, for the neck's fusion cell too.
    rngs: initialises the weights.

  Raises:
    SpaceError: a stride that the backbone does not have, and what `Neck` raises.
    ValueError: what `Head` raises.
  """

  def __init__(
    self,
    space: SearchSpace,
    classes: int,
    *,
    strides: Sequence[int],
    neck_channels: int,
    path: str,
    head_convs: int,
    reg_max: int,
    search: bool | None = None,
    supernet: Supernet = PLAIN,
    rngs: Rngs,
  ):
    search = not space.is_genotype if search is None else search
    self.backbone = Backbone(space, search=search, supernet=supernet, rngs=rngs)
    levels = self.backbone.levels()
    missing = [stride for stride in strides if stride not in levels]
    if missing or not strides:
      raise SpaceError(
        f"strides {tuple(strides)}: the backbone has feature maps at strides {sorted(levels)}"
      )
    self.levels = tuple(levels[stride] for stride in strides)
    self.neck = Neck(
      space.cells.get("fusion", SUM),
      [self.backbone.channels[i] for i in self.levels],
      strides,
      neck_channels,
      path=path,
      affine=not search,
      pool_norm=search and space.pool_norm,
      supernet=supernet,
      rngs=rngs,
    )
    self.head = Head(
      neck_channels,
      classes,
      strides,
      convs=head_convs,
      reg_max=reg_max,
      rngs=rngs,
    )

  def __call__(self, image: jax.Array, weights: Weights, mode: Mode) -> Predictions:
    """Predicts, without decoding (`detection.loss.decode`) or suppression (`detection.nms`).

    Args:
      image: `[B, H, W, 3]`.
      weights: mixing weights of the searched cells; `{}` for a genotype.
      mode: how the pass is meant.

    Returns:
      Predictions over the A = sum of ceil(H / stride) * ceil(W / stride) anchors.
    """
    if not self.neck.cell.is_decided and "fusion" not in weights:
      raise ValueError(f"cell 'fusion' holds choices and needs mixing weights, got {[*weights]}")
    features = self.backbone(image, weights, mode.at(0))
    chosen = [features[i] for i in self.levels]
    fused = self.neck(chosen, weights.get("fusion"), mode.at(1))
    return self.head(fused, mode.at(2))
