# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable neural architecture search in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from dnas.nas import NAS as NAS

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
  """`from dnas import NAS`, which brings in JAX only then."""
  if name == "NAS":
    from dnas.nas import NAS

    return NAS
  raise AttributeError(f"module 'dnas' has no attribute {name!r}")
