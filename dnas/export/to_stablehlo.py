# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""StableHLO by `jax.export`: one file that runs on CPU, GPU and TPU, for any batch."""

from collections.abc import Callable

import jax
import numpy as np

from dnas.export.environment import need

PLATFORMS = ("cpu", "cuda", "tpu")


def convert(function: Callable, image: tuple[int, int], batch: int | None) -> bytes:
  """The function as serialised StableHLO: `jax.export.deserialize(data).call(images)`.

  Args:
    function: images uint8 `[B, H, W, 3]` -> named arrays.
    image: H and W.
    batch: B, or None for any.

  Raises:
    DnasError: flatbuffers is not installed.
  """
  need("flatbuffers", "export")
  (size,) = jax.export.symbolic_shape("B") if batch is None else (batch,)
  spec = jax.ShapeDtypeStruct((size, *image, 3), np.uint8)
  exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(spec)
  return bytes(exported.serialize())


def load(data: bytes) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The file's content as a function of images."""
  compiled = jax.jit(jax.export.deserialize(bytearray(data)).call)
  return lambda images: jax.device_get(compiled(images))
