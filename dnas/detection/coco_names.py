# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The 80 classes of COCO in the order of its category ids, and those ids, which have gaps.

Source: Lin et al., Microsoft COCO: common objects in context (1405.0312), as its annotation files
of 2014 and 2017 have them. Names and order agree with the
lists of other detectors' tools; which ids are gaps is from memory, unverified.
"""

_TEXT = """
  person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
  stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
  giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
  baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
  knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
  cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
  cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
  hair drier, toothbrush
"""
COCO_NAMES = tuple(name.strip() for name in _TEXT.split(","))
_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_IDS = tuple(k for k in range(1, 91) if k not in _GAPS)
