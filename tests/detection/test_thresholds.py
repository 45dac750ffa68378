# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as found: checked before anything is computed, and one default for all who ask."""

import jax.numpy as jnp
import numpy as np
import pytest

from dnas import detectors, task
from dnas.detection import flags, nms
from dnas.detection.thresholds import PREDICTION, VALIDATION, Thresholds
from dnas.errors import DnasError


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (dict(score=1.5), r"conf = 1.5 \(least score\), iou = 0.7; valid: 0 to 1"),
    (dict(iou=-0.1), "iou = -0.1; valid: 0 to 1"),
    (dict(score=float("nan")), "conf = nan"),
    (dict(max_detections=0), r"max_det = 0 \(detections an image\); valid: 1 or more"),
    (dict(top_k=0), r"top_k = 0 \(candidates an image\); valid: 1 or more"),
  ],
)
def test_values_out_of_range(given, message):
  with pytest.raises(DnasError, match=message):
    Thresholds(**given).check()


@pytest.mark.parametrize("make", [task.detection, task.yolo_nas, task.efficientdet])
def test_a_task_refuses_them_when_it_is_made(make):
  with pytest.raises(DnasError, match="iou = 2; valid: 0 to 1"):
    make(detectors.blank(["cat"]), (128, 128), iou_threshold=2)


def test_suppression_by_thresholds():
  boxes = jnp.asarray([[[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]], jnp.float32)
  scores = jnp.asarray([[[0.9], [0.8], [0.2]]])
  found = nms.nms(boxes, scores, PREDICTION._replace(max_detections=3))
  assert np.asarray(found.valid).tolist() == [[True, False, False]]
  found = nms.nms(boxes, scores, VALIDATION._replace(iou=0.95, max_detections=3))
  assert np.asarray(found.valid).all()


def test_a_user_changes_what_is_given():
  assert VALIDATION.of() == VALIDATION
  assert VALIDATION.of(conf=0.0) == VALIDATION._replace(score=0.0)
  assert VALIDATION.of(0.5, 0.6, 10) == Thresholds(0.5, 0.6, 1000, 10)
  assert VALIDATION.of(max_det=3000) == VALIDATION._replace(top_k=3000, max_detections=3000)


def test_flags_have_the_defaults_and_become_arguments():
  parser = flags.parser("text", batch=16, conf=0.25)
  given = flags.options(parser.parse_args(["--model", "x"]))
  assert given == dict(conf=0.25, iou=None, max_det=None, size=None, batch=16, rect=False)
  words = ["--model", "x", "--size", "64", "96", "--conf", "0.5", "--rect"]
  given = flags.options(parser.parse_args(words))
  assert (given["size"], given["conf"], given["rect"]) == ((64, 96), 0.5, True)
