# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Published spaces and networks: which one a space has, and which one it gets."""

import random

import pytest

from dnas.space import cells, genotypes, macro, published
from dnas.space.space import SpaceError

BENCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


@pytest.mark.parametrize(
  ("space", "network"),
  [
    (genotypes.published("DARTS_V2"), ("cifar", 36, 20)),
    (macro.imagenet(genotypes.published("NASNet"), 8, 5), ("imagenet", 8, 5)),
    (macro.cifar(cells.darts(), 6, 3), ("cifar", 6, 3)),
    (cells.nasbench201(8, 2), ("nasbench201", 8, 2)),
    (genotypes.from_nasbench201(BENCH), ("nasbench201", 16, 5)),
    (macro.detector(cells.nasbench201()), None),
    (macro.detector(cells.darts()), None),
    (cells.darts().replace(final_norm=True), None),
    (cells.darts().replace(stages=()), None),
  ],
)
def test_networks_are_recognised(space, network):
  assert published.network_of(space) == network


def test_networks_are_chosen():
  darts, bench = genotypes.published("DARTS_V2"), genotypes.from_nasbench201(BENCH)
  choose = lambda *args: published.with_network(*args)[1]
  assert choose(darts) == ("cifar", 36, 20)
  assert choose(darts, "imagenet") == ("imagenet", 48, 14)
  assert choose(darts, None, 8) == ("cifar", 8, 20)
  assert choose(darts, "cifar", None, 5) == ("cifar", 36, 5)
  assert choose(cells.darts(), "cifar") == ("cifar", 16, 8)
  assert choose(bench, None, None, 2) == ("nasbench201", 16, 2)
  assert choose(macro.cifar(darts, 4, 6), None, 8) == ("cifar", 8, 6), "a file keeps the rest"
  assert choose(darts.replace(stages=())) == ("cifar", 36, 20)
  assert choose(bench.replace(stages=()), None, 4) == ("nasbench201", 4, 5)
  built, network = published.with_network(macro.imagenet(darts, 4, 6), None, None, 3)
  assert built == macro.imagenet(darts, 4, 3)
  assert network == ("imagenet", 4, 3)


def test_own_stages_stay():
  space = macro.detector(cells.nasbench201()).sample(random.Random(0))
  assert published.with_network(space) == (space, None)
  with pytest.raises(SpaceError, match="so give the network too: cifar, imagenet, nasbench201"):
    published.with_network(space, channels=8)
  assert published.with_network(space, "nasbench201")[1] == ("nasbench201", 16, 5)
  with pytest.raises(SpaceError, match="unknown network 'imagenett'; did you mean 'imagenet'"):
    published.with_network(space, "imagenett")


def test_load_space(tmp_path):
  assert published.load_space("robust_s2") == cells.robust_s2()
  (tmp_path / "s.json").write_text(cells.robust_s4(4, 5).to_json())
  assert published.load_space(str(tmp_path / "s.json")) == cells.robust_s4(4, 5)
  with pytest.raises(SpaceError, match=r"'robust_s5'; did you mean 'robust_s4'\? Valid: darts, "):
    published.load_space("robust_s5")
