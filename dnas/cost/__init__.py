# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network costs: parameters, multiply-accumulates, latency."""
