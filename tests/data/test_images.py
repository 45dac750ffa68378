# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding, whole and reduced, and what is kept in memory."""

import cv2
import numpy as np
import pytest

from dnas.data.images import ImageError, Images, decode


def smooth(height: int, width: int) -> np.ndarray:
  y, x = np.mgrid[:height, :width]
  return np.stack([x * 200 // width, y * 200 // height, 0 * x + 60], -1).astype(np.uint8)


def encode(image: np.ndarray, suffix: str) -> bytes:
  return cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_jpeg_is_reduced(reduction):
  image = smooth(50, 67)
  small, actual = decode(encode(image, ".jpg"), reduction)
  assert actual == reduction
  assert small.shape == (-(-50 // reduction), -(-67 // reduction), 3)
  h, w = 50 // reduction * reduction, 67 // reduction * reduction
  blocks = image[:h, :w].reshape(h // reduction, reduction, w // reduction, reduction, 3)
  mean = blocks.mean((1, 3))
  assert np.abs(small[: mean.shape[0], : mean.shape[1]] - mean).max() < 16, "each the mean of one"


def test_png_is_decoded_whole_and_exactly():
  image = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
  whole, actual = decode(encode(image, ".png"), 4)
  assert actual == 1
  assert np.array_equal(whole, image)


def test_grey_deep_and_transparent_become_rgb():
  grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
  assert np.array_equal(decode(encode(grey, ".png"))[0], np.repeat(grey[..., None], 3, -1))
  deep = grey.astype(np.uint16) * 257
  assert np.array_equal(decode(encode(deep, ".png"))[0][..., 0], grey)
  clear = np.dstack([smooth(3, 4)[..., ::-1], grey])
  assert np.array_equal(decode(cv2.imencode(".png", clear)[1])[0], smooth(3, 4))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"GIF8", b"\x89PNG\r\n\x1a\n"])
def test_undecodable(content):
  with pytest.raises(ImageError, match="cannot decode"):
    decode(content)


def test_memory_limit_changes_nothing_but_the_work():
  encoded = [encode(smooth(40 + k, 64), ".jpg") for k in range(5)]
  asked = []

  def fetch(i):
    asked.append(i)
    return encoded[i]

  room_for_two = 2.5 * 41 * 64 * 3 / 2**20
  limited = Images(fetch, str, memory_mib=room_for_two)
  first = [limited.read(i) for i in range(5)]
  again = [limited.read(i) for i in range(5)]
  assert all(np.array_equal(a, b) for a, b in zip(first, again))
  assert asked == [0, 1, 2, 3, 4, 2, 3, 4]
  assert limited.reduced(0, 2)[0].shape == (20, 32, 3), "kept apart from the whole one"
  with pytest.raises(ValueError, match="read-only"):
    first[0][0, 0] = 1


def test_unreadable_file_is_named():
  def fetch(i):
    raise FileNotFoundError(2, "No such file", f"/x/{i}.jpg")

  with pytest.raises(ImageError, match=r"image 3: .*No such file"):
    Images(fetch, lambda i: f"image {i}").read(3)
