# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Object detection: pure functions on arrays, and what shows and scores their results.

`boxes`; `assign` and the losses (`loss`, `anchor_loss`); `nms` and `thresholds`; `coco` and
`curves` measure; `results`, `draw` and `charts` show; `coco_names` are COCO's classes, `flags` the
options of scripts.
"""
