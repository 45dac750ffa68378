# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Object detection as pure functions on arrays: boxes, assignment, losses, NMS, metrics."""
