# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures to predict on: a file, a folder, a pattern, a video or an array, as one stream."""

import glob
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from dnas.data.image_files import SUFFIXES, images_in, upright_size
from dnas.data.images import ImageError, decode
from dnas.data.letterbox import reduction_for
from dnas.data.source import DataError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")

_COUNTED = (".mp4", ".avi", ".mov", ".m4v")


class Picture:
  """One picture of a stream.

  Attributes:
    name: for people: a path, `clip.mp4 frame 12`, `image 3`.
    stem: for the file that is drawn from it.
    file: that it is decoded from; None: it is in memory.
  """

  def __init__(
    self,
    name: str,
    stem: str,
    load: Callable[[], np.ndarray],
    file: pathlib.Path | None = None,
  ):
    self.name, self.stem, self.file, self._load = name, stem, file, load

  def read(self) -> np.ndarray:
    """The pixels, uint8 `[H, W, 3]` RGB; files are decoded anew at each call.

    Raises:
      ImageError: it cannot be read or decoded; the message names it.
    """
    try:
      return self._load()
    except (OSError, ImageError) as error:
      raise ImageError(f"{self.name}: {error}") from error

  def shown(
    self, content: tuple[int, int], interpolation: str
  ) -> tuple[np.ndarray, int, tuple[int, int]]:
    """(pixels, reduction, height and width in full), for an image that is shown in `content`.

    A JPEG file that is to be made smaller is decoded smaller, as in training and measuring (see
    `letterbox.reduction_for`); anything else whole.

    Raises:
      ImageError: as `read`.
    """
    size = upright_size(self.file) if self.file is not None else None
    reduction = reduction_for(size, content, interpolation) if size is not None else 1
    if self.file is None or size is None or reduction == 1:
      pixels = self.read()
      return pixels, 1, (pixels.shape[0], pixels.shape[1])
    try:
      return *decode(np.fromfile(self.file, np.uint8), reduction), size
    except (OSError, ImageError) as error:
      raise ImageError(f"{self.name}: {error}") from error


def pictures(source: Any) -> Iterator[Picture]:
  """The pictures that `source` stands for.

  Args:
    source: the path of an image, of a video, of a folder (its images, sorted), or a pattern with
      `*`; uint8 `[H, W, 3]` RGB or `[B, H, W, 3]`; or a sequence of any of these.

  Raises:
    DataError: nothing is there, or it is of another kind. Paths are checked at once, before the
      first picture is asked for.
  """
  return _stream(_expand(source, "source"))


def _stream(parts: list[Callable[[], Iterator[Picture]]]) -> Iterator[Picture]:
  for part in parts:
    yield from part()


def _expand(source: Any, where: str) -> list[Callable[[], Iterator[Picture]]]:
  """What has been checked, as functions that start each part of the stream."""
  if isinstance(source, np.ndarray):
    return [lambda: iter(_arrays(source, where))] if _is_image(source, where) else []
  if isinstance(source, (str, os.PathLike)):
    return _path(str(source))
  if isinstance(source, Sequence):
    parts = [part for i, one in enumerate(source) for part in _expand(one, f"{where}[{i}]")]
    if not parts:
      raise DataError(f"{where} is an empty list: nothing to predict on")
    return parts
  raise DataError(
    f"{where} is a {type(source).__name__}; valid: a path, a pattern, a uint8 array "
    "[H, W, 3] or [B, H, W, 3] in RGB, or a list of these"
  )


def _path(text: str) -> list[Callable[[], Iterator[Picture]]]:
  if "://" in text:
    raise DataError(f"{text}: addresses are not followed; give a file, a folder or a pattern")
  path = pathlib.Path(text).expanduser()
  if path.is_dir():
    files = images_in(path)
    if not files:
      raise DataError(f"{path} is a folder without images ({', '.join(SUFFIXES)})")
  elif path.is_file():
    files = [path]
  elif glob.has_magic(text):
    files = sorted(map(pathlib.Path, glob.glob(str(path), recursive=True)))
    files = [p for p in files if p.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES)]
    if not files:
      raise DataError(f"{text} matches no image and no video")
  else:
    raise DataError(f"{path}: there is no such file or folder")
  for file in files:
    if file.suffix.lower() not in (*SUFFIXES, *VIDEO_SUFFIXES):
      raise DataError(
        f"{file} is neither an image ({', '.join(SUFFIXES)}) nor a video "
        f"({', '.join(VIDEO_SUFFIXES)})"
      )
  return [
    (lambda file=file: _frames(file))
    if file.suffix.lower() in VIDEO_SUFFIXES
    else (lambda file=file: iter([_of_file(file)]))
    for file in files
  ]


def _of_file(file: pathlib.Path) -> Picture:
  return Picture(str(file), file.stem, lambda: decode(np.fromfile(file, np.uint8))[0], file)


def _frames(file: pathlib.Path) -> Iterator[Picture]:
  """The frames of a video, held one at a time; one that ends early ends with a broken picture."""
  video = cv2.VideoCapture(str(file))
  try:
    count = 0
    while True:
      more, frame = video.read()
      if not more:
        break
      pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
      yield Picture(f"{file} frame {count}", f"{file.stem}_{count:06d}", lambda p=pixels: p)
      count += 1
    # Of some containers the header counts frames; of others OpenCV guesses from the duration.
    counted = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if file.suffix.lower() in _COUNTED else 0
    if count < (said := max(1, counted)):
      of = "no frame" if not count else f"only {count} of {said} frames"
      why = f"{file}: OpenCV reads {of} of it; is it a whole video?"
      yield Picture(f"{file} frame {count}", f"{file.stem}_{count:06d}", lambda: _broken(why))
  finally:
    video.release()


def _broken(why: str) -> np.ndarray:
  raise ImageError(why)


def _is_image(array: np.ndarray, where: str) -> bool:
  if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3 or not array.size:
    raise DataError(
      f"{where} is {array.dtype} {list(array.shape)}; valid: uint8 [H, W, 3] or [B, H, W, 3], RGB"
    )
  return True


def _arrays(array: np.ndarray, where: str) -> list[Picture]:
  several = array if array.ndim == 4 else array[None]
  name = "image" if where == "source" else where.replace("source", "image")
  names = [name] if array.ndim == 3 else [f"{name}[{i}]" for i in range(len(several))]
  stem = lambda text: text.replace("[", "_").replace("]", "")
  return [Picture(n, stem(n), lambda pixels=p: pixels) for n, p in zip(names, several)]
