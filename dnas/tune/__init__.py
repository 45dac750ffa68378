# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tuning beside the search: `ranges` says what may change, `held_out` what a trial is worth."""

from dnas.tune.study import tune

__all__ = ["tune"]
