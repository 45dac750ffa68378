# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding: encoded bytes -> uint8 RGB, at a fraction of the size where that is enough.

A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, each pixel the mean of a block (the decoder
uses fewer coefficients of the cosine transform): 640 x 480 takes a third of the time at 1/4.
"""

import threading
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from dnas.errors import DnasError

# Worker threads decode in parallel already; OpenCV's own threads would only compete with them.
cv2.setNumThreads(0)

_FLAGS = {
  1: cv2.IMREAD_COLOR,
  2: cv2.IMREAD_REDUCED_COLOR_2,
  4: cv2.IMREAD_REDUCED_COLOR_4,
  8: cv2.IMREAD_REDUCED_COLOR_8,
}
REDUCTIONS = tuple(_FLAGS)


class ImageError(DnasError):
  """An image cannot be read or decoded."""


def decode(
  data: bytes | np.ndarray, reduction: int = 1, *, upright: bool = True
) -> tuple[np.ndarray, int]:
  """Encoded bytes -> (uint8 [ceil(H / r), ceil(W / r), 3] RGB, r).

  Args:
    data: a JPEG, PNG or other file's content. Grey becomes RGB; transparency is dropped.
    reduction: 1, 2, 4 or 8. It is used for JPEG; anything else is decoded whole (r = 1).
    upright: turn the image as its EXIF orientation says.

  Raises:
    ImageError: if OpenCV cannot decode it.
  """
  buffer = np.frombuffer(data, np.uint8)
  is_jpeg = buffer[:2].tobytes() == b"\xff\xd8"
  reduction = reduction if is_jpeg else 1
  flags = _FLAGS[reduction] | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
  try:
    image = cv2.imdecode(buffer, flags) if buffer.size else None
  except cv2.error as error:
    raise ImageError(f"OpenCV cannot decode it: {error.err}") from error
  if image is None:
    raise ImageError(f"OpenCV cannot decode its {buffer.size} bytes as an image")
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), reduction


class Images:
  """Random access to N images, decoded on demand and kept in memory up to a limit.

  Args:
    fetch: i -> encoded bytes, or uint8 [H, W, 3] where there is nothing to decode.
    name: i -> what to call image i in an error.
    memory_mib: decoded images are kept until they fill this much; what comes later is decoded
      each time. Content never depends on it. 0 keeps nothing.
    upright: i -> whether its EXIF orientation counts.
  """

  def __init__(
    self,
    fetch: Callable[[int], bytes | np.ndarray],
    name: Callable[[int], str],
    *,
    memory_mib: float = 512.0,
    upright: Callable[[int], bool] = lambda i: True,
  ):
    self._fetch = fetch
    self.name = name
    self._upright = upright
    self._room_bytes = int(memory_mib * 2**20)
    self._kept: dict[tuple[int, int], tuple[np.ndarray, int]] = {}
    self._lock = threading.Lock()

  def some(self, indices: Sequence[int] | np.ndarray) -> "Images":
    """These alone, numbered anew; they are kept apart from the others, in the room left here."""
    at = [int(i) for i in indices]
    return Images(
      lambda i: self._fetch(at[i]),
      lambda i: self.name(at[i]),
      memory_mib=self._room_bytes / 2**20,
      upright=lambda i: self._upright(at[i]),
    )

  def read(self, i: int) -> np.ndarray:
    """Image i as uint8 [H, W, 3], RGB, read-only.

    Raises:
      ImageError: it cannot be read or decoded; the message names it.
    """
    return self.reduced(i, 1)[0]

  def reduced(self, i: int, reduction: int) -> tuple[np.ndarray, int]:
    """Image i as (uint8 [ceil(H / r), ceil(W / r), 3], r) with r = `reduction`, or 1: see `decode`.

    Raises:
      ImageError: it cannot be read or decoded; the message names it.
    """
    if (kept := self._kept.get((i, reduction))) is not None:
      return kept
    try:
      data = self._fetch(i)
      if isinstance(data, np.ndarray) and data.ndim == 3:
        image, actual = data, 1
      else:
        image, actual = decode(data, reduction, upright=self._upright(i))
    except (OSError, ImageError) as error:
      raise ImageError(f"{self.name(i)}: {error}") from error
    image.flags.writeable = False
    with self._lock:
      if image.nbytes <= self._room_bytes and (i, reduction) not in self._kept:
        self._kept[i, reduction] = (image, actual)
        self._room_bytes -= image.nbytes
    return image, actual
