# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A search of YOLO-NAS' kind: two steps of everything, and the result is loaded as a detector."""

import json

import numpy as np
import pytest

from dnas import NAS, method, search, train
from dnas import config as configs
from dnas.space import yolo_nas


@pytest.mark.slow
def test_a_searched_detector_is_loaded(root, tmp_path):
  config = configs.load(root / "configs" / "cbc_yolo_nas.py")
  one, two = ((4,),) * 4, ((4, 8),) * 4
  small = {
    "data.spec": "digit_scenes",
    "data.size": (64, 64),
    "data.threads": 1,
    "space": {
      **config.space,
      "channels": (8, 8, 16, 16),
      "hidden": (*two[:1], *one[:3], *two[:1], *one[:3]),
      "blocks": ((1,),) * 8,
      "types": ("qarep",),
    },
    "search.steps": 2,
    "search.warmup_steps": 0,
    "search.batch_size": 2,
    "search.watch.every_steps": 0,
    "cost.latency_ms": 1e6,
    "cost.latency": dict(rounds=2, calls=1, copies=1),
    "train.steps": 2,
    "train.batch_size": 2,
    "train.optimizer.warmup_steps": 1,
    "log.every_steps": 1,
  }
  config = configs.changed(config, small)
  genotype = search.search(config, tmp_path)
  space = method.space_of(config)
  assert set(space.choices(genotype)) == {"stage1", "neck1"}
  assert yolo_nas.is_member(genotype)
  train.train(config, genotype, tmp_path / "train")
  assert json.loads((tmp_path / "cost.json").read_text())["latency_ms_measured"] > 0
  for folder in (tmp_path, tmp_path / "train"):
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 2
    assert "NaN" not in str(records)
  boxes, scores = NAS(str(tmp_path)).predict_raw(np.zeros((1, 64, 64, 3), np.float32))
  assert boxes.shape == (1, 84, 4)
  assert scores.shape == (1, 84, 10)
  assert np.isfinite(boxes).all()
