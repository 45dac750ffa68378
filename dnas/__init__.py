# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable neural architecture search in JAX."""

__version__ = "0.1.0"
