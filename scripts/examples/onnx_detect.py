# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Runs an exported detector on a picture with onnxruntime, NumPy and Pillow alone.

python onnx_detect.py detector.onnx picture.jpg
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, picture = sys.argv[1:3]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
classes, (height, width) = json.loads(facts["classes"]), json.loads(facts["image"])
most_high, most_wide = json.loads(facts.get("content", facts["image"]))  # that a picture may fill
by_mean = json.loads(facts.get("interpolation", '"area"')) == "area"

# As the network was trained: upright, 8 bits, fitted into the content, centred on grey.
image = ImageOps.exif_transpose(Image.open(picture))
if image.mode.startswith("I"):  # 16 bits of grey.
  image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
image = image.convert("RGB")
scale = min(most_wide / image.width, most_high / image.height)
size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
if by_mean and scale < 1:
  image = image.resize(size, Image.Resampling.BOX)  # The mean of what a pixel covers.
else:  # Four pixels are interpolated; `resize` would take the mean of more.
  matrix = (image.width / size[0], 0, 0, 0, image.height / size[1], 0)
  image = image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
left, top = (width - size[0]) // 2, (height - size[1]) // 2
canvas = Image.new("RGB", (width, height), (114, 114, 114))
canvas.paste(image, (left, top))

names = [output.name for output in session.get_outputs()]
found = dict(zip(names, session.run(names, {"images": np.asarray(canvas)[None]})))
for box, score, label, valid in zip(*(found[k][0] for k in ("boxes", "scores", "labels", "valid"))):
  if valid and score > 0.3:
    x1, y1, x2, y2 = (box - [left, top, left, top]) / scale
    print(f"{classes[label]} {score:.2f}: ({x1:.0f}, {y1:.0f}) to ({x2:.0f}, {y2:.0f})")
