# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tuning beside the search: `ranges` says what may change, `held_out` what a trial is worth.

`study` asks Optuna, whose study lies in a `storage`, and `trials` writes down what came of it.
"""

from dnas.tune.study import tune

__all__ = ["tune"]
