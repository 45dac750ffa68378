# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What may be chosen: cells, edges, stages, genotypes. Standard library only."""
