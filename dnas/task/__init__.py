# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network is for: one function each, named by `config.task`, that gives a `Task`.

A task knows its network, its loss and its measure, and nothing of searching or training. Images
come as bytes `[B, H, W, 3]` and are scaled here.
"""

from dnas.task.base import Batch as Batch
from dnas.task.base import Metrics as Metrics
from dnas.task.base import Result as Result
from dnas.task.base import Task as Task
from dnas.task.base import cost as cost
from dnas.task.classify import classification
from dnas.task.detect import detection, efficientdet, yolo_nas

__all__ = ["classification", "detection", "efficientdet", "yolo_nas"]  # What a config may name.
