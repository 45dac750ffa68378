# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Runs an exported detector on a picture with onnxruntime, NumPy and Pillow alone.

python onnx_detect.py detector.onnx picture.jpg
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, picture = sys.argv[1:3]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
classes, (height, width) = json.loads(facts["classes"]), json.loads(facts["image"])

# Fit the picture into the network's size, centred on grey.
image = Image.open(picture).convert("RGB")
scale = min(width / image.width, height / image.height)
size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
left, top = (width - size[0]) // 2, (height - size[1]) // 2
canvas = Image.new("RGB", (width, height), (114, 114, 114))
canvas.paste(
  image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR), (left, top)
)

names = [output.name for output in session.get_outputs()]
found = dict(zip(names, session.run(names, {"images": np.asarray(canvas)[None]})))
for box, score, label, valid in zip(*(found[k][0] for k in ("boxes", "scores", "labels", "valid"))):
  if valid and score > 0.3:
    x1, y1, x2, y2 = (box - [left, top, left, top]) / scale
    print(f"{classes[label]} {score:.2f}: ({x1:.0f}, {y1:.0f}) to ({x2:.0f}, {y2:.0f})")
