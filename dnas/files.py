# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How files are written, in one step; and read, never more than such a file is meant to hold.

Files may come from strangers. The errors of readers are of the class `kind`, so that each raises
its own (standard library only).
"""

import contextlib
import io
import json
import os
import pathlib
import secrets
import time
import zipfile
from typing import Any

from dnas.errors import DnasError

MAX_BYTES = 1 << 24
_LEFT_S = 3600.0


def atomic_write(path: str | os.PathLike, data: str | bytes | memoryview) -> None:
  """Replaces the file `path` by `data` in one step: a reader sees the old file or the new one.

  The data goes to a temporary file in the same folder, to the disk, and is then renamed; parent
  folders are made. A process killed half-way leaves the old file as it was.

  Raises:
    OSError: names `path` (a full disk, a read-only folder).
  """
  path = pathlib.Path(path)
  # Machines that share the folder may have processes of the same number.
  temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(temporary, "wb") as file:
      file.write(data.encode() if isinstance(data, str) else data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
      os.fsync(folder)  # Else the rename itself may be lost with the power.
    finally:
      os.close(folder)
  except OSError as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from error


def remove_left(folder: pathlib.Path) -> None:
  """Removes what `atomic_write` left in a folder where it was killed an hour ago, or earlier.

  What is younger may be another process's, which writes it just now.
  """
  for left in folder.glob(".*.tmp"):
    with contextlib.suppress(FileNotFoundError):
      if time.time() - left.stat().st_mtime > _LEFT_S:
        left.unlink()


def bounded(
  opened: io.BufferedIOBase, path: object, max_bytes: int, kind: type[DnasError]
) -> bytes:
  """What is left in an open file; `kind` if that is more than `max_bytes`. `path` names it."""
  # Not its size first: a device has none, and no end; of a packed file it says little.
  content = opened.read(max_bytes + 1)
  if len(content) > max_bytes:
    raise kind(f"{path} has more than {max_bytes} bytes, too many for what it should be")
  return content


def text_of(
  path: pathlib.Path, max_bytes: int = MAX_BYTES, kind: type[DnasError] = DnasError
) -> str:
  """The text of a UTF-8 file, without the mark that some editors put in front.

  Raises:
    kind: it is larger than `max_bytes`, or not UTF-8.
    OSError: it cannot be read.
  """
  with open(path, "rb") as file:
    content = bounded(file, path, max_bytes, kind)
  try:
    return content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    raise kind(f"{path} is not UTF-8 text: byte {error.start}") from error


def json_of(
  path: pathlib.Path, max_bytes: int = MAX_BYTES, kind: type[DnasError] = DnasError
) -> Any:
  """The value in a JSON file.

  Raises:
    kind: it is larger than `max_bytes`, or no JSON.
    OSError: it cannot be read.
  """
  text = text_of(path, max_bytes, kind)
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:  # ValueError: also a number of 4,301 digits.
    raise kind(f"{path} is no JSON: {error}") from error


def check_archive(path: pathlib.Path, max_bytes: int, kind: type[DnasError]) -> None:
  """That a zip archive says of its files that they have at most `max_bytes` in all.

  That is what `zipfile` reads of them, whatever else is packed into them.

  Raises:
    kind: it has more.
    OSError, zipfile.BadZipFile: it cannot be read.
  """
  with zipfile.ZipFile(path) as archive:
    size = sum(entry.file_size for entry in archive.infolist())
  if size > max_bytes:
    raise kind(f"{path} unpacks to {size} bytes; at most {max_bytes} are read")
