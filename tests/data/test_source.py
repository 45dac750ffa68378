# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Classes of a data set: their names are unique, however many there are."""

import pytest

from dnas.data import coco_json
from dnas.data.images import Images
from dnas.data.source import ClassificationSource, DataError, Report

COUNT = 5000


def of_classes(names) -> ClassificationSource:
  images = Images(lambda i: b"", lambda i: "image")
  return ClassificationSource("set", names, [1], images, labels=[0])


def test_many_classes_are_compared_by_their_hash():
  compared = []

  class Name(str):
    def __eq__(self, other):
      compared.append(1)
      return str.__eq__(self, other)

    __hash__ = str.__hash__

  names = [Name(k) for k in range(COUNT)]
  assert len(of_classes(names).classes) == COUNT
  report = Report()
  entries = [{"id": k, "name": name} for k, name in enumerate(names)]
  assert len(coco_json._categories(entries, report)) == COUNT
  assert not report.fatal
  assert len(compared) < COUNT


def test_a_name_that_two_classes_have_is_said():
  with pytest.raises(DataError, match="set: two classes are named 'b'; names are unique"):
    of_classes(["a", "b", "c", "b"])
  report = Report()
  coco_json._categories([{"id": k, "name": name} for k, name in enumerate("aba")], report)
  assert report.fatal == ["categories[2]: the name 'a' is taken; names are unique"]
