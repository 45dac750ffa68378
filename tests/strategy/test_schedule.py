# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What changes over a search: RobustDARTS' drop-path, P-DARTS' skip drop-out, DARTS-' skip."""

import numpy as np
import pytest

from dnas.nn.supernet import PLAIN, Supernet
from dnas.strategy.schedule import Drops, mode_at, progress_at


def test_progress_is_0_in_the_warm_up_and_1_at_the_end():
  assert [float(progress_at(i, 5, 1)) for i in (0, 1, 3, 5, 9)] == [0.0, 0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_every_rate_by_its_formula(progress):
  mode = mode_at(progress, True, None, Supernet(auxiliary_skip=True), Drops(path=0.2, skip=0.4))
  found = mode.drop_path, mode.skip_dropout, mode.auxiliary_skip
  np.testing.assert_allclose(found, (0.2 * progress, 0.4 * np.exp(-3 * progress), 1 - progress))


def test_what_a_method_has_not_is_not_computed():
  mode = mode_at(0.5, False, None, PLAIN)
  assert (mode.train, mode.drop_path, mode.skip_dropout, mode.auxiliary_skip) == (
    False,
    *[None] * 3,
  )
