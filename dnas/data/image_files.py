# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Image files on disk: are they all there, readable, and of which size."""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from dnas.data.images import ImageError, Images, decode
from dnas.data.source import Report

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
# Decoding is the only proof that a file is whole, at 0.3 to 2 ms each. Of larger data sets only
# the headers are read before training, unless the caller asks for more.
DECODED_BY_DEFAULT = 20_000
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height.


def images_in(folder: pathlib.Path) -> list[pathlib.Path]:
  """The image files in a folder and those below it, sorted.

  Links to folders are followed; a folder that can be reached by several paths counts once, by the
  one without links if there is one.
  """
  found: list[pathlib.Path] = []
  seen: set[str] = set()
  starts = [str(folder)]
  for start in starts:  # It grows: links come after what lies beside them.
    for place, inner, names in os.walk(start):
      real = os.path.realpath(place)
      if real in seen:
        inner.clear()
        continue
      seen.add(real)
      inner.sort()
      found += [pathlib.Path(place, name) for name in (*inner, *names)]
      paths = (os.path.join(place, name) for name in inner)
      starts += [path for path in paths if os.path.islink(path)]
  return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


class Info(NamedTuple):
  """A file's size as stored, (height, width) px, and whether EXIF swaps the two."""

  height: int
  width: int
  turned: bool

  @property
  def upright(self) -> tuple[int, int]:
    """(height, width) as a viewer shows it."""
    return (self.width, self.height) if self.turned else (self.height, self.width)


def inspect(
  paths: Sequence[pathlib.Path],
  report: Report,
  decode_all: bool | None = None,
  skip_broken: bool = False,
) -> list[Info | None]:
  """The sizes of image files; None, and a fault in `report`, for what cannot be used.

  Args:
    paths: the files.
    report: gets one line for each file that is missing or unreadable.
    decode_all: decode each file; None: if there are at most 20,000.
    skip_broken: files that are there and cannot be decoded are noted by `report.skip`, unless
      none can be; otherwise any such file is fatal.
  """
  if decode_all is None:
    decode_all = len(paths) <= DECODED_BY_DEFAULT
  look = lambda path: _look(path, bool(decode_all))
  with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    found = list(pool.map(look, paths, chunksize=16))
  missing = [p for p, fault in zip(paths, found) if fault == "missing"]
  if len(missing) == len(paths) > 1:
    report.stop(missing[0], f"missing, as all {len(paths)} images are: is the folder right?")
    return [None] * len(paths)
  tolerant = skip_broken and any(isinstance(info, Info) for info in found)
  for path, fault in zip(paths, found):
    if isinstance(fault, str):
      note = report.skip if tolerant and fault != "missing" else report.stop
      note(path, fault)
  return [info if isinstance(info, Info) else None for info in found]


def _look(path: pathlib.Path, whole: bool) -> Info | str:
  """The size of one file, or what is wrong with it."""
  try:
    if not path.is_file():
      return "a folder, not an image" if path.is_dir() else "missing"
  except OSError as error:  # A name that no file can have.
    return f"cannot be read: {error.strerror}"
  try:
    with Image.open(path) as image:
      info = Info(image.height, image.width, _orientation(image) in _TURNED)
    if whole:
      pixels, reduction = decode(np.fromfile(path, np.uint8), 8)
      height, width = info.upright
      if pixels.shape[:2] != (-(-height // reduction), -(-width // reduction)):
        return f"is {width} x {height} px by its header, but of another size when it is decoded"
  except UnidentifiedImageError:
    return f"not an image that can be read ({path.stat().st_size} bytes)"
  except (OSError, SyntaxError, ImageError, Image.DecompressionBombError) as error:
    return f"cannot be read: {error}"  # Pillow raises SyntaxError for a broken PNG header.
  return info


def _orientation(image: Image.Image) -> int:
  """As EXIF has it, by which `decode` turns; Pillow would take that of XMP, too.

  Of TIFF it is 1: Pillow gives the size that it has upright.
  """
  if image.format == "PNG" and "exif" not in image.info:
    image.load()  # It may come after the pixels.
  exif = Image.Exif()
  exif.load(image.info.get("exif", b""))
  return exif.get(_ORIENTATION, 1)


def upright_size(path: pathlib.Path) -> tuple[int, int] | None:
  """(height, width) as a viewer shows it, by the file's header; None where that cannot be read."""
  info = _look(path, whole=False)
  return info.upright if isinstance(info, Info) else None


def file_images(
  paths: Sequence[pathlib.Path],
  memory_mib: float,
  upright: Callable[[int], bool] = lambda i: True,
) -> Images:
  """Random access to image files."""
  return Images(
    lambda i: np.fromfile(paths[i], np.uint8),
    lambda i: str(paths[i]),
    memory_mib=memory_mib,
    upright=upright,
  )
