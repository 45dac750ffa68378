# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A file, a folder, a pattern, a video and arrays are the same stream of pictures."""

import cv2
import numpy as np
import pytest

from dnas.data import DataError, media
from dnas.data.images import ImageError

RED = np.full((12, 16, 3), (255, 0, 0), np.uint8)


@pytest.fixture
def folder(tmp_path):
  """Two red images and a video of three frames, the second of them blue."""
  (tmp_path / "sub").mkdir()
  for name in ("a.png", "sub/b.png"):
    cv2.imwrite(str(tmp_path / name), RED[..., ::-1])
  video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
  for colour in ((0, 0, 255), (255, 0, 0), (0, 0, 255)):
    video.write(np.full((48, 64, 3), colour, np.uint8))
  video.release()
  (tmp_path / "notes.txt").write_text("no picture")
  return tmp_path


def names(source):
  return [picture.name.split("/")[-1] for picture in media.pictures(source)]


def test_files_folders_patterns_and_lists(folder):
  assert names(folder / "a.png") == ["a.png"]
  assert names(str(folder)) == ["a.png", "b.png"]
  assert names(f"{folder}/**/*.png") == ["a.png", "b.png"]
  assert names([folder / "sub", folder / "a.png", RED]) == ["b.png", "a.png", "image[2]"]
  (picture,) = media.pictures(folder / "a.png")
  np.testing.assert_array_equal(picture.read(), RED)
  assert picture.stem == "a"


def test_what_is_shown_small_is_decoded_small(tmp_path):
  """As in training: only JPEG files, and only where pixels are averaged."""
  for name in ("a.jpg", "a.png"):
    cv2.imwrite(str(tmp_path / name), np.full((90, 120, 3), 128, np.uint8))
  jpeg, png = media.pictures([tmp_path / "a.jpg", tmp_path / "a.png"])
  for picture, content, interpolation, wanted in (
    (jpeg, (32, 32), "area", ((45, 60, 3), 2, (90, 120))),
    (jpeg, (32, 32), "linear", ((90, 120, 3), 1, (90, 120))),
    (jpeg, (64, 64), "area", ((90, 120, 3), 1, (90, 120))),
    (png, (32, 32), "area", ((90, 120, 3), 1, (90, 120))),
  ):
    pixels, *rest = picture.shown(content, interpolation)
    assert (pixels.shape, *rest) == wanted
  (array,) = media.pictures(RED)
  pixels, *rest = array.shown((4, 4), "area")
  assert (pixels.shape, *rest) == (RED.shape, 1, (12, 16))
  assert jpeg.read().shape == (90, 120, 3)


def test_arrays():
  (picture,) = media.pictures(RED)
  assert (picture.name, np.shares_memory(picture.read(), RED)) == ("image", True)
  assert [p.name for p in media.pictures(np.stack([RED, RED]))] == ["image[0]", "image[1]"]


def test_frames_of_a_video(folder):
  frames = list(media.pictures(folder / "clip.avi"))
  assert [p.stem for p in frames] == [f"clip_{i:06d}" for i in range(3)]
  assert [int(p.read()[20, 20].argmax()) for p in frames] == [0, 2, 0]  # RGB
  assert frames[1].name.endswith("clip.avi frame 1")


@pytest.mark.parametrize(
  ("source", "message"),
  [
    ("{}/gone.jpg", "there is no such file or folder"),
    ("{}/notes.txt", r"neither an image \(\.jpg, .*\) nor a video"),
    ("{}/*.bmp", "matches no image and no video"),
    ("{}/empty", "a folder without images"),
    ("https://example.com/a.jpg", "addresses are not followed"),
    ([], "empty list"),
    (7, "source is a int"),
    (RED / 255, r"float64 \[12, 16, 3\]; valid: uint8"),
    (RED[..., :2], r"uint8 \[12, 16, 2\]"),
  ],
)
def test_what_is_wrong_is_said_before_anything_is_read(folder, source, message):
  (folder / "empty").mkdir()
  source = source.format(folder) if isinstance(source, str) else source
  with pytest.raises(DataError, match=message):
    media.pictures(source)


def test_broken_files(folder):
  (folder / "a.png").write_bytes(b"\x89PNG of no use")
  (picture,) = media.pictures(folder / "a.png")
  with pytest.raises(ImageError, match=r"a\.png: OpenCV cannot decode its 14 bytes"):
    picture.read()
  (folder / "clip.avi").write_bytes(b"RIFF")
  broken, whole = media.pictures([folder / "clip.avi", RED])
  with pytest.raises(ImageError, match=r"clip\.avi: OpenCV reads no frame"):
    broken.read()
  np.testing.assert_array_equal(whole.read(), RED)


def test_a_video_that_is_cut_off_says_so_after_its_frames(tmp_path):
  file = tmp_path / "clip.avi"
  video = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
  for n in range(40):
    video.write(np.full((48, 64, 3), 6 * n, np.uint8))
  video.release()
  assert len(list(media.pictures(file))) == 40
  file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
  *frames, last = media.pictures(file)
  assert 5 < len(frames) < 40
  with pytest.raises(ImageError, match=rf"only {len(frames)} of 40 frames"):
    last.read()
