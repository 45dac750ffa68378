# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Operations whose names hold numbers: `csp_qarep_3x64`, `mbconv_5x5_e6_se`."""

from collections.abc import Callable

from flax import nnx

from dnas.nn import csp, mbconv


def from_name(name: str) -> Callable[..., nnx.Module] | None:
  """The operation of this name from the one family that knows it; None if none does."""
  return csp.from_name(name) or mbconv.from_name(name)
