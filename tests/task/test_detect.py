# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tasks of detection: what they refuse when they are made, and what their functions hold."""

import pytest

from dnas import data, detectors
from dnas import task as tasks
from dnas.errors import DnasError

TASKS = (tasks.detection, tasks.yolo_nas, tasks.efficientdet)
SIZE = (128, 128)


@pytest.mark.parametrize("make", [tasks.detection, tasks.yolo_nas])
@pytest.mark.parametrize(
  ("given", "message"),
  [
    (
      dict(classification_loss="bce"),
      r"config.task.classification_loss: 'bce'.*Valid: focal, varifocal",
    ),
    (dict(box_similarity="gio"), "config.task.box_similarity: 'gio'; did you mean 'giou'"),
  ],
)
def test_names_of_losses_are_checked_when_it_is_made(make, given, message):
  with pytest.raises(DnasError, match=message):
    make(detectors.blank(["cat"]), SIZE, **given)


@pytest.mark.parametrize("make", TASKS)
def test_a_data_set_without_boxes(make):
  message = r"digits \[test\] is a data set for classification; detectors need boxes"
  with pytest.raises(DnasError, match=message):
    make(data.load("digits", "test"), SIZE)


def held(function):
  """Everything that a function and those that it calls have closed over."""
  for cell in getattr(function, "__closure__", None) or ():
    yield cell.cell_contents
    yield from held(cell.cell_contents)


@pytest.mark.parametrize("make", TASKS)
def test_what_is_pickled_holds_no_data(make):
  source = detectors.blank(["cat"])
  task = make(source, SIZE)
  assert any(one is source for one in held(task.build))
  for function in (task.forward, task.boxes, task.predict):
    assert not any(isinstance(one, data.Source) for one in held(function))
