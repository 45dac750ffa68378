# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as found, as numbers: those of YOLO-NAS, and the check of a user's own."""

from typing import NamedTuple

from dnas.errors import DnasError


class Thresholds(NamedTuple):
  """What counts as found: see `detection.nms.nms`. These are YOLO-NAS' for predicting.

  Attributes:
    score: the least.
    iou: the most overlap of two boxes of a class.
    top_k: candidates per image that suppression sees.
    max_detections: per image.
  """

  score: float = 0.25
  iou: float = 0.7
  top_k: int = 1024
  max_detections: int = 300

  def of(
    self, conf: float | None = None, iou: float | None = None, max_det: int | None = None
  ) -> "Thresholds":
    """The same with these, by the names that the YOLO tools give them; None: its own.

    At least as many candidates are looked at as detections are asked for.
    """
    given = {"score": conf, "iou": iou, "max_detections": max_det}
    made = self._replace(**{name: value for name, value in given.items() if value is not None})
    return made._replace(top_k=max(made.top_k, made.max_detections))

  def check(self) -> "Thresholds":
    """Itself.

    Raises:
      DnasError: a value is out of range.
    """
    if not (0 <= self.score <= 1 and 0 <= self.iou <= 1):
      raise DnasError(f"conf = {self.score} (least score), iou = {self.iou}; valid: 0 to 1")
    if self.max_detections < 1:
      raise DnasError(f"max_det = {self.max_detections} (detections an image); valid: 1 or more")
    if self.top_k < 1:
      raise DnasError(f"top_k = {self.top_k} (candidates an image); valid: 1 or more")
    return self


PREDICTION = Thresholds()
VALIDATION = Thresholds(score=0.01, top_k=1000)  # YOLO-NAS' for validation.
