# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers as settings give them: what is within the limits, and what is said of the others."""

import numpy as np
import pytest

from dnas.errors import ConfigError, DnasError, check_number


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), np.int64(0)])
def test_numbers_within_their_limits(value):
  check_number("x", value)
  check_number("x", value, least=0, below=1)
  check_number("x", value, above=-1, most=0.5)


@pytest.mark.parametrize(
  ("value", "limits", "message"),
  [
    (-1, dict(least=0), "x must be 0 or more, got -1"),
    (0, dict(above=0), "x must be above 0, got 0"),
    (1, dict(most=0), "x must be 0 or less, got 1"),
    (0.0, dict(below=0), r"x must be below 0, got 0\.0"),
    (2, dict(least=0, most=1), r"x must be in \[0, 1\], got 2"),
    (0, dict(above=0, below=1), r"x must be in \(0, 1\), got 0"),
    (1, dict(least=0, below=1), r"x must be in \[0, 1\), got 1"),
    (float("nan"), dict(above=0), "x must be above 0, got nan"),
    (float("nan"), {}, "x must be a number, got nan"),
    (None, {}, "x must be a number, got None"),
    ("1", dict(above=0), r"x must be a number \(above 0\), got '1'"),
    (True, dict(least=0, most=1), r"x must be a number \(in \[0, 1\]\), got True"),
  ],
)
def test_what_is_wrong_is_said(value, limits, message):
  with pytest.raises(DnasError, match=f"^{message}$"):
    check_number("x", value, **limits)


def test_the_error_is_of_the_kind_that_is_wanted():
  with pytest.raises(ConfigError):
    check_number("x", "1", kind=ConfigError)
