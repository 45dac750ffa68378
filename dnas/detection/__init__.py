# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Object detection as pure functions on arrays.

`boxes`; `assign` and the losses (`loss`, `anchor_loss`); `nms` and `thresholds`; `coco` and
`curves` measure; `results`, `draw` and `charts` show.
"""
