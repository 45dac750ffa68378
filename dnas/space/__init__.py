# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What may be chosen: cells, edges, stages, genotypes. Standard library only.

`space` and `cell` are the data, `cells`, `mbconv` and `yolo_nas` spaces, `macro` the networks that
cells stand in, `genotypes` the published ones, `scaling` makes them larger.
"""
