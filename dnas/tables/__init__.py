# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of `paper_results/`: one module each, made by `scripts/reproduce.py`."""
