# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet B0 to B7: one genotype, scaled, in the network class of every genotype.

  network = efficientnet.build("efficientnet_b0", 1000, rngs=Rngs(0))
  logits, _ = network(images, {}, Mode())

Source: Tan and Le, EfficientNet: rethinking model scaling (1905.11946). Their dropout before the
classifier is not there; drop-path is the training's (`Mode.drop_path`).
"""

from dnas.errors import choose_from
from dnas.nn.init import Rngs
from dnas.nn.network import Network
from dnas.space import mbconv
from dnas.space.scaling import Scaled, scale
from dnas.space.space import SpaceError

# (width, depth, image in px) as in the published code, which rounds what the paper's rule gives.
COEFFICIENTS = {
  "efficientnet_b0": (1.0, 1.0, 224),
  "efficientnet_b1": (1.0, 1.1, 240),
  "efficientnet_b2": (1.1, 1.2, 260),
  "efficientnet_b3": (1.2, 1.4, 300),
  "efficientnet_b4": (1.4, 1.8, 380),
  "efficientnet_b5": (1.6, 2.2, 456),
  "efficientnet_b6": (1.8, 2.6, 528),
  "efficientnet_b7": (2.0, 3.1, 600),
}
NAMES = tuple(COEFFICIENTS)


def genotype(name: str) -> Scaled:
  """EfficientNet by name: its genotype and the side of its images.

  Raises:
    SpaceError: the name is not in `NAMES`.
  """
  if name not in COEFFICIENTS:
    raise SpaceError(choose_from("EfficientNet", name, NAMES))
  return scale(mbconv.efficientnet_b0(), *COEFFICIENTS[name])


def build(name: str, classes: int = 1000, *, rngs: Rngs) -> Network:
  """EfficientNet by name, with initial weights; `Rngs(None)` where it is only counted."""
  return Network(genotype(name).genotype, classes, rngs=rngs)
