# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Image files: which way up they are decoded, and which of them a folder has."""

import functools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dnas.data import image_files
from dnas.data.images import decode
from dnas.data.source import Report

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
</rdf:RDF></x:xmpmeta>"""
IN_PNG = PngImagePlugin.PngInfo()
IN_PNG.add_itxt("XML:com.adobe.xmp", XMP)


def exif(orientation: int = 6) -> Image.Exif:
  made = Image.Exif()
  made[0x0112] = orientation
  return made


SAVED = {
  "exif.jpg": dict(exif=exif()),
  "exif.png": dict(exif=exif()),
  "exif.webp": dict(exif=exif()),
  "exif.tif": dict(exif=exif()),
  "several.jpg": dict(exif=exif(8), format="MPO", save_all=True),
  "xmp.jpg": dict(xmp=XMP.encode()),
  "xmp.png": dict(pnginfo=IN_PNG),
  "xmp.webp": dict(xmp=XMP.encode()),
  "xmp.tif": dict(tiffinfo={700: XMP.encode()}),
  "both.jpg": dict(xmp=XMP.encode(), exif=exif(1)),
}


def check_upright(path) -> None:
  """What is said of a file is what the decoder makes of it."""
  report = Report()
  (info,) = image_files.inspect([path], report, decode_all=True)
  assert not report.fatal
  data = path.read_bytes()
  assert info.upright == decode(data)[0].shape[:2] == image_files.upright_size(path)
  assert (info.height, info.width) == decode(data, upright=False)[0].shape[:2]


@pytest.mark.parametrize("name", SAVED)
def test_files_are_as_upright_as_they_are_decoded(tmp_path, name):
  """EXIF counts; that XMP, which Pillow would read as well, says otherwise does not."""
  path = tmp_path / name
  Image.fromarray(np.zeros((19, 41, 3), np.uint8)).save(path, **SAVED[name])
  check_upright(path)


def test_exif_may_come_after_the_pixels_of_a_png(tmp_path):
  path = tmp_path / "late.png"
  Image.fromarray(np.zeros((19, 41, 3), np.uint8)).save(path)
  body = b"eXIf" + exif().tobytes().removeprefix(b"Exif\0\0")
  chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
  pixels, end = path.read_bytes()[:-12], path.read_bytes()[-12:]
  path.write_bytes(pixels + chunk + end)
  check_upright(path)
  assert image_files.upright_size(path) == (41, 19)


def test_a_size_that_decoding_contradicts_is_a_fault(tmp_path, monkeypatch):
  path = tmp_path / "a.jpg"
  Image.fromarray(np.zeros((19, 41, 3), np.uint8)).save(path, exif=exif())
  monkeypatch.setattr(image_files, "decode", functools.partial(decode, upright=False))
  report = Report()
  assert image_files.inspect([path], report, decode_all=True) == [None]
  assert report.fatal == [
    f"{path}: is 19 x 41 px by its header, but of another size when it is decoded"
  ]


def test_links_to_folders_are_followed_and_no_folder_counts_twice(tmp_path):
  folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
  for path in (folder / "z" / "1.jpg", folder / "2.PNG", elsewhere / "b" / "3.jpg"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  (folder / "notes.txt").touch()
  (folder / "folder.jpg").mkdir()  # For `inspect` to tell of.
  links = {
    folder / "a": folder / "z",  # Its images have their paths without it.
    folder / "m": elsewhere,
    folder / "n": elsewhere,
    folder / "z" / "up": folder,
    elsewhere / "b" / "round": elsewhere,
    folder / "4.jpg": elsewhere / "b" / "3.jpg",
    folder / "gone": tmp_path / "gone",
  }
  for link, target in links.items():
    link.symlink_to(target)
  found = [path.relative_to(folder).as_posix() for path in image_files.images_in(folder)]
  assert found == ["2.PNG", "4.jpg", "folder.jpg", "m/b/3.jpg", "z/1.jpg"]
  (tmp_path / "link").symlink_to(folder)
  assert len(image_files.images_in(tmp_path / "link")) == len(found)
