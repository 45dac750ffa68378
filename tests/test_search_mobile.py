# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of MBConv blocks are searched on the detection loss like any other cells."""

import pytest

from dnas import config as configs
from dnas import method, search

SMALL = {
  "space": dict(
    name="dnas.space.mbconv.mbconv",
    channels=(4, 4),
    depths=(1, 2),
    strides=(2, 2),
    kernels=(3,),
    expansions=(1, 2),
    stem_channels=4,
    head_channels=8,
  ),
  "data.size": (32, 32),
  "task.strides": (4, 8),
  "task.neck_channels": 4,
  "search.network": dict(name="own"),
  "search.relaxation": dict(name="gumbel_softmax"),
  "search.steps": 2,
  "search.warmup_steps": 0,
  "search.batch_size": 2,
  "search.watch.every_steps": 0,
  "data.threads": 1,
}


@pytest.mark.slow
def test_a_search(root, tmp_path):
  config = configs.load(root / "configs" / "quickstart.py", SMALL)
  space = method.space_of(config)
  assert set(space.searched) == {"mbconv1", "mbconv2"}
  genotype = search.search(config, tmp_path)
  assert space.decide(space.choices(genotype)) == genotype
